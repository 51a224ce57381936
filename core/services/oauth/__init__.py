"""OAuth 2.0 (RFC 6749, as RFC 9700 has it): programs of others act for users, or of their own accord.

Two files are operations, as those of other aggregates; the rest are the protocol's own requests.

``clients``         operations: OAuth clients, registered by STAFF; and who a client is
``grants``          operations: what a user allowed, listed and ended
``registration``    clients that register themselves (RFC 7591)
``errors``          errors as the protocol has them
``pages``           logins of browsers at the pages
``authorization``   a user allows a client to act for them: requests, consent, codes
``device``          a device without a browser asks, its user decides on another one (RFC 8628)
``grant_types``     what a client may get tokens for: one row of the table a grant type
``inspection``      tokens looked into (RFC 7662) and ended (RFC 7009)
"""
