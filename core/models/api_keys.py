"""API keys: what is kept and shown, and what clients send."""

from typing import Annotated, ClassVar, Self

from pydantic import BeforeValidator, Field

from core.kernel.caller import Scope
from core.kernel.describing import Described
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
    """What it is called."""
    owner_id: str
    """The member of the staff for whom it acts."""
    scopes: tuple[Scope, ...]
    """What it may do."""
    created_at: Timestamp
    """When it was created."""
    expires_at: Timestamp | None = None
    """When it expires; without it, never."""

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        """What is shown of a key."""
        return cls.model_validate(key.model_dump(by_alias=False, exclude={"key_hash"}))


class NewApiKey(ApiKeyInfo):
    """A new API key, with the key itself."""

    key: str = Field(repr=False)
    """The key itself; shown only this once."""


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class ApiKeyDraft(Body):
    """What a client sends to create an API key: its scopes must be among the caller's own."""

    LIKE: ClassVar[type[Described] | None] = ApiKeyInfo

    name: Annotated[FilledLine, Field(max_length=100)]
    scopes: list[Annotated[Scope, BeforeValidator(_lower)]] = Field(min_length=1, max_length=50)
    expires_at: Time | None = None
