"""Secrets and what is made of them.

* ``passwords``: Argon2 hashes
* ``tokens``: signed access tokens, and keyed hashes; ``keys``: what signs them where it is no secret
* ``issuers``: tokens of others; ``trusted_issuer``: who they are; ``remote_keys``: what they sign with
"""
