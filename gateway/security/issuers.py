"""Access tokens of other issuers (RFC 9068): whose they are, and whether they are good."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import httpx
import jwt

from core.ports.security import ExternalToken
from gateway.security.remote_keys import RemoteKeys
from gateway.security.tokens import claims_of, header_of
from gateway.security.trusted_issuer import TrustedIssuer

#: What a token says that it is (RFC 9068, section 4), ``JWT`` where its issuer says no more. One of another type, or of
#: none, may be for another purpose (RFC 8725, section 3.11).
_TYPES = frozenset({"JWT", "at+jwt", "application/at+jwt"})
_REQUIRED = ("iss", "sub", "aud", "exp", "iat")
_MAX_SUBJECT = 255
#: By how much an issuer's clock may be ahead of ours.
_LEEWAY = timedelta(seconds=60)


class Issuers:
    """Whoever is trusted beside the store itself; a token is checked with the keys of the issuer that it names."""

    def __init__(self, trusted: Iterable[TrustedIssuer], client: httpx.AsyncClient) -> None:
        self._issuers = {one.issuer: (one, RemoteKeys(one, client)) for one in trusted}

    @property
    def keys(self) -> dict[str, RemoteKeys]:
        """The keys of each issuer."""
        return {issuer: keys for issuer, (_, keys) in self._issuers.items()}

    async def verify(self, token: str, now: datetime) -> ExternalToken | None:
        """See core.ports.security.TrustedIssuers."""
        header = header_of(token)
        if header is None or header.get("typ") not in _TYPES:
            return None
        kid = header.get("kid")
        found = self._issuers.get(_named_issuer(token))
        if found is None or not isinstance(kid, str | None):
            return None
        trusted, keys = found
        key = await keys.find(kid)
        claims = None if key is None else claims_of(token, key.public, key.algorithm, now, _REQUIRED)
        return None if claims is None else _read(trusted, claims, now)


def _named_issuer(token: str) -> str:
    """The issuer that a token names, before anything is known to be true."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, RecursionError):
        return ""
    return issuer if isinstance(issuer, str) else ""


def _read(trusted: TrustedIssuer, claims: dict[str, object], now: datetime) -> ExternalToken | None:
    subject, audience, scope = claims["sub"], claims["aud"], claims.get("scope", "")
    issued, begins, expires = claims["iat"], claims.get("nbf", claims["iat"]), claims["exp"]
    latest = (now + _LEEWAY).timestamp()
    if trusted.audience not in (audience if isinstance(audience, list) else [audience]):
        return None
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT or not isinstance(scope, str):
        return None
    if not isinstance(issued, int) or not isinstance(begins, int | float) or not isinstance(expires, int):
        return None
    if issued > latest or begins > latest:
        return None
    try:
        issued_at, expires_at = (datetime.fromtimestamp(time, UTC) for time in (issued, expires))
    except (ValueError, OverflowError, OSError):
        return None
    return ExternalToken(
        trusted.tenant, trusted.issuer, subject, frozenset(scope.split()), issued_at, expires_at, claims
    )
