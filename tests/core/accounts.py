"""People who register and log in, for tests."""

from typing import Any

from core.kernel.caller import Caller, Credentials
from core.models.auth import Tokens
from core.models.users import User
from core.services.auth import LOG_IN
from core.services.users import REGISTER
from tests.core.stores import Shop

ADDRESS = "192.0.2.1"
PASSWORD = "correct horse battery"


def profile(username: str = "maria", **more: Any) -> dict[str, Any]:
    """What registers somebody, but for the password."""
    return {
        "username": username,
        "email": f"{username}@example.com",
        "firstName": username.capitalize(),
        "lastName": "Lopez",
        **more,
    }


async def register(shop: Shop, username: str = "maria", **more: Any) -> User:
    """Register somebody; the first one in a shop becomes STAFF."""
    body = profile(username, password=PASSWORD, **more)
    user: User = await shop.call(REGISTER, shop.visitor, body)
    return user


async def log_in(shop: Shop, username: str = "maria", password: str = PASSWORD) -> Tokens:
    """Log somebody in."""
    tokens: Tokens = await shop.call(LOG_IN, shop.visitor, {"username": username, "password": password})
    return tokens


async def by_token(shop: Shop, token: str, tenant: str | None = None) -> Caller:
    """Who the token belongs to."""
    return await shop.store.authenticator.authenticate(Credentials(ADDRESS, tenant=tenant, token=token))


async def by_key(shop: Shop, key: str, tenant: str | None = None) -> Caller:
    """Who the API key belongs to."""
    return await shop.store.authenticator.authenticate(Credentials(ADDRESS, tenant=tenant, api_key=key))


async def known(shop: Shop, username: str = "maria") -> Caller:
    """Register somebody, log them in, and find out who they are by their token."""
    await register(shop, username)
    return await by_token(shop, (await log_in(shop, username)).access_token)
