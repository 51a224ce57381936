"""Secrets and rights: hashing, signing, revocation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from core.kernel.ids import TenantId


class PasswordHasher(Protocol):
    """Slow, salted hashes. Networks take turns, so that one that asks for many delays the others by one each.

    Raises:
        Unavailable: too many are waiting, of this network or of all.
    """

    async def hash(self, password: str, network: str) -> str:
        """Hash a password for a client of a network."""

    async def verify(self, password: str, hashed: str | None, network: str) -> bool:
        """Check a password; without a hash it takes as long and is False, so that names cannot be probed."""


class TokenSigner(Protocol):
    """Signs and checks access tokens and other secrets of the store."""

    def sign(self, claims: dict[str, object]) -> str:
        """A signed token (JWT, RFC 7519) with the claims."""

    def verify(self, token: str, now: datetime) -> dict[str, object] | None:
        """The claims of a token with a good signature that has not expired; else None."""

    def digest(self, data: bytes) -> bytes:
        """A keyed hash (HMAC-SHA-256) of the data."""


class ExternalToken(NamedTuple):
    """What a good access token of another issuer says. ``profile``: its claims about the person, unchecked."""

    tenant: TenantId
    issuer: str
    subject: str
    scopes: frozenset[str]
    issued_at: datetime
    expires_at: datetime
    profile: Mapping[str, Any]


class TrustedIssuers(Protocol):
    """Others whose access tokens count here."""

    async def verify(self, token: str, now: datetime) -> ExternalToken | None:
        """What a token says that one of them issued for this store and that has not expired; else None.

        Raises:
            Unavailable: the keys of the issuer that it names are not known yet.
        """


@dataclass(frozen=True, slots=True)
class Revocation:
    """The end of a right before its time: of ``session:<id>``, ``user:<id>``, ``key:<id>`` or ``device:<id>``."""

    subject: str
    revoked_at: datetime


class RevocationStorage(Protocol):
    """Revocations that all nodes share."""

    async def revoke(self, subjects: Sequence[str], at: datetime, until: datetime) -> None:
        """Note revocations, kept until the last token they concern has expired."""

    async def revocations(self, since: datetime) -> list[Revocation]:
        """Revocations noted at or after a time."""
