"""Logins of browsers at the pages of OAuth: a cookie that is good for these pages and for nothing else.

What a browser holds before it has logged in is random and kept nowhere; after that it names a login that ends with the
user's others (a new password, a deleted account).
"""

import base64
import secrets
import struct
import uuid
from datetime import timedelta
from typing import NamedTuple

from core.auth.passwords import account_of
from core.kernel.caller import Role, visitor
from core.kernel.errors import Unauthorized
from core.kernel.ids import TenantId, new_id
from core.models.auth import LoggedIn, LoginSession
from core.models.users import Login, LoginKind
from core.ports.records import Transaction
from core.services.sealing import seal, unseal
from core.services.tokens import make_room
from core.store.context import Context
from core.store.parts import StoreParts
from core.store.store import Store

PAGE_LIFE = timedelta(hours=1)

_COOKIE = struct.Struct(">16s16s")
_PURPOSE = "page cookie"
_FORM_TOKEN_BYTES = 24


class Visit(NamedTuple):
    """A browser whose user has logged in."""

    session_id: str
    account: LoggedIn
    role: Role


def new_cookie() -> str:
    """What a browser holds before it has logged in."""
    return secrets.token_urlsafe(32)


def form_token(store: StoreParts, cookie: str, about: str) -> str:
    """What a form about something carries, so that no other site can send it: a keyed hash of the cookie and that."""
    digest = store.signer.digest(f"page form\0{cookie}\0{about}".encode("utf-8", "surrogatepass"))
    return base64.urlsafe_b64encode(digest[:_FORM_TOKEN_BYTES]).decode()


async def log_in(store: Store, tenant: TenantId, address: str, username: str, password: str) -> str:
    """Log a user in; gives the new cookie.

    Raises:
        Unauthorized: a wrong name or password, or a device's.
        RateLimited: too many failed attempts.
    """
    login = await store.passwords.check(tenant, address, username, password)
    if login.kind is not LoginKind.USER:
        raise Unauthorized("The user name or the password is wrong.")

    async def begin(ctx: Context) -> LoginSession:
        tx = await ctx.tx()
        if await tx.get(Login, login.id, lock=True) != login:
            raise Unauthorized("The user name or the password is wrong.")
        session = LoginSession(
            id=new_id(),
            tenant_id=tenant,
            owner_id=login.id,
            generation=0,
            created_at=ctx.now,
            expires_at=ctx.now + PAGE_LIFE,
        )
        await make_room(ctx, tx, login.id)
        await tx.insert(session)
        return session

    session = await store.write(visitor(tenant, address), begin)
    body = _COOKIE.pack(uuid.UUID(tenant).bytes, uuid.UUID(session.id).bytes)
    return seal(store, _PURPOSE, body)


async def find_visit(store: StoreParts, tenant: TenantId, cookie: str) -> Visit | None:
    """Who has logged in with this cookie in a tenant, or None."""
    session_id = _read(store, tenant, cookie)
    if session_id is None:
        return None
    async with store.storage.read(tenant) as tx:
        session = await tx.get(LoginSession, session_id)
        if session is None or session.generation or session.expires_at <= store.clock():
            return None
        login = await tx.get(Login, session.owner_id)
        try:
            return None if login is None else Visit(session.id, *await account_of(tx, login))
        except Unauthorized:
            return None


async def hold_login(tx: Transaction, visit: Visit) -> None:
    """Pass when the user is still logged in; who ends that (a new password, the end of the account) now waits.

    Raises:
        Unauthorized: the login has ended since the page was shown.
    """
    login = await tx.get(Login, visit.account.id, lock=True)
    if login is None or await tx.get(LoginSession, visit.session_id) is None:
        raise Unauthorized("Your login has ended. Please log in again.")


async def log_out(store: Store, tenant: TenantId, address: str, cookie: str) -> None:
    """End the login of a cookie."""
    session_id = _read(store, tenant, cookie)
    if session_id is not None:

        async def end(ctx: Context) -> None:
            await (await ctx.tx()).delete(LoginSession, session_id)

        await store.write(visitor(tenant, address), end)


def _read(store: StoreParts, tenant: TenantId, cookie: str) -> str | None:
    """The login that a cookie names in this tenant."""
    body = unseal(store, _PURPOSE, cookie)
    if body is None:
        return None
    of_tenant, session = _COOKIE.unpack(body)
    return str(uuid.UUID(bytes=session)) if str(uuid.UUID(bytes=of_tenant)) == tenant else None
