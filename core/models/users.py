"""Users: what is kept and shown, and what clients send."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from core.kernel.caller import Role
from core.kernel.model import (
    Body,
    Bool,
    Choice,
    Email,
    FilledLine,
    Model,
    Paged,
    Part,
    Phone,
    Resource,
    Text,
    Timestamp,
)


class Preferences(Model):
    """Which messages a user wants to get."""

    newsletter: bool = False
    notifications: bool = True


class User(Resource):
    """A person with an account. The password is kept elsewhere, in a Login."""

    username: str
    email: str
    first_name: str
    last_name: str
    phone: str | None = None
    preferences: Preferences = Preferences()
    roles: tuple[Role, ...]
    created_at: Timestamp
    updated_at: Timestamp


class LoginKind(Choice):
    """Whose login it is."""

    USER = "USER"
    DEVICE = "DEVICE"


class Login(Model):
    """The credentials of a user or a device; never shown. ``id`` is the user's or the device's.

    ``username_key`` and ``email_key`` are name and address with case folded, each unique within the tenant; a device
    has no address.
    """

    id: str
    tenant_id: str
    kind: LoginKind
    username_key: str
    email_key: str | None = None
    password_hash: str = Field(repr=False)


def name_key(text: str) -> str:
    """A user name or e-mail address as it is compared: ignoring case."""
    return text.casefold()


def _no_surrogates(secret: SecretStr) -> SecretStr:
    if any("\ud800" <= char <= "\udfff" for char in secret.get_secret_value()):
        raise PydanticCustomError("INVALID_FORMAT", "must not contain lone surrogates")
    return secret


#: A password as given at a login: never shown or logged.
Secret = Annotated[
    SecretStr,
    Field(max_length=256),
    AfterValidator(_no_surrogates),
    WithJsonSchema({"type": "string", "format": "password", "writeOnly": True, "maxLength": 256}),
]
#: A new password.
Password = Annotated[
    SecretStr,
    Field(min_length=8, max_length=256),
    AfterValidator(_no_surrogates),
    WithJsonSchema(
        {"type": "string", "format": "password", "writeOnly": True, "minLength": 8, "maxLength": 256}
    ),
]


def _no_blank(text: str) -> str:
    if any(char.isspace() or not char.isprintable() for char in text):
        raise PydanticCustomError("INVALID_FORMAT", "must not contain white space or control characters")
    return text


Username = Annotated[
    Text,
    Field(min_length=3, max_length=50, json_schema_extra={"pattern": "^[^\\s\\u0000-\\u001f\\u007f]*$"}),
    AfterValidator(_no_blank),
]
PersonName = Annotated[FilledLine, Field(max_length=100)]


class PreferencesDraft(Part):
    """Which messages a user wants to get; members that are left out get the defaults of a new user."""

    newsletter: Bool = False
    notifications: Bool = True


class _Profile(Body):
    READ_ONLY: ClassVar[frozenset[str]] = Body.READ_ONLY | {"roles"}

    username: Username
    email: Email
    first_name: PersonName
    last_name: PersonName
    phone: Phone | None = None
    preferences: PreferencesDraft = PreferencesDraft()


class UserDraft(_Profile):
    """What a client sends to register a user."""

    password: Password


class UserChange(_Profile):
    """The new profile of a user; without ``password`` the current one is kept.

    Whoever changes their own password or e-mail address gives their ``current_password``.
    """

    password: Password | None = None
    current_password: Secret | None = None


class UserFilter(Paged):
    """Which users to list: by whole name or e-mail address, without regard to case."""

    username: str | None = Field(default=None, max_length=50)
    email: str | None = Field(default=None, max_length=254)
