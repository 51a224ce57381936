"""OAuth 2.0: clients, what users allowed them, and authorization codes."""

import re
from datetime import datetime
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from core.kernel.caller import Scope
from core.kernel.describing import Described
from core.kernel.model import Body, Bool, Choice, FilledLine, Model, Resource, Timestamp

MAX_REDIRECT_URIS = 10
_MAX_URI_CHARACTERS = 500


class GrantType(Choice):
    """A way for an OAuth client to get tokens."""

    AUTHORIZATION_CODE = "AUTHORIZATION_CODE"
    """Users allow it in their browser (RFC 6749, section 4.1, with PKCE)."""
    REFRESH_TOKEN = "REFRESH_TOKEN"  # noqa: S105 - a kind of token
    """It goes on without the user until they end it (RFC 6749, section 6)."""
    CLIENT_CREDENTIALS = "CLIENT_CREDENTIALS"
    """It acts of its own accord (RFC 6749, section 4.4)."""
    IMPLICIT = "IMPLICIT"
    """Users allow it in their browser, which carries the token itself (RFC 6749, section 4.2): for clients that keep to
    the document of the classic pet store, and for its two scopes alone."""
    DEVICE_CODE = "DEVICE_CODE"
    """Users allow it on another device, by a code that it shows (RFC 8628)."""


# --- redirect URIs ---

#: What may follow the host: printable ASCII without what browsers and header fields read in ways of their own, without
#: fragment or wildcard. There is no user information.
_CHARACTERS = r"[!$%&'()+,\-./0-9:;=?@A-Z_a-z~]"
_TAIL = rf"(?:[/?]{_CHARACTERS}*)?"
_PORT = r"(?::[0-9]{1,5})?"
_WEB = rf"https://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?{_PORT}{_TAIL}"
_LOOPBACK_HOST = r"http://(?:127\.0\.0\.1|\[::1\]|localhost)"
#: A scheme of an application's own has the form of a domain name turned around, so that it is neither ``javascript:``
#: nor another that a browser knows (RFC 8252, section 7.1).
_OWN = rf"[a-z][a-z0-9+-]*\.[a-z0-9+.-]*:{_CHARACTERS}+"
_URI = re.compile(f"(?:{_WEB}|{_LOOPBACK_HOST}{_PORT}{_TAIL}|{_OWN})")
#: A port of the machine that the browser runs on; the groups are what must not differ.
LOOPBACK = re.compile(f"({_LOOPBACK_HOST}){_PORT}({_TAIL})")


def _redirect_uri(text: str) -> str:
    """A URI that a browser can be sent to (RFC 6749, section 3.1.2; RFC 8252, section 7)."""
    if _URI.fullmatch(text) is None:
        raise PydanticCustomError(
            "INVALID_FORMAT",
            "must be an absolute URI in ASCII without fragment: https, http on 127.0.0.1, [::1] or localhost, or of a "
            "scheme with a dot in it such as com.example.app; scheme and host in lower case",
        )
    return text


RedirectUri = Annotated[
    str,
    Field(min_length=1, max_length=_MAX_URI_CHARACTERS, json_schema_extra={"pattern": f"^{_URI.pattern}$"}),
    AfterValidator(_redirect_uri),
]


def same_redirect_uri(registered: str, given: str) -> bool:
    """Whether it is the registered one, to the letter; on loopback addresses any port will do (RFC 8252, 7.3)."""
    if registered == given:
        return True
    ours, theirs = LOOPBACK.fullmatch(registered), LOOPBACK.fullmatch(given)
    return ours is not None and theirs is not None and ours.groups() == theirs.groups()


# --- clients ---


class OAuthClient(Model):
    """A program of somebody else that acts for users, or of its own accord. Never shown; ``id`` is its ``client_id``,
    unique among all tenants.

    ``secret_hash`` is the SHA-256 of the secret of a confidential one, in hexadecimal. ``dynamic``: it registered
    itself.
    """

    id: str
    tenant_id: str
    name: str
    redirect_uris: tuple[str, ...]
    grant_types: tuple[GrantType, ...]
    scopes: tuple[Scope, ...]
    secret_hash: str | None = Field(default=None, repr=False)
    dynamic: bool = False
    created_at: datetime

    @property
    def confidential(self) -> bool:
        """Whether it can keep a secret."""
        return self.secret_hash is not None


