"""What a client may get tokens for: one row of the table a grant type, and what each of them does."""

import base64
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import NamedTuple

from core.auth.authentication import hash_key
from core.auth.callers import ACCESS_LIFE, of_client
from core.auth.passwords import account_of
from core.kernel.caller import CLIENT_SCOPES, Scope, visitor
from core.kernel.errors import Unauthorized
from core.kernel.ids import TenantId, new_id
from core.models.auth import LoginSession
from core.models.oauth import AuthorizationCode, GrantType, OAuthClient, OAuthGrant
from core.models.users import Login
from core.ports.records import Equal, OneOf, Query, Transaction
from core.services.oauth.authorization import AuthorizationRequest, allow, read_scopes, within_reach
from core.services.oauth.device import poll
from core.services.oauth.errors import OAuthError, OAuthErrorCode
from core.services.oauth.pages import Visit, hold_login
from core.services.tokens import (
    REFRESH_LIFE,
    Issued,
    issue,
    issue_to,
    read_refresh,
    spend,
    write_refresh,
)
from core.store.context import Context
from core.store.store import Store

#: Logins that may come of what a user allowed one client; the oldest give way.
_MAX_SESSIONS_OF_GRANT = 20
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")

#: The parameters of a request, without those that are empty.
Form = Mapping[str, str]


class TokenResponse(NamedTuple):
    """What a client gets (RFC 6749, section 5.1)."""

    access_token: str
    expires_in: int
    scopes: frozenset[Scope]
    refresh_token: str | None = None


class Row(NamedTuple):
    """A grant type: what a client must be registered for, and what is done in a transaction.

    An error that is given back, and not raised, keeps what was done.
    """

    grant_type: GrantType
    redeem: Callable[[Context, OAuthClient, Form], Awaitable[TokenResponse | OAuthError]]


async def get_tokens(store: Store, client: OAuthClient, form: Form, address: str) -> TokenResponse:
    """Answer a request of an authenticated client for tokens.

    Raises:
        OAuthError: it is refused.
    """
    row = GRANT_TYPES.get(_required(form, "grant_type"))
    if row is None:
        raise OAuthError(OAuthErrorCode.UNSUPPORTED_GRANT_TYPE, "This grant_type is not supported.")
    if row.grant_type not in client.grant_types:
        raise OAuthError(OAuthErrorCode.UNAUTHORIZED_CLIENT, "The client is not registered for this.")
    caller = visitor(TenantId(client.tenant_id), address)
    answer = await store.write(caller, lambda ctx: row.redeem(ctx, client, form))
    if isinstance(answer, OAuthError):
        raise answer
    return answer


def _required(form: Form, name: str) -> str:
    value = form.get(name)
    if value is None:
        raise OAuthError(OAuthErrorCode.INVALID_REQUEST, f"{name} is missing.")
    return value


def _invalid(detail: str) -> OAuthError:
    return OAuthError(OAuthErrorCode.INVALID_GRANT, detail)


# --- for a user ---


async def begin_session(
    ctx: Context, client: OAuthClient, grant: OAuthGrant, scopes: frozenset[Scope]
) -> tuple[LoginSession, TokenResponse]:
    """The tokens of a client for a user who has allowed it; the transaction holds the lock of the grant.

    Raises:
        OAuthError: the user is gone.
    """
    tx = await ctx.tx()
    login = await tx.get(Login, grant.user_id)
    if login is None:
        raise _invalid("The user is no longer known.")
    shown, role = await account_of(tx, login)
    renewable = GrantType.REFRESH_TOKEN in client.grant_types
    session = LoginSession(
        id=new_id(),
        tenant_id=client.tenant_id,
        owner_id=grant.user_id,
        generation=1,
        client_id=client.id,
        grant_id=grant.id,
        scopes=tuple(sorted(scopes.intersection(grant.scopes))),
        created_at=ctx.now,
        expires_at=ctx.now + (REFRESH_LIFE if renewable else ACCESS_LIFE),
    )
    await _make_room(ctx, tx, grant)
    await tx.insert(session)
    issued = issue(ctx.store, session, shown, role, frozenset(session.scopes or ()), ctx.now)
    refresh_token = write_refresh(ctx.store, session) if renewable else None
    return session, _response(issued, refresh_token)


async def issue_by_browser(
    store: Store, request: AuthorizationRequest, visit: Visit, address: str
) -> TokenResponse:
    """Note the consent, and make the token that the browser carries (RFC 6749, section 4.2).

    Raises:
        Unauthorized: the user's login has ended.
    """
    scopes = within_reach(request, visit)

    async def work(ctx: Context) -> TokenResponse:
        tx = await ctx.tx()
        await hold_login(tx, visit)
        grant = await allow(tx, request.client, visit.account.id, scopes, ctx)
        return (await begin_session(ctx, request.client, grant, scopes))[1]

    return await store.write(visitor(request.tenant, address), work)


