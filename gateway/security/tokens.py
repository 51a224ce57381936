"""Access tokens: JSON Web Tokens (RFC 7519) signed with one secret (HS256)."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

import jwt

_ALGORITHM = "HS256"
_MIN_SECRET_BYTES = 32
_MAX_TOKEN_BYTES = 8192


class HmacSigner:
    """Signs and checks with one secret.

    Only HS256 is taken, whatever a token's header says (RFC 8725, section 3.1), so neither ``none`` nor a public
    key used as a secret gets through. ``digest`` uses a key derived from the secret, so that what it signs can never
    pass for a token.

    Raises:
        ValueError: the secret is shorter than 32 bytes (RFC 7518, section 3.2).
    """

    def __init__(self, secret: str) -> None:
        key = secret.encode()
        if len(key) < _MIN_SECRET_BYTES:
            raise ValueError(f"a signing secret has at least {_MIN_SECRET_BYTES} bytes")
        self._key = key
        self._digest_key = hmac.digest(key, b"petstore digest", hashlib.sha256)

    def sign(self, claims: Mapping[str, object]) -> str:
        """A token with the claims."""
        return jwt.encode(dict(claims), self._key, algorithm=_ALGORITHM)

    def verify(self, token: str, now: datetime) -> dict[str, object] | None:
        """The claims of a token with a good signature that has not expired at ``now``; else None."""
        if len(token) > _MAX_TOKEN_BYTES:
            return None
        try:
            claims: dict[str, object] = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                # Times are compared with the clock of the store, not with the machine's.
                options={
                    "require": ["exp", "iat"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        expires = claims["exp"]
        if not isinstance(expires, int) or expires <= now.timestamp():
            return None
        return claims

    def digest(self, data: bytes) -> bytes:
        """A keyed hash (HMAC-SHA-256, RFC 2104) of the data."""
        return hmac.digest(self._digest_key, data, hashlib.sha256)