class OAuthClientInfo(Resource):
    """What is shown of an OAuth client; its secret is never shown again."""

    name: str
    """What it is called, to users too."""
    redirect_uris: tuple[str, ...]
    """Where browsers may be sent back to."""
    grant_types: tuple[GrantType, ...]
    """How it may get tokens."""
    scopes: tuple[Scope, ...]
    """What it may ask for."""
    confidential: bool
    """Whether it has a secret."""
    created_at: Timestamp
    """When it was registered."""

    @classmethod
    def of(cls, client: OAuthClient) -> Self:
        """What is shown of a client."""
        shown = client.model_dump(by_alias=False, exclude={"secret_hash", "dynamic"})
        return cls.model_validate(shown | {"confidential": client.confidential})


class NewOAuthClient(OAuthClientInfo):
    """A new OAuth client, with its secret."""

    secret: str | None = Field(default=None, repr=False)
    """The secret of a confidential client; shown only this once."""


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class OAuthClientDraft(Body):
    """What a client sends to register an OAuth client: its scopes must be among the caller's own."""

    LIKE: ClassVar[type[Described] | None] = OAuthClientInfo

    name: Annotated[FilledLine, Field(max_length=100)]
    redirect_uris: list[RedirectUri] = Field(default=[], max_length=MAX_REDIRECT_URIS)
    grant_types: list[GrantType] = Field(min_length=1, max_length=len(GrantType) * 2)
    scopes: list[Annotated[Scope, BeforeValidator(_lower)]] = Field(min_length=1, max_length=50)
    confidential: Bool = False


# --- what users allowed ---


class OAuthGrant(Model):
    """What a user allowed an OAuth client; one for each user and client. It ends by being removed. Never shown."""

    id: str
    tenant_id: str
    user_id: str
    client_id: str
    client_name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    updated_at: datetime


class OAuthGrantInfo(Resource):
    """An application that the user has allowed to act for them."""

    client_id: str
    """The OAuth client."""
    client_name: str
    """What it was called when the user allowed it."""
    scopes: tuple[Scope, ...]
    """What the user allowed."""
    created_at: Timestamp
    """When the user first allowed it."""
    updated_at: Timestamp
    """When the user last allowed it more."""

    @classmethod
    def of(cls, grant: OAuthGrant) -> Self:
        """What is shown of what a user allowed."""
        return cls.model_validate(grant.model_dump(by_alias=False, exclude={"user_id"}))


class AuthorizationCode(Model):
    """What a client gets by way of the user's browser, to be redeemed once (RFC 6749, section 4.1.2). Never shown.

    ``id`` is the SHA-256 of the code in hexadecimal. ``redirect_uri`` is what the request named, if it did.
    ``code_challenge`` is the SHA-256 of the verifier (RFC 7636, S256). ``session_id`` is what it was redeemed for, or
    None: it is kept beyond that, to ``expires_at``, so that whoever comes with it again is noticed.
    """

    id: str
    tenant_id: str
    client_id: str
    user_id: str
    grant_id: str
    redirect_uri: str | None
    scopes: tuple[Scope, ...]
    code_challenge: str
    session_id: str | None = None
    created_at: datetime
    redeemable_until: datetime
    expires_at: datetime


# --- devices without a browser ---


class DeviceCodeStatus(Choice):
    """What became of a device's request."""

    WAITING = "WAITING"
    ALLOWED = "ALLOWED"
    DENIED = "DENIED"


class DeviceCode(Model):
    """What a device without a browser polls with, until its user has decided elsewhere (RFC 8628). Never shown.

    ``id`` is the SHA-256 of the device code in hexadecimal; ``user_code_hash`` a keyed hash of what the user types,
    unique among all tenants. ``address`` is where the device asked from. The device may ask again ``interval_seconds``
    after ``polled_at``. It is known beyond ``redeemable_until``, to ``expires_at``, so that the device is told why.
    """

    id: str
    tenant_id: str
    user_code_hash: str
    client_id: str
    scopes: tuple[Scope, ...]
    address: str
    status: DeviceCodeStatus
    grant_id: str | None = None
    interval_seconds: int
    polled_at: datetime | None = None
    created_at: datetime
    redeemable_until: datetime
    expires_at: datetime
