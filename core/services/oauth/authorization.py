"""A user allows a client to act for them: the client's request, the user's consent, the code (RFC 6749, section 4.1).

The browser carries the request; PKCE (RFC 7636) with S256 binds the code to who began it, and it is redeemed once.
"""

import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple

from core.auth.authentication import hash_key
from core.kernel.caller import SCOPES_OF, Scope, visitor
from core.kernel.ids import TenantId, new_id
from core.models.oauth import (
    LOOPBACK,
    AuthorizationCode,
    GrantType,
    OAuthClient,
    OAuthGrant,
    same_redirect_uri,
)
from core.ports.records import Equal, OneOf, Query, Taken, Transaction, TransientFailure
from core.services.oauth.clients import find_client
from core.services.oauth.errors import OAuthError, OAuthErrorCode, RefusedAuthorization
from core.services.oauth.pages import Visit, hold_login
from core.store.context import Context
from core.store.parts import StoreParts
from core.store.store import Store

#: A browser brings a code within moments.
_CODE_LIFE = timedelta(seconds=60)
#: How long a code that was redeemed is known, so that one that comes again is noticed.
_CODE_MEMORY = timedelta(minutes=10)
#: Codes of one user and client that may wait to be redeemed; the oldest give way.
_MAX_WAITING_CODES = 5
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_MAX_STATE_CHARACTERS = 4096
#: What a client must be registered for, by what it asks the browser to carry.
RESPONSE_TYPES = {"code": GrantType.AUTHORIZATION_CODE, "token": GrantType.IMPLICIT}


class AuthorizationRequest(NamedTuple):
    """What a client asks a user for.

    ``redirect_uri`` is where the browser goes next; ``named_uri`` is what the request itself said, if anything. Without
    a ``code_challenge`` the browser carries the token itself, and no code (RFC 6749, section 4.2).
    """

    client: OAuthClient
    redirect_uri: str
    named_uri: str | None
    scopes: frozenset[Scope]
    code_challenge: str | None
    state: str | None

    @property
    def is_implicit(self) -> bool:
        """Whether the browser carries the token itself."""
        return self.code_challenge is None

    @property
    def tenant(self) -> TenantId:
        """The tenant whose users are asked: the client's."""
        return TenantId(self.client.tenant_id)


# --- the request ---


async def read_request(store: StoreParts, parameters: Iterable[tuple[str, str]]) -> AuthorizationRequest:
    """Check an authorization request (RFC 6749, section 4.1.1; RFC 7636, section 4.3). Unknown parameters are ignored.

    Raises:
        RefusedAuthorization: it is refused, and the client may be told.
        OAuthError: the same, but who asks, or where the browser would go, is not known: it must stay here.
    """
    found: dict[str, str] = {}
    twice: set[str] = set()
    for name, value in parameters:
        twice |= {name} & found.keys()
        found[name] = value
    if not twice.isdisjoint(("client_id", "redirect_uri", "state")):
        raise OAuthError(
            OAuthErrorCode.INVALID_REQUEST, "client_id, redirect_uri or state is given more than once."
        )
    client = await find_client(store, found.get("client_id", ""))
    if client is None:
        raise OAuthError(OAuthErrorCode.INVALID_CLIENT, "No application is registered under this client_id.")
    named_uri = found.get("redirect_uri") or None
    redirect_uri = _redirect_uri(client, named_uri)
    state = found.get("state")
    if state is not None and len(state) > _MAX_STATE_CHARACTERS:
        raise OAuthError(OAuthErrorCode.INVALID_REQUEST, "state is too long.")
    scopes = read_scopes(client, found.get("scope"))
    refusal = (
        (OAuthErrorCode.INVALID_REQUEST, "A parameter is given more than once.")
        if twice
        else _refusal(client, found)
    )
    if refusal is None and not scopes:
        refusal = OAuthErrorCode.INVALID_SCOPE, "The client may not ask for such a scope."
    if refusal is not None:
        raise RefusedAuthorization(
            *refusal,
            redirect_uri,
            state,
            trusted=not client.dynamic,
            in_fragment=found.get("response_type") == "token",
        )
    challenge = found["code_challenge"] if found["response_type"] == "code" else None
    return AuthorizationRequest(client, redirect_uri, named_uri, scopes, challenge, state)


def _refusal(client: OAuthClient, found: Mapping[str, str]) -> tuple[OAuthErrorCode, str] | None:
    """What the client is told is wrong with its request: the first of all that could be."""
    response_type = found.get("response_type", "")
    s256 = found.get("code_challenge_method") == "S256"
    faults = (
        ("response_type" not in found, OAuthErrorCode.INVALID_REQUEST, "response_type is missing."),
        (
            response_type not in RESPONSE_TYPES,
            OAuthErrorCode.UNSUPPORTED_RESPONSE_TYPE,
            "response_type must be code.",
        ),
        (
            RESPONSE_TYPES.get(response_type) not in client.grant_types,
            OAuthErrorCode.UNAUTHORIZED_CLIENT,
            "The client is not registered for this.",
        ),
        (
            found.get("response_mode") not in (None, "query" if response_type == "code" else "fragment"),
            OAuthErrorCode.INVALID_REQUEST,
            "response_mode must be query, or fragment for a token.",
        ),
        (
            not found.keys().isdisjoint(("request", "request_uri")),
            OAuthErrorCode.INVALID_REQUEST,
            "Request objects are not supported.",
        ),
        (
            response_type == "code" and not (s256 and _CHALLENGE.fullmatch(found.get("code_challenge", ""))),
            OAuthErrorCode.INVALID_REQUEST,
            "PKCE is required: a code_challenge, its method S256.",
        ),
    )
    return next(((error, detail) for wrong, error, detail in faults if wrong), None)


