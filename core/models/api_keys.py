"""API keys: what is kept and shown, and what clients send."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field

from core.kernel.caller import Scope
from core.kernel.model import Body, FilledLine, Model, Resource, Time, Timestamp


class ApiKey(Model):
    """A key by which a program acts for the member of the staff who created it (``owner_id``), with chosen scopes.

    Never shown. ``key_hash`` is the SHA-256 of the key in hexadecimal, unique among all tenants.
    """

    id: str
    tenant_id: str
    name: str
    owner_id: str
    scopes: tuple[Scope, ...]
    key_hash: str = Field(repr=False)
    created_at: Timestamp
    expires_at: Timestamp | None = None


class ApiKeyInfo(Resource):
    """What is shown of an API key; the key itself is never shown again."""

    name: str
    owner_id: str
    scopes: tuple[Scope, ...]
    created_at: Timestamp
    expires_at: Timestamp | None = None

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        """What is shown of a key."""
        return cls.model_validate(key.model_dump(by_alias=False, exclude={"key_hash"}))


class NewApiKey(ApiKeyInfo):
    """A new API key: ``key`` is shown only this once."""

    key: str = Field(repr=False)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class ApiKeyDraft(Body):
    """What a client sends to create an API key: its scopes must be among the caller's own. Without
    ``expiresAt`` it does not expire."""

    name: Annotated[FilledLine, Field(max_length=100)]
    scopes: list[Annotated[Scope, BeforeValidator(_lower)]] = Field(min_length=1, max_length=50)
    expires_at: Time | None = None
