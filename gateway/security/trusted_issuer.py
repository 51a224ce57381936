"""An issuer whose access tokens count here, as the settings name it."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from core.kernel.addresses import is_loopback
from core.kernel.ids import SHARED_TENANT, TenantId, parse_tenant


class TrustedIssuer(BaseModel):
    """``issuer`` and ``audience`` are what its tokens say, letter by letter. ``tenant`` is whose users it vouches for.

    Without ``jwks_url`` the issuer's own metadata name it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    issuer: str
    audience: str = Field(min_length=1)
    jwks_url: str | None = None
    tenant: TenantId = SHARED_TENANT

    @field_validator("issuer", "jwks_url")
    @classmethod
    def _safe(cls, value: str | None) -> str | None:
        if value is not None and not is_safe(value):
            raise ValueError("is no https:// address")
        return value

    @field_validator("tenant")
    @classmethod
    def _named(cls, value: str) -> TenantId:
        tenant = parse_tenant(value)
        if tenant is None:
            raise ValueError("is no UUID of version 4 or 7")
        return tenant


def is_safe(url: str) -> bool:
    """Whether nobody on the way can change what is read at an address: it is https://, or on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and (host == "localhost" or is_loopback(host)))


def read_issuers(text: str) -> tuple[TrustedIssuer, ...]:
    """Read a JSON array of issuers.

    Raises:
        ValueError: it is something else; the text says what is wrong.
    """
    try:
        found = orjson.loads(text)
        issuers = tuple(map(TrustedIssuer.model_validate, found if isinstance(found, Sequence) else [found]))
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error}") from None
    except ValidationError as error:
        violation = error.errors()[0]
        where = ".".join(map(str, violation["loc"])) or "each"
        raise ValueError(f"{where}: {violation['msg'].removeprefix('Value error, ')}") from None
    names = [trusted.issuer for trusted in issuers]
    if len(set(names)) != len(names):
        raise ValueError("names an issuer twice")
    return issuers