def _redirect_uri(client: OAuthClient, named: str | None) -> str:
    """Where the browser goes next: one of the client's own, to the letter (RFC 9700, section 2.1)."""
    if named is None:
        if len(client.redirect_uris) == 1:
            return client.redirect_uris[0]
        raise OAuthError(OAuthErrorCode.INVALID_REQUEST, "redirect_uri is missing.")
    if not any(same_redirect_uri(registered, named) for registered in client.redirect_uris):
        raise OAuthError(
            OAuthErrorCode.INVALID_REQUEST, "redirect_uri is not one that the application registered."
        )
    return named


def read_scopes(client: OAuthClient, wanted: str | None) -> frozenset[Scope]:
    """The scopes that a client asks for, all of its own when it names none; empty when one is not its to ask for."""
    if wanted is None:
        return frozenset(client.scopes)
    names = frozenset(wanted.split())
    scopes = frozenset(client.scopes)
    return frozenset(map(Scope, names)) if names <= scopes else frozenset()


# --- consent ---


def within_reach(request: AuthorizationRequest, visit: Visit) -> frozenset[Scope]:
    """Those of the scopes asked for that the user has to give.

    Raises:
        RefusedAuthorization: none.
    """
    scopes = request.scopes & SCOPES_OF[visit.role]
    if not scopes:
        detail = "The user has none of these scopes to give."
        raise RefusedAuthorization(
            OAuthErrorCode.INVALID_SCOPE,
            detail,
            request.redirect_uri,
            request.state,
            trusted=not request.client.dynamic,
            in_fragment=request.is_implicit,
        )
    return scopes


async def is_remembered(store: StoreParts, request: AuthorizationRequest, visit: Visit) -> bool:
    """Whether the user has allowed all of this before, and need not be asked again.

    Anybody can pass for an application without a secret whose answer does not go to a web site of its own, so there
    the user is asked each time (RFC 8252, section 8.6).
    """
    client = request.client
    if request.is_implicit:
        return False
    own_site = request.redirect_uri.startswith("https:")
    if not client.confidential and (not own_site or LOOPBACK.fullmatch(request.redirect_uri)):
        return False
    async with store.storage.read(request.tenant) as tx:
        grant = await _find_grant(tx, client.id, visit.account.id)
    return grant is not None and within_reach(request, visit) <= frozenset(grant.scopes)


async def _find_grant(tx: Transaction, client_id: str, user_id: str) -> OAuthGrant | None:
    found = await tx.find(Query(OAuthGrant, (Equal("user_id", user_id), Equal("client_id", client_id))))
    return found[0] if found else None


async def allow(
    tx: Transaction, client: OAuthClient, user_id: str, scopes: frozenset[Scope], ctx: Context
) -> OAuthGrant:
    """Note that a user allows a client these scopes, beside those that they allowed before.

    Raises:
        TransientFailure: somebody did so at the same time.
    """
    known = await _find_grant(tx, client.id, user_id)
    if known is not None:
        locked = await tx.get(OAuthGrant, known.id, lock=True)
        if locked is None:
            raise TransientFailure("what was allowed was ended at the same time")
        wider = tuple(sorted(scopes.union(locked.scopes)))
        if wider == locked.scopes:
            return locked
        grant = locked.model_copy(update={"scopes": wider, "updated_at": ctx.now})
        await tx.update(grant)
        return grant
    grant = OAuthGrant(
        id=new_id(),
        tenant_id=client.tenant_id,
        user_id=user_id,
        client_id=client.id,
        client_name=client.name,
        scopes=tuple(sorted(scopes)),
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    try:
        await tx.insert(grant)
    except Taken:
        raise TransientFailure("it was allowed at the same time") from None
    return grant


async def issue_code(store: Store, request: AuthorizationRequest, visit: Visit, address: str) -> str:
    """Note the consent, and make the code that the client redeems.

    Raises:
        Unauthorized: the user's login has ended.
    """
    assert request.code_challenge is not None
    code_challenge = request.code_challenge
    code = secrets.token_urlsafe(32)
    scopes = within_reach(request, visit)

    async def work(ctx: Context) -> None:
        tx = await ctx.tx()
        await hold_login(tx, visit)
        grant = await allow(tx, request.client, visit.account.id, scopes, ctx)
        waiting = await tx.find(
            Query(
                AuthorizationCode,
                (Equal("grant_id", grant.id), Equal("session_id", None)),
                order="-created_at",
            )
        )
        old = tuple(found.id for found in waiting[_MAX_WAITING_CODES - 1 :])
        if old:
            await tx.delete_all(AuthorizationCode, (OneOf("id", old),))
        await tx.insert(
            AuthorizationCode(
                id=hash_key(code),
                tenant_id=request.tenant,
                client_id=request.client.id,
                user_id=visit.account.id,
                grant_id=grant.id,
                redirect_uri=request.named_uri,
                scopes=tuple(sorted(scopes)),
                code_challenge=code_challenge,
                created_at=ctx.now,
                redeemable_until=ctx.now + _CODE_LIFE,
                expires_at=ctx.now + _CODE_MEMORY,
            )
        )

    await store.write(visitor(request.tenant, address), work)
    return code
