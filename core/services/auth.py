"""Logging in, refreshing and logging out."""

import base64
import hmac
import struct
import uuid
from datetime import datetime, timedelta

from core.auth.callers import ACCESS_LIFE, access_claims, of_login
from core.auth.passwords import account_of
from core.kernel.caller import SCOPES_OF, Role
from core.kernel.errors import ErrorCode, Forbidden, Unauthorized
from core.kernel.ids import SHARED_TENANT, TenantId, new_id
from core.kernel.model import NoParams
from core.models import examples
from core.models.auth import LoggedIn, LoginRequest, LoginSession, RefreshRequest, Tokens
from core.models.users import Login
from core.ports.records import Transaction
from core.store.context import Context
from core.store.operation import AnyOperation, Operation
from core.store.parts import StoreParts
from core.store.transactions import transact

REFRESH_LIFE = timedelta(days=30)

_REFRESH = struct.Struct(">16s16sI")
_MAC_BYTES = 24


# --- logging in ---


async def _check_password(ctx: Context, _: NoParams, body: LoginRequest) -> Login:
    return await ctx.store.passwords.check(
        ctx.tenant, ctx.caller.address, body.username, body.password.get_secret_value()
    )


async def _log_in(ctx: Context, _: NoParams, __: LoginRequest) -> Tokens:
    tx = await ctx.tx()
    checked = ctx.prepared
    assert isinstance(checked, Login)
    if await tx.get(Login, checked.id, lock=True) != checked:
        raise Unauthorized("The user name or the password is wrong.")
    session = LoginSession(
        id=new_id(),
        tenant_id=ctx.tenant,
        owner_id=checked.id,
        generation=1,
        created_at=ctx.now,
        expires_at=ctx.now + REFRESH_LIFE,
    )
    await tx.insert(session)
    return _issue(ctx.store, session, *await account_of(tx, checked), ctx.now)


# --- tokens ---


def _issue(store: StoreParts, session: LoginSession, shown: LoggedIn, role: Role, now: datetime) -> Tokens:
    issued_at = now.replace(microsecond=0)
    caller = of_login(
        TenantId(session.tenant_id), shown, role, issued_at + ACCESS_LIFE, session_id=session.id
    )
    access_token = store.signer.sign(access_claims(caller, new_id(), issued_at))
    return Tokens(
        access_token=access_token,
        token=access_token,
        expires_in=int(ACCESS_LIFE.total_seconds()),
        expires_at=issued_at + ACCESS_LIFE,
        refresh_token=_write_refresh(store, session),
        scope=" ".join(sorted(SCOPES_OF[role])),
        user=shown,
    )


def _write_refresh(store: StoreParts, session: LoginSession) -> str:
    """A refresh token: opaque text that only this store can have made."""
    body = _REFRESH.pack(uuid.UUID(session.tenant_id).bytes, uuid.UUID(session.id).bytes, session.generation)
    return base64.urlsafe_b64encode(body + _mac(store, body)).decode()


def _read_refresh(store: StoreParts, token: str) -> tuple[TenantId, str, int]:
    """Tenant, session and generation of a refresh token."""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        body, mac = raw[: _REFRESH.size], raw[_REFRESH.size :]
        tenant, session, generation = _REFRESH.unpack(body)
    except (ValueError, struct.error):
        raise Unauthorized("The refresh token is invalid.") from None
    if not hmac.compare_digest(mac, _mac(store, body)):
        raise Unauthorized("The refresh token is invalid.")
    return TenantId(str(uuid.UUID(bytes=tenant))), str(uuid.UUID(bytes=session)), generation


def _mac(store: StoreParts, body: bytes) -> bytes:
    return store.signer.digest(b"refresh token\0" + body)[:_MAC_BYTES]


# --- refreshing ---