async def _make_room(ctx: Context, tx: Transaction, grant: OAuthGrant) -> None:
    known = await tx.find(Query(LoginSession, (Equal("grant_id", grant.id),), order="-id"))
    old = tuple(session.id for session in known[_MAX_SESSIONS_OF_GRANT - 1 :])
    if old:
        await tx.delete_all(LoginSession, (OneOf("id", old),))
        ctx.revoke(*(f"session:{session_id}" for session_id in old))


def _response(issued: Issued, refresh_token: str | None) -> TokenResponse:
    seconds = ACCESS_LIFE // timedelta(seconds=1)
    return TokenResponse(issued.token, seconds, issued.caller.scopes, refresh_token)


async def _redeem_code(ctx: Context, client: OAuthClient, form: Form) -> TokenResponse | OAuthError:
    """RFC 6749, section 4.1.3, and RFC 7636, section 4.6."""
    verifier = _required(form, "code_verifier")
    tx = await ctx.tx()
    code = await tx.get(AuthorizationCode, hash_key(_required(form, "code")), lock=True)
    if code is None or code.client_id != client.id:
        raise _invalid("The code is not one of this client.")
    if code.session_id is not None:
        # Somebody has it who should not: whichever of the two it is, what came of it ends (section 4.1.2).
        await tx.delete(LoginSession, code.session_id)
        ctx.revoke(f"session:{code.session_id}")
        return _invalid("The code was redeemed before; the tokens of its first use have ended.")
    if code.redeemable_until <= ctx.now:
        raise _invalid("The code has expired.")
    if form.get("redirect_uri") != code.redirect_uri:
        raise _invalid("redirect_uri is not that of the authorization request.")
    if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(
        challenge_of(verifier), code.code_challenge
    ):
        raise _invalid("code_verifier is not that of the authorization request.")
    grant = await tx.get(OAuthGrant, code.grant_id, lock=True)
    if grant is None:
        raise _invalid("The user has ended what they allowed.")
    session, response = await begin_session(ctx, client, grant, frozenset(code.scopes))
    await tx.update(code.model_copy(update={"session_id": session.id}))
    return response


def challenge_of(verifier: str) -> str:
    """The challenge that belongs to a verifier (RFC 7636, section 4.2, S256)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


async def _refresh(ctx: Context, client: OAuthClient, form: Form) -> TokenResponse | OAuthError:
    """RFC 6749, section 6, with rotation (RFC 9700, section 4.14.2)."""
    token = read_refresh(ctx.store, _required(form, "refresh_token"))
    if token is None or token.tenant != client.tenant_id:
        raise _invalid("The refresh token is invalid.")
    wanted = read_scopes(client, form.get("scope"))
    try:
        spent = await spend(await ctx.tx(), token, client.id, ctx.now)
    except Unauthorized as error:
        raise _invalid(error.detail) from None
    if spent is None:
        ctx.revoke(f"session:{token.session_id}")
        return _invalid("The refresh token was spent before; all tokens that came of it have ended.")
    granted = frozenset(spent.session.scopes or ())
    if "scope" in form and not (wanted and wanted <= granted):
        raise OAuthError(OAuthErrorCode.INVALID_SCOPE, "The user did not allow all of these scopes.")
    issued = issue(ctx.store, *spent, granted & wanted, ctx.now)
    return _response(issued, write_refresh(ctx.store, spent.session))


async def _redeem_device_code(ctx: Context, client: OAuthClient, form: Form) -> TokenResponse | OAuthError:
    """RFC 8628, section 3.4."""
    found = await poll(ctx, client, _required(form, "device_code"))
    if isinstance(found, OAuthError):
        return found
    _, response = await begin_session(ctx, client, found.grant, found.scopes)
    return response


# --- for the client itself ---


async def _own_right(ctx: Context, client: OAuthClient, form: Form) -> TokenResponse:
    """RFC 6749, section 4.4: no user, and so no refresh token."""
    own = CLIENT_SCOPES.intersection(client.scopes)
    wanted = read_scopes(client, form.get("scope"))
    scopes = wanted if "scope" in form else own
    if not client.confidential or not scopes or not scopes <= own:
        raise OAuthError(
            OAuthErrorCode.INVALID_SCOPE, "The client may not have such a scope of its own accord."
        )
    issued_at = ctx.now.replace(microsecond=0)
    caller = of_client(ctx.tenant, client.id, client.name, scopes, issued_at + ACCESS_LIFE, new_id())
    return _response(issue_to(ctx.store, caller, issued_at), None)


#: Every grant type, by its name in the protocol.
GRANT_TYPES: Mapping[str, Row] = {
    "authorization_code": Row(GrantType.AUTHORIZATION_CODE, _redeem_code),
    "refresh_token": Row(GrantType.REFRESH_TOKEN, _refresh),
    "urn:ietf:params:oauth:grant-type:device_code": Row(GrantType.DEVICE_CODE, _redeem_device_code),
    "client_credentials": Row(GrantType.CLIENT_CREDENTIALS, _own_right),
}
