"""Users: what is kept and shown, and what clients send."""

import re
from datetime import datetime
from typing import Annotated, ClassVar, LiteralString
from unicodedata import category, name, normalize

from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from core.kernel.caller import Role
from core.kernel.contacts import Email, Phone
from core.kernel.describing import Described
from core.kernel.model import (
    Body,
    Bool,
    Choice,
    FilledLine,
    Model,
    Paged,
    Part,
    Resource,
    Text,
    Timestamp,
)
from core.models.classic import ClassicUser


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
    classic: ClassicUser | None = Field(default=None, exclude=True)
    """What a classic client gave; the users that have it were made at the classic door, which touches no others."""
    created_at: Timestamp
    """When the user registered."""
    updated_at: Timestamp
    """When the account was last changed."""


class ExternalIdentity(Model):
    """Whom another issuer means by a subject; never shown. ``owner_id`` is the user; ``id`` stands for issuer and
    subject."""

    id: str
    tenant_id: str
    owner_id: str
    issuer: str
    subject: str
    created_at: datetime


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
    """A user name or e-mail address as it is compared: without case, after NFKC, so that what looks alike is alike.

    Case is folded first and last, for each can bring forth what the other changes.
    """
    return normalize("NFKC", normalize("NFKC", text.casefold()).casefold())


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
_MIN_PASSWORD, _MAX_PASSWORD = 8, 128
#: A new password.
Password = Annotated[
    SecretStr,
    Field(min_length=_MIN_PASSWORD, max_length=_MAX_PASSWORD),
    AfterValidator(_no_surrogates),
    WithJsonSchema(
        {
            "type": "string",
            "format": "password",
            "writeOnly": True,
            "minLength": _MIN_PASSWORD,
            "maxLength": _MAX_PASSWORD,
        }
    ),
]


def is_strong(password: str) -> bool:
    """Whether a password may be a new one of the store; the classic door takes others too."""
    return _MIN_PASSWORD <= len(password) <= _MAX_PASSWORD


_MIN_NAME, _MAX_NAME = 3, 50
#: Scripts that are written together (Unicode Technical Standard 39, section 5.1).
_WRITTEN_TOGETHER = (
    frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}),
    frozenset({"CJK", "HANGUL"}),
    frozenset({"CJK", "BOPOMOFO"}),
)


#: Letters and marks that are not seen, of those that NFKC leaves (Unicode's Default_Ignorable_Code_Point).
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_SIGNS = "._-"
#: More signs that the names of classic clients have: one of the classic store's own has the first, addresses the rest.
_CLASSIC_SIGNS = "?@+"
_MAX_CLASSIC_NAME = 100


def _one_script(text: str) -> str:
    """The name after NFKC: letters, digits, ``.``, ``_`` and ``-``, of one script.

    A name in Latin with one Cyrillic letter in it looks like somebody else's.
    """
    text = _seen_as_written(text, _SIGNS, "must consist of letters, digits, '.', '_' and '-'")
    if not _MIN_NAME <= len(text) <= _MAX_NAME:  # NFKC makes one letter of several, and several of one.
        raise PydanticCustomError("INVALID_LENGTH", f"must have {_MIN_NAME} to {_MAX_NAME} characters")
    return text


def _classic_name(text: str) -> str:
    """The name of a classic client's user: as all others, with more signs and of any length, but not signs alone."""
    text = _seen_as_written(
        text, _SIGNS + _CLASSIC_SIGNS, "must consist of letters, digits, '.', '_', '-', '?', '@' and '+'"
    )
    if not any(category(char)[0] in "LN" for char in text):
        raise PydanticCustomError("INVALID_FORMAT", "must have a letter or a digit")
    if len(text) > _MAX_CLASSIC_NAME:
        raise PydanticCustomError("INVALID_LENGTH", f"must have at most {_MAX_CLASSIC_NAME} characters")
    return text


def _seen_as_written(text: str, signs: str, rule: LiteralString) -> str:
    """The name after NFKC: letters, digits and some signs, of one script; ``rule`` is told when it is not.

    The script of a letter is the first word of its name in Unicode, which is all that the standard library knows of it.
    """
    text = normalize("NFKC", text)
    scripts = set()
    for char in text:
        if char in signs:
            continue
        kind = category(char)
        if (kind[0] not in "LM" and kind != "Nd") or _UNSEEN.match(char):
            raise PydanticCustomError("INVALID_FORMAT", rule)
        if kind[0] == "L":
            scripts.add(name(char, "?").partition(" ")[0])
    if len(scripts) > 1 and not any(scripts <= together for together in _WRITTEN_TOGETHER):
        raise PydanticCustomError("INVALID_FORMAT", "must not mix scripts, such as Latin and Cyrillic")
    return text


#: What is no letter in ASCII; the rest cannot be said for all dialects of regular expressions.
_NAME_PATTERN = r"^[^\u0000-\u002c\u002f\u003a-\u0040\u005b-\u005e\u0060\u007b-\u00a0]*$"
Username = Annotated[
    Text,
    Field(min_length=_MIN_NAME, max_length=_MAX_NAME, json_schema_extra={"pattern": _NAME_PATTERN}),
    AfterValidator(_one_script),
]
#: A user name that a classic client gives.
ClassicUsername = Annotated[
    Text, Field(min_length=1, max_length=_MAX_CLASSIC_NAME), AfterValidator(_classic_name)
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
