"""Logging in, refreshing and logging out."""

from datetime import datetime

from core.auth.callers import ACCESS_LIFE
from core.auth.passwords import account_of
from core.kernel.caller import SCOPES_OF, Role
from core.kernel.errors import ErrorCode, Forbidden, Unauthorized
from core.kernel.ids import SHARED_TENANT, new_id
from core.kernel.model import NoParams
from core.models import examples
from core.models.auth import LoggedIn, LoginRequest, LoginSession, RefreshRequest, Tokens
from core.models.users import Login
from core.services.tokens import REFRESH_LIFE, issue, make_room, read_refresh, spend, write_refresh
from core.store.context import Context
from core.store.operation import AnyOperation, Operation
from core.store.parts import StoreParts
from core.store.transactions import transact

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
    await make_room(ctx, tx, checked.id)
    await tx.insert(session)
    return _tokens(ctx.store, session, *await account_of(tx, checked), ctx.now)


# --- tokens ---


def _tokens(store: StoreParts, session: LoginSession, shown: LoggedIn, role: Role, now: datetime) -> Tokens:
    issued = issue(store, session, shown, role, SCOPES_OF[role], now)
    return Tokens(
        access_token=issued.token,
        token=issued.token,
        expires_in=int(ACCESS_LIFE.total_seconds()),
        expires_at=issued.expires_at,
        refresh_token=write_refresh(store, session),
        scope=" ".join(sorted(issued.caller.scopes)),
        user=shown,
    )


# --- refreshing ---


async def _rotate(ctx: Context, _: NoParams, body: RefreshRequest) -> Tokens:
    """Spend a refresh token for new tokens.

    In a transaction of its own, for two reasons: a client that names no tenant means the token's, and the end of a
    family whose token was spent twice must be kept though the client is refused.
    """
    store = ctx.store
    token = read_refresh(store, body.refresh_token)
    if token is None:
        raise Unauthorized("The refresh token is invalid.")
    names_none = ctx.caller.is_visitor and ctx.tenant == SHARED_TENANT
    if token.tenant != ctx.tenant and not names_none:
        raise Forbidden("The refresh token is of another tenant.")
    spent = await transact(store.storage, token.tenant, lambda tx: spend(tx, token, None, ctx.now))
    if spent is None:
        await store.revocations.revoke((f"session:{token.session_id}",))
        raise Unauthorized("The refresh token was spent before; its login has ended.")
    return _tokens(store, *spent, ctx.now)


async def _refreshed(ctx: Context, _: NoParams, __: RefreshRequest) -> Tokens:
    assert isinstance(ctx.prepared, Tokens)
    return ctx.prepared


# --- logging out ---


async def _log_out(ctx: Context, _: NoParams, __: None) -> None:
    session_id = ctx.caller.session_id
    if session_id is None:
        raise Forbidden("An API key has no login to end; delete the key. Another issuer's token ends there.")
    await (await ctx.tx()).delete(LoginSession, session_id)
    ctx.revoke(f"session:{session_id}")


_TOKENS_EXAMPLE = {
    "accessToken": "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9…",
    "token": "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9…",
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
