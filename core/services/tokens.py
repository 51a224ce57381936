"""Access and refresh tokens of a login, whoever asked for them: the store's own login, or OAuth."""

import struct
import uuid
from datetime import datetime, timedelta
from typing import NamedTuple

from core.auth.callers import ACCESS_LIFE, access_claims, of_session
from core.auth.passwords import account_of
from core.kernel.caller import Caller, Role, Scope
from core.kernel.errors import Unauthorized
from core.kernel.ids import TenantId, new_id
from core.models.auth import LoggedIn, LoginSession
from core.models.users import Login
from core.ports.records import Equal, Query, Transaction
from core.services.sealing import seal, unseal
from core.store.context import Context
from core.store.parts import StoreParts

REFRESH_LIFE = timedelta(days=30)

_REFRESH = struct.Struct(">16s16sI")
_PURPOSE = "refresh token"


class Issued(NamedTuple):
    """An access token, and whose it is."""

    token: str
    caller: Caller
    expires_at: datetime


def issue_to(store: StoreParts, caller: Caller, issued_at: datetime) -> Issued:
    """An access token for a caller whose rights end at a whole second."""
    assert caller.expires_at is not None
    return Issued(
        store.signer.sign(access_claims(caller, new_id(), issued_at, store.public_url)),
        caller,
        caller.expires_at,
    )


def issue(
    store: StoreParts,
    session: LoginSession,
    shown: LoggedIn,
    role: Role,
    scopes: frozenset[Scope],
    now: datetime,
) -> Issued:
    """An access token of a login, with those of the scopes that the role has."""
    issued_at = now.replace(microsecond=0)
    return issue_to(store, of_session(session, shown, role, scopes, issued_at + ACCESS_LIFE), issued_at)


async def make_room(ctx: Context, tx: Transaction, owner_id: str) -> None:
    """End the login of a locked account that was refreshed the longest time ago, if there are too many."""
    of_owner = (Equal("owner_id", owner_id),)
    if await tx.count(Query(LoginSession, of_owner)) >= ctx.store.limits.logins_per_account:
        (oldest,) = await tx.find(Query(LoginSession, of_owner, "expires_at", limit=1))
        await tx.delete(LoginSession, oldest.id)
        ctx.revoke(f"session:{oldest.id}")


def write_refresh(store: StoreParts, session: LoginSession) -> str:
    """A refresh token: opaque text that only this store can have made."""
    body = _REFRESH.pack(uuid.UUID(session.tenant_id).bytes, uuid.UUID(session.id).bytes, session.generation)
    return seal(store, _PURPOSE, body)


class RefreshToken(NamedTuple):
    """What a refresh token says."""

    tenant: TenantId
    session_id: str
    generation: int


def read_refresh(store: StoreParts, token: str) -> RefreshToken | None:
    """Read a refresh token; None when it is none of this store."""
    body = unseal(store, _PURPOSE, token)
    if body is None:
        return None
    tenant, session, generation = _REFRESH.unpack(body)
    return RefreshToken(TenantId(str(uuid.UUID(bytes=tenant))), str(uuid.UUID(bytes=session)), generation)


class Spent(NamedTuple):
    """What a refresh token was spent for: the renewed login, and whose it is."""

    session: LoginSession
    account: LoggedIn
    role: Role


async def spend(tx: Transaction, token: RefreshToken, client_id: str | None, now: datetime) -> Spent | None:
    """Spend a refresh token of the store's own login (None) or of an OAuth client, which renews the login.

    None when it was spent before, which ends the login: commit that, and then revoke the login and refuse.

    Raises:
        Unauthorized: the login has ended, or is another client's.
    """
    session = await tx.get(LoginSession, token.session_id, lock=True)
    if session is None or session.expires_at <= now or session.client_id != client_id:
        raise Unauthorized("The login has ended.")
    if session.generation != token.generation:
        await tx.delete(LoginSession, session.id)
        return None
    login = await tx.get(Login, session.owner_id)
    if login is None:
        raise Unauthorized("The login has ended.")
    renewed = session.model_copy(
        update={"generation": token.generation + 1, "expires_at": now + REFRESH_LIFE}
    )
    await tx.update(renewed)
    return Spent(renewed, *await account_of(tx, login))
