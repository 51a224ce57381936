"""Who calls, and what they may see and do.

* ``authentication``: credentials to a caller; ``callers``: a caller of each kind of credential, and a token's claims
* ``attempts``: failed attempts at secrets, counted
* ``external_users``: users who log in with another issuer
* ``passwords``: user names and passwords, and how failed attempts slow down further ones
* ``revocations``: rights that ended before their time
* ``authorization``: who may read and listen to what; ``makers``: the same of who is not there, but made something
"""
