"""OAuth clients: registered, listed and removed by STAFF; and which client it is that makes a request."""

import hmac
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime

from core.auth.authentication import hash_key
from core.auth.callers import client_subject
from core.kernel.addresses import network_of
from core.kernel.caller import CLIENT_SCOPES, Scope
from core.kernel.errors import (
    Conflict,
    ErrorCode,
    Forbidden,
    NotFound,
    ValidationFailed,
    Violation,
    ViolationCode,
)
from core.kernel.ids import SHARED_TENANT, TenantId, is_id, new_id
from core.kernel.model import ById, NoParams, Page, Paged
from core.models import examples
from core.models.oauth import (
    GrantType,
    NewOAuthClient,
    OAuthClient,
    OAuthClientDraft,
    OAuthClientInfo,
    OAuthGrant,
)
from core.ports.records import Equal, OneOf, Query, Transaction
from core.services.oauth.errors import OAuthError, OAuthErrorCode
from core.services.oauth.grants import end_grants
from core.services.paging import page_of
from core.store.context import Context
from core.store.operation import AnyOperation, Operation
from core.store.parts import StoreParts
from core.store.transactions import commit

#: The ``client_id`` of the store's own command line.
COMMAND_LINE = "petstore-cli"
#: Of those that STAFF register, and of those that register themselves.
_MAX_CLIENTS_OF_TENANT = 1000
#: Clients among which one is sought that gives way.
_LOOKED_THROUGH = 200
#: Those of the classic pet store's document.
_CLASSIC_SCOPES = frozenset({Scope.READ_PETS, Scope.WRITE_PETS})
#: Grants that one transaction removes.
_BATCH_RECORDS = 200


# --- which client ---


