"""What is put around an operation, in one place, so that no door can forget it. Each file imports only those above it.

* ``activity``, ``agents``, ``read_cache``: when tenants were used; the agents that are connected; single resources in
  memory
* ``model_turns``: how many may have a language model answer at once
* ``parts``: the adapters, and everything else that operations share
* ``context``: one run of an operation; ``operation``: its declaration
* ``transactions``: attempts and their back-off, and the events of what committed
* ``idempotency``: requests that come again
* ``store``: admission and execution, on top of all that
"""
