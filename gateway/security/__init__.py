"""Secrets and what is made of them.

* ``passwords``: Argon2 hashes
* ``tokens``: signed access tokens, and keyed hashes; ``keys``: what signs them where it is no secret
"""
