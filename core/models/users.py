"""Users: what is kept and shown, and what clients send."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from core.kernel.caller import Role
from core.kernel.describing import Described
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
    """Whether to send the newsletter."""
    notifications: bool = True
    """Whether to tell what happens to orders and chats."""


class User(Resource):
    """A person with an account. The password is kept elsewhere, in a Login."""

    username: str
    """The name to log in with, unique in the tenant."""
    email: str
    """The e-mail address, unique in the tenant."""
    first_name: str
    """The first name."""
    last_name: str
    """The last name."""
    phone: str | None = None
    """The phone number (E.164)."""
    preferences: Preferences = Preferences()
    """Which messages the user wants to get."""
    roles: tuple[Role, ...]
    """What the user is in the store."""
    created_at: Timestamp
    """When the user registered."""
    updated_at: Timestamp
    """When the account was last changed."""


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

    LIKE: ClassVar[type[Described] | None] = Preferences

    newsletter: Bool = False
    notifications: Bool = True


class _Profile(Body):
    LIKE: ClassVar[type[Described] | None] = User

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
    """The password to log in with."""


class UserChange(_Profile):
    """The new profile of a user."""

    password: Password | None = None
    """A new password; without one the present one is kept."""
    current_password: Secret | None = None
    """The present password: whoever changes their own password or e-mail address gives it."""


class UserFilter(Paged):
    """Which users to list: by whole name or e-mail address, without regard to case."""

    username: str | None = Field(default=None, max_length=50)
    """Only the user of this whole name, ignoring case."""
    email: str | None = Field(default=None, max_length=254)
    """Only the user with this whole address, ignoring case."""
