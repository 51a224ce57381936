"""Tokens looked into (RFC 7662) and ended (RFC 7009) by who holds them."""

from core.auth.callers import of_claims
from core.kernel.caller import Credentials, Scope, visitor
from core.kernel.errors import StoreError
from core.kernel.ids import TenantId
from core.models.auth import LoginSession
from core.models.oauth import GrantType, OAuthClient
from core.services.oauth.errors import OAuthError, OAuthErrorCode
from core.services.tokens import read_refresh
from core.store.context import Context
from core.store.parts import StoreParts
from core.store.store import Store

_INACTIVE: dict[str, object] = {"active": False}


def _asks_for_all(client: OAuthClient) -> bool:
    """Whether a client is a resource server: it may read accounts of its own accord, and so what their tokens say."""
    return GrantType.CLIENT_CREDENTIALS in client.grant_types and Scope.READ_USER in client.scopes


async def introspect(store: StoreParts, client: OAuthClient, token: str, address: str) -> dict[str, object]:
    """What a token says, to its own client and to resource servers of the tenant; to others it is not active.

    Raises:
        OAuthError: a client without a secret may not ask.
    """
    if not client.confidential:
        raise OAuthError(
            OAuthErrorCode.UNAUTHORIZED_CLIENT, "Only clients with a secret may look into tokens."
        )
    said = await _read_access(store, token, address) or await _read_renewal(store, client, token)
    if said is None or said["tid"] != client.tenant_id:
        return _INACTIVE
    if said.get("client_id") != client.id and not _asks_for_all(client):
        return _INACTIVE
    return {"active": True, "iss": store.public_url, **said}


async def _read_access(store: StoreParts, token: str, address: str) -> dict[str, object] | None:
    claims = store.signer.verify(token, store.clock())
    if claims is None:
        return None
    try:
        await store.authenticator.authenticate(Credentials(address, token=token))
    except StoreError:
        return None
    shown = ("tid", "sub", "username", "client_id", "scope", "iat", "exp", "jti")
    return {"token_type": "Bearer", **{name: claims[name] for name in shown if name in claims}}


async def _read_renewal(store: StoreParts, client: OAuthClient, token: str) -> dict[str, object] | None:
    read = read_refresh(store, token)
    if read is None or read.tenant != client.tenant_id:
        return None
    async with store.storage.read(read.tenant) as tx:
        session = await tx.get(LoginSession, read.session_id)
    if session is None or session.generation != read.generation or session.expires_at <= store.clock():
        return None
    if session.client_id is None:
        return None  # Of the store's own login; no resource server gets to see one.
    return {
        "tid": session.tenant_id,
        "sub": session.owner_id,
        "client_id": session.client_id,
        "scope": " ".join(sorted(session.scopes or ())),
        "exp": int(session.expires_at.timestamp()),
    }


async def revoke(store: Store, client: OAuthClient, token: str, address: str) -> None:
    """End a token of a client, and with it all that came of the same code: a token that is no longer good is no error.

    Raises:
        OAuthError: it is another client's (RFC 7009, section 2.1).
    """
    tenant = TenantId(client.tenant_id)
    claims = store.signer.verify(token, store.clock())
    read = read_refresh(store, token)
    if claims is not None:
        try:
            caller, _ = of_claims(claims, address)
        except (KeyError, ValueError, TypeError, IndexError, OverflowError):
            return
        owner, session_id, of_tenant = caller.client_id, caller.session_id, caller.tenant
    elif read is not None:
        async with store.storage.read(read.tenant) as tx:
            session = await tx.get(LoginSession, read.session_id)
        if session is None:
            return
        owner, session_id, of_tenant = session.client_id, session.id, read.tenant
    else:
        return
    if owner != client.id or of_tenant != tenant or session_id is None:
        raise OAuthError(OAuthErrorCode.UNAUTHORIZED_CLIENT, "The token was not issued to this client.")

    async def end(ctx: Context) -> None:
        await (await ctx.tx()).delete(LoginSession, session_id)
        ctx.revoke(f"session:{session_id}")

    await store.write(visitor(tenant, address), end)