def command_line(tenant: TenantId) -> OAuthClient:
    """The store's own command line, which every tenant knows: `petstore login`. It is kept nowhere."""
    return OAuthClient(
        id=COMMAND_LINE,
        tenant_id=tenant,
        name="Petstore command line",
        redirect_uris=(),
        grant_types=(GrantType.DEVICE_CODE, GrantType.REFRESH_TOKEN),
        scopes=tuple(sorted(Scope)),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


async def find_client(
    store: StoreParts, client_id: str, tenant: TenantId = SHARED_TENANT
) -> OAuthClient | None:
    """The client of that id, in whatever tenant; the command line is in the tenant that is given."""
    if client_id == COMMAND_LINE:
        return command_line(tenant)
    return await store.storage.locate(OAuthClient, "id", client_id.lower()) if is_id(client_id) else None


async def authenticate(
    store: StoreParts, address: str, client_id: str, secret: str | None, tenant: TenantId = SHARED_TENANT
) -> OAuthClient:
    """The client that makes a request: a confidential one shows its secret, a public one has none to show.

    ``tenant`` is the one that the request names.

    Raises:
        OAuthError: it is unknown, or its secret is wrong, missing or one too many.
        RateLimited: too many failed attempts from this network.
    """
    network = network_of(address)
    await store.attempts.check(f"client:{client_id[:64]}", network)
    client = await find_client(store, client_id, tenant)
    if client is not None and client.secret_hash is None:
        good = secret is None
    else:
        good = client is not None and secret is not None and hmac.compare_digest(
            hash_key(secret), client.secret_hash or ""
        )  # fmt: skip
    if client is None or not good:
        await store.attempts.failed(f"client:{client_id[:64]}", network)
        raise OAuthError(OAuthErrorCode.INVALID_CLIENT, "The client is unknown or its secret is wrong.")
    return client


# --- registering ---


async def add_client(ctx: Context, client: OAuthClient) -> None:
    """Keep a new client.

    Those that register themselves are counted by themselves, so that they take no room from those of STAFF.

    Raises:
        Conflict: the tenant has as many as it may have.
    """
    tx = await ctx.tx()
    # Those that registered themselves take no room from those of the STAFF, nor from others of their kind.
    alike = (Equal("dynamic", client.dynamic),)
    if await tx.count(Query(OAuthClient, alike)) >= _MAX_CLIENTS_OF_TENANT:
        unused = await _oldest_unused(tx, alike) if client.dynamic else None
        if unused is None:
            raise Conflict(f"A tenant has at most {_MAX_CLIENTS_OF_TENANT} OAuth clients.")
        await tx.delete(OAuthClient, unused.id)
        ctx.revoke(client_subject(unused.id))
    await tx.insert(client)


async def _oldest_unused(tx: Transaction, alike: tuple[Equal]) -> OAuthClient | None:
    """Of the oldest clients one that no user has allowed anything."""
    oldest = await tx.find(Query(OAuthClient, alike, limit=_LOOKED_THROUGH))
    ids = OneOf("client_id", tuple(client.id for client in oldest))
    allowed = {client_id for (client_id,) in await tx.tally(OAuthGrant, ("client_id",), (ids,))}
    return next((client for client in oldest if client.id not in allowed), None)


def new_secret() -> str:
    """A new secret of a confidential client, which cannot be guessed."""
    return f"pcs_{secrets.token_urlsafe(32)}"


def violations_of(
    grant_types: frozenset[GrantType], redirect_uris: Iterable[str], scopes: frozenset[Scope], *, secret: bool
) -> list[Violation]:
    """What does not fit together in the registration of a client."""
    found = []
    if GrantType.AUTHORIZATION_CODE in grant_types and not list(redirect_uris):
        message = "must not be empty for AUTHORIZATION_CODE"
        found.append(Violation("redirectUris", message, ViolationCode.REQUIRED_FIELD))
    if GrantType.CLIENT_CREDENTIALS in grant_types:
        if not secret:
            message = "must be true for CLIENT_CREDENTIALS: who has no secret cannot act of their own accord"
            found.append(Violation("confidential", message, ViolationCode.OUT_OF_RANGE))
        if not scopes & CLIENT_SCOPES:
            message = "must hold one for CLIENT_CREDENTIALS that takes no person"
            found.append(Violation("scopes", message, ViolationCode.OUT_OF_RANGE))
    if GrantType.IMPLICIT in grant_types:
        if not list(redirect_uris):
            message = "must not be empty for IMPLICIT"
            found.append(Violation("redirectUris", message, ViolationCode.REQUIRED_FIELD))
        if len(grant_types) > 1:
            message = "must hold nothing beside IMPLICIT"
            found.append(Violation("grantTypes", message, ViolationCode.OUT_OF_RANGE))
        if not scopes <= _CLASSIC_SCOPES:
            message = "must be read:pets and write:pets at most for IMPLICIT"
            found.append(Violation("scopes", message, ViolationCode.OUT_OF_RANGE))
    if grant_types == {GrantType.REFRESH_TOKEN}:
        message = "must hold a way to get the first token"
        found.append(Violation("grantTypes", message, ViolationCode.OUT_OF_RANGE))
    return found


async def _create(ctx: Context, _: NoParams, body: OAuthClientDraft) -> NewOAuthClient:
    scopes = frozenset(body.scopes)
    if not scopes <= ctx.caller.scopes:
        raise Forbidden("You do not have all of these scopes yourself.")
    grant_types = frozenset(body.grant_types)
    violations = violations_of(grant_types, body.redirect_uris, scopes, secret=body.confidential)
    if violations:
        raise ValidationFailed(tuple(violations))
    secret = new_secret() if body.confidential else None
    client = OAuthClient(
        id=new_id(),
        tenant_id=ctx.tenant,
        name=body.name,
        redirect_uris=tuple(dict.fromkeys(body.redirect_uris)),
        grant_types=tuple(sorted(grant_types)),
        scopes=tuple(sorted(scopes)),
        secret_hash=None if secret is None else hash_key(secret),
        created_at=ctx.now,
    )
    await add_client(ctx, client)
    return NewOAuthClient(**dict(OAuthClientInfo.of(client)), secret=secret)


async def _list(ctx: Context, params: Paged, _: None) -> Page[OAuthClientInfo]:
    return (await page_of(ctx, OAuthClient, (), params)).of(OAuthClientInfo.of)


async def _get(ctx: Context, params: ById, _: None) -> OAuthClientInfo:
    client = await (await ctx.tx()).get(OAuthClient, params.id)
    if client is None:
        raise NotFound(f"There is no OAuth client '{params.id}'.")
    return OAuthClientInfo.of(client)


async def _delete(ctx: Context, params: ById, _: None) -> None:
    tx = await ctx.tx()
    client = await tx.get(OAuthClient, params.id, lock=True)
    if client is None:
        raise NotFound(f"There is no OAuth client '{params.id}'.")
    ctx.check_match(OAuthClientInfo.of(client))
    await tx.delete(OAuthClient, client.id)
    ctx.revoke(client_subject(client.id))


async def _remove_grants(ctx: Context, params: ById, _: None, value: None) -> None:  # noqa: ARG001 - an operation's finish
    """What users allowed the client goes after it, in batches: without a client it is worth nothing."""

    async def remove(within: Context) -> int:
        tx = await within.tx()
        query = Query(OAuthGrant, (Equal("client_id", params.id),), limit=_BATCH_RECORDS)
        grants = await tx.find(query)
        await end_grants(tx, grants)
        return len(grants)

    while await commit(ctx, remove) == _BATCH_RECORDS:
        pass


_EXAMPLE = {
    "id": examples.CLIENT_ID,
    "tenantId": examples.TENANT_ID,
    "name": "Paws & Claws blog",
    "redirectUris": ["https://blog.example/callback"],
    "grantTypes": ["AUTHORIZATION_CODE", "REFRESH_TOKEN"],
    "scopes": ["read:orders", "read:pets"],
    "confidential": True,
    "createdAt": "2026-03-02T09:30:00.125Z",
}

CREATE_OAUTH_CLIENT = Operation(
    name="createOauthClient",
    tag="OAuth",
    summary="Register an OAuth client",
    description="For STAFF who have logged in. The client may ask users for the chosen scopes, which must be among "
    "the caller's own, and no others. With CLIENT_CREDENTIALS it holds them itself, as an API key does, but for those "
    "that take a person. A confidential client has a secret, shown in this response only. Its `id` is the `client_id` "
    "of the protocol.",
    params=NoParams,
    body=OAuthClientDraft,
    result=NewOAuthClient,
    handler=_create,
    scope=Scope.WRITE_USER,
    staff=True,
    in_person=True,
    writes=True,
    creates=True,
    errors=frozenset({ErrorCode.CONFLICT}),
    body_example={
        "name": "Paws & Claws blog",
        "redirectUris": ["https://blog.example/callback"],
        "grantTypes": ["AUTHORIZATION_CODE", "REFRESH_TOKEN"],
        "scopes": ["read:pets", "read:orders"],
        "confidential": True,
    },
    result_example={**_EXAMPLE, "secret": "pcs_…"},
)
LIST_OAUTH_CLIENTS = Operation(
    name="listOauthClients",
    tag="OAuth",
    summary="List the OAuth clients",
    description="For STAFF. Secrets are not shown.",
    params=Paged,
    result=Page[OAuthClientInfo],
    handler=_list,
    scope=Scope.READ_USER,
    staff=True,
    result_example=examples.page(_EXAMPLE),
)
GET_OAUTH_CLIENT = Operation(
    name="getOauthClient",
    tag="OAuth",
    summary="Get an OAuth client",
    description="For STAFF. Its secret is not shown.",
    params=ById,
    result=OAuthClientInfo,
    handler=_get,
    scope=Scope.READ_USER,
    staff=True,
    errors=frozenset({ErrorCode.NOT_FOUND}),
    result_example=_EXAMPLE,
)
DELETE_OAUTH_CLIENT = Operation(
    name="deleteOauthClient",
    tag="OAuth",
    summary="Remove an OAuth client",
    description="For STAFF who have logged in. All its tokens end at once, on every node, and so do its connections.",
    params=ById,
    handler=_delete,
    finish=_remove_grants,
    scope=Scope.WRITE_USER,
    staff=True,
    in_person=True,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.PRECONDITION_FAILED}),
)

OPERATIONS: tuple[AnyOperation, ...] = (
    CREATE_OAUTH_CLIENT,
    LIST_OAUTH_CLIENTS,
    GET_OAUTH_CLIENT,
    DELETE_OAUTH_CLIENT,
)
