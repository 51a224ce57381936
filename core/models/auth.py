"""Logins: sessions, and what clients send and get."""

from datetime import datetime

from pydantic import Field

from core.kernel.model import Body, Model, Timestamp
from core.models.users import Secret


class LoginSession(Model):
    """One login, renewed by refresh tokens; it ends by being removed. Never shown.

    ``owner_id`` is the user's or the device's id. ``generation`` is that of the one valid refresh token: earlier ones
    are spent.
    """

    id: str
    tenant_id: str
    owner_id: str
    generation: int
    created_at: datetime
    expires_at: datetime


class LoginRequest(Body):
    """Name and password of a user, or of a device."""

    username: str = Field(min_length=1, max_length=100)
    password: Secret


class RefreshRequest(Body):
    """The refresh token of the last response."""

    refresh_token: str = Field(min_length=1, max_length=1024, repr=False)


class LoggedIn(Model):
    """Who has logged in; a device has no e-mail address."""

    id: str
    username: str
    email: str | None = None


class Tokens(Model):
    """An access token, and the refresh token to get the next one with, which can be used once.

    ``token`` repeats ``accessToken``. ``expires_in`` is in seconds; ``scope`` lists scopes separated by
    spaces.
    """

    access_token: str = Field(repr=False)
    token: str = Field(repr=False)
    token_type: str = "Bearer"  # noqa: S105 - its kind, not a secret
    expires_in: int
    expires_at: Timestamp
    refresh_token: str = Field(repr=False)
    scope: str
    user: LoggedIn
