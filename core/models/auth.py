"""Logins: sessions, and what clients send and get."""

from datetime import datetime

from pydantic import Field

from core.kernel.caller import Scope
from core.kernel.model import Body, Model, Timestamp
from core.models.users import Secret


class LoginSession(Model):
    """One login, renewed by refresh tokens; it ends by being removed. Never shown.

    ``owner_id`` is the user's or the device's id. ``generation`` is that of the one valid refresh token: earlier ones
    are spent; a login at the pages of OAuth has none, and is 0. What an OAuth client was given for a user has its
    ``client_id``, the ``grant_id`` of what they allowed, and the ``scopes``.
    """

    id: str
    tenant_id: str
    owner_id: str
    generation: int
    client_id: str | None = None
    grant_id: str | None = None
    scopes: tuple[Scope, ...] | None = None
    created_at: datetime
    expires_at: datetime


class LoginRequest(Body):
    """Name and password of a user, or of a device."""

    username: str = Field(min_length=1, max_length=100)
    """The name of the user or the device."""
    password: Secret
    """The password."""


class RefreshRequest(Body):
    """The refresh token of the last response."""

    refresh_token: str = Field(min_length=1, max_length=1024, repr=False)
    """The refresh token of the last response."""


class LoggedIn(Model):
    """Who has logged in; a device has no e-mail address."""

    id: str
    """The id of the user or the device."""
    username: str
    """The name that was logged in with."""
    email: str | None = None
    """The e-mail address; a device has none."""


class Tokens(Model):
    """An access token, and the refresh token to get the next one with, which can be used once."""

    access_token: str = Field(repr=False)
    """What every call that needs a login carries."""
    token: str = Field(repr=False)
    """The access token once more, under its older name."""
    token_type: str = "Bearer"  # noqa: S105 - its kind, not a secret
    """What kind of token it is: Bearer."""
    expires_in: int
    """Seconds until the access token expires."""
    expires_at: Timestamp
    """When the access token expires."""
    refresh_token: str = Field(repr=False)
    """Gets the next tokens; it can be used once."""
    scope: str
    """The scopes of the access token, separated by spaces."""
    user: LoggedIn
    """Who has logged in."""
