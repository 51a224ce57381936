"""One suite over every door: scenarios written once, and run through all of them.

`door.py` says what a person can do at a door, `doors/` does it over each protocol, `manifest.py` names the doors and
why one lacks something, `target.py` and `people.py` are the nodes and who comes to them, and the tests are the
scenarios. `make conformance URL=…` runs them against a running gateway.
"""
