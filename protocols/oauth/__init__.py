"""The OAuth 2.0 door: requests of the protocol, and the pages on which users allow applications to act for them.

``adapter``   which path is what
``endpoints``  tokens, revocation, introspection, registration: requests of clients
``wire``      forms, how clients authenticate, tokens as they get them
``errors``    errors in the shape of RFC 6749
``metadata``  what the server says of itself (RFC 8414)
``consent``   what the pages that ask a user have in common: login, consent, forms
``authorize``  the page that asks for a client: its request, the way back
``device``    the page for who allows a device without a browser: its code, the decision
``browser``   cookies, and tokens of forms
``pages``     pages from templates/, and their policy
``openapi``   what the OpenAPI document says of the door
"""