async def _rotate(ctx: Context, _: NoParams, body: RefreshRequest) -> Tokens:
    """Spend a refresh token for new tokens.

    In a transaction of its own, for two reasons: a client that names no tenant means the token's, and the end of a
    family whose token was spent twice must be kept though the client is refused.
    """
    store = ctx.store
    tenant, session_id, generation = _read_refresh(store, body.refresh_token)
    names_none = ctx.caller.is_visitor and ctx.tenant == SHARED_TENANT
    if tenant != ctx.tenant and not names_none:
        raise Forbidden("The refresh token is of another tenant.")
    tokens = await transact(store.storage, tenant, lambda tx: _spend(ctx, tx, session_id, generation))
    if tokens is None:
        await store.revocations.revoke((f"session:{session_id}",))
        raise Unauthorized("The refresh token was spent before; its login has ended.")
    return tokens


async def _spend(ctx: Context, tx: Transaction, session_id: str, generation: int) -> Tokens | None:
    """New tokens; None when the refresh token was spent before, which ends the session."""
    session = await tx.get(LoginSession, session_id, lock=True)
    if session is None or session.expires_at <= ctx.now:
        raise Unauthorized("The login has ended.")
    if session.generation != generation:
        await tx.delete(LoginSession, session_id)
        return None
    login = await tx.get(Login, session.owner_id)
    assert login is not None
    session = session.model_copy(update={"generation": generation + 1, "expires_at": ctx.now + REFRESH_LIFE})
    await tx.update(session)
    return _issue(ctx.store, session, *await account_of(tx, login), ctx.now)


async def _refreshed(ctx: Context, _: NoParams, __: RefreshRequest) -> Tokens:
    assert isinstance(ctx.prepared, Tokens)
    return ctx.prepared


# --- logging out ---


async def _log_out(ctx: Context, _: NoParams, __: None) -> None:
    session_id = ctx.caller.session_id
    if session_id is None:
        raise Forbidden("An API key has no login to end; delete the key.")
    await (await ctx.tx()).delete(LoginSession, session_id)
    ctx.revoke(f"session:{session_id}")


_TOKENS_EXAMPLE = {
    "accessToken": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…",
    "token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…",
    "tokenType": "Bearer",
    "expiresIn": 3600,
    "expiresAt": "2026-01-31T09:15:00.000Z",
    "refreshToken": "AAAAAAAAAAAAAAAAAAAAAAGaKzxNXn9g…",
    "scope": "chat:write read:orders read:pets read:user write:orders write:user",
    "user": {"id": examples.USER_ID, "username": "maria", "email": "maria@example.com"},
}

LOG_IN = Operation(
    name="login",
    tag="Authentication",
    summary="Log in",
    description="For users, and for devices with their own name and password. After five failures within a minute "
    "with a name from one network address, or thirty from one address, further attempts from there are refused for a "
    "while.",
    params=NoParams,
    body=LoginRequest,
    result=Tokens,
    handler=_log_in,
    prepare=_check_password,
    anonymous=True,
    writes=True,
    errors=frozenset({ErrorCode.UNAUTHORIZED}),
    body_example={"username": "maria", "password": "correct horse battery"},
    result_example=_TOKENS_EXAMPLE,
)
REFRESH = Operation(
    name="refreshToken",
    tag="Authentication",
    summary="Get new tokens for a refresh token",
    description="A refresh token can be used once. Using it again ends the login with all its tokens.",
    params=NoParams,
    body=RefreshRequest,
    result=Tokens,
    handler=_refreshed,
    prepare=_rotate,
    anonymous=True,
    writes=True,
    errors=frozenset({ErrorCode.UNAUTHORIZED}),
    body_example={"refreshToken": _TOKENS_EXAMPLE["refreshToken"]},
    result_example=_TOKENS_EXAMPLE,
)
LOG_OUT = Operation(
    name="logout",
    tag="Authentication",
    summary="Log out",
    description="Ends the login that the access token belongs to, at once and on every node.",
    params=NoParams,
    handler=_log_out,
    writes=True,
)

OPERATIONS: tuple[AnyOperation, ...] = (LOG_IN, REFRESH, LOG_OUT)
