"""Access tokens: JSON Web Tokens (RFC 7519), signed with one secret (HS256) or with keys of which others know half.

The algorithm is that of the key, whatever a token's header says (RFC 8725, section 3.1), so neither ``none`` nor a
public key used as a secret gets through.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import jwt
import orjson

from gateway.security.keys import SigningKey, signing_key

_MIN_SECRET_BYTES = 32
MAX_TOKEN_BYTES = 8192
#: What a token says that it is (RFC 9068, section 2.1).
_TYPE = "at+jwt"


class Digests:
    """Keyed hashes. The key is derived from the secret, so that what it signs can never pass for a token.

    Raises:
        ValueError: the secret is shorter than 32 bytes (RFC 7518, section 3.2).
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        if len(self._secret) < _MIN_SECRET_BYTES:
            raise ValueError(f"a signing secret has at least {_MIN_SECRET_BYTES} bytes")
        self._digest_key = hmac.digest(self._secret, b"petstore digest", hashlib.sha256)

    def digest(self, data: bytes) -> bytes:
        """A keyed hash (HMAC-SHA-256, RFC 2104) of the data."""
        return hmac.digest(self._digest_key, data, hashlib.sha256)


class HmacSigner(Digests):
    """Signs and checks with one secret, which nobody else can check with: its key set is empty."""

    key_set = b'{"keys":[]}'

    def sign(self, claims: Mapping[str, object]) -> str:
        """A token with the claims."""
        return jwt.encode(dict(claims), self._secret, algorithm="HS256", headers={"typ": _TYPE})

    def verify(self, token: str, now: datetime) -> dict[str, object] | None:
        """The claims of a token with a good signature that has not expired at ``now``; else None."""
        return None if len(token) > MAX_TOKEN_BYTES else claims_of(token, self._secret, "HS256", now)


class KeySigner(Digests):
    """Signs with one of several keys and checks with all of them; the secret is for digests alone.

    ``key_set`` is the public halves as a document (RFC 7517, section 5).
    """

    def __init__(self, secret: str, keys: Sequence[SigningKey], now: datetime) -> None:
        super().__init__(secret)
        self.use(keys, now)

    def use(self, keys: Sequence[SigningKey], now: datetime) -> None:
        """Take other keys from now on; of those given the one signs that `signing_key` names."""
        self._keys = {key.kid: key for key in keys}
        self._signing = signing_key(keys, now)
        self.key_set = orjson.dumps({"keys": [key.jwk for key in keys]})

    def sign(self, claims: Mapping[str, object]) -> str:
        """A token with the claims."""
        key = self._signing
        return jwt.encode(
            dict(claims), key.private, algorithm=key.algorithm, headers={"kid": key.kid, "typ": _TYPE}
        )

    def verify(self, token: str, now: datetime) -> dict[str, object] | None:
        """The claims of a token with a good signature that has not expired at ``now``; else None."""
        header = header_of(token)
        # Keys that others know half of may sign tokens of other kinds (RFC 8725, section 3.11).
        if header is None or header.get("typ") != _TYPE:
            return None
        kid = header.get("kid")
        key = self._keys.get(kid) if isinstance(kid, str) else None
        return None if key is None else claims_of(token, key.public, key.algorithm, now)


def header_of(token: str) -> dict[str, object] | None:
    """What a token says of itself, unverified; None when it is no token."""
    if len(token) > MAX_TOKEN_BYTES:
        return None
    try:
        return cast(dict[str, object], jwt.get_unverified_header(token))
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None


def claims_of(
    token: str, key: Any, algorithm: str, now: datetime, required: Sequence[str] = ("exp", "iat")
) -> dict[str, object] | None:
    """The claims of a token that the key has signed by the algorithm and that has not expired; else None."""
    try:
        claims: dict[str, object] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            # Times are compared with the clock of the store, not with the machine's.
            options={
                "require": list(required),
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_aud": False,
            },
        )
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    expires = claims["exp"]
    if not isinstance(expires, int) or expires <= now.timestamp():
        return None
    return claims
