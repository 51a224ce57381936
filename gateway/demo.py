"""Demo mode: a store to try out, with well-known accounts."""

import asyncio
import logging
from time import monotonic

from core.auth.authentication import hash_key
from core.kernel.caller import CUSTOMER_SCOPES, STAFF_SCOPES, Role, Scope, operator
from core.kernel.errors import Unavailable
from core.kernel.ids import SHARED_TENANT, TenantId, new_id
from core.kernel.model import NoParams
from core.models.api_keys import ApiKey
from core.models.oauth import GrantType, OAuthClient
from core.models.tenant import Seeded
from core.models.users import Login, LoginKind, User, name_key
from core.ports.records import Equal, Query
from core.services.seed import seed
from core.store.context import Context
from core.store.operation import Operation
from core.store.store import Call, Store

log = logging.getLogger(__name__)

API_KEY = "special-key"
#: OAuth clients: one without a secret that asks users from their own machine, and one that acts of its own accord.
APPLICATION_ID = "00000000-0000-7000-8000-0000000000a1"
#: And one that is a device without a browser.
LAMP_ID = "00000000-0000-7000-8000-0000000000a3"
SERVICE_ID, SERVICE_SECRET = "00000000-0000-7000-8000-0000000000a2", "demo-service-secret"
#: Where Swagger UI is led back to, on whatever port.
_SWAGGER_UI = tuple(f"http://{host}/v1/oauth2-redirect.html" for host in ("127.0.0.1", "localhost", "[::1]"))
#: User name, password, first name, role.
ACCOUNTS = (
    ("demo-staff", "demo-staff-password", "Sam", Role.STAFF),
    ("demo", "demo-password", "Dana", Role.CUSTOMER),
)

#: Another node may be at the demo data when this one begins; a request would be told sooner to come back.
_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.5


async def open_demo(store: Store) -> Seeded:
    """Create the demo accounts and the demo data of the shared pool, unless they exist.

    Raises:
        Unavailable: the database is away, or a node that began at the same time is at it for too long.
    """
    give_up_at = monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return await _run(store, SHARED_TENANT, _OPEN_DEMO)
        except Unavailable as error:
            if monotonic() > give_up_at:
                raise
            log.info("the demo data wait: %s", error.detail)
            await asyncio.sleep(_PAUSE_SECONDS)


async def fill(store: Store, tenant: TenantId) -> Seeded:
    """Fill a tenant with the demo data, unless it holds them."""
    return await _run(store, tenant, _FILL)


async def _run(store: Store, tenant: TenantId, operation: Operation[NoParams, None, Seeded]) -> Seeded:
    seeded: Seeded = (await store.execute(operator(tenant), Call(operation))).value
    return seeded


async def _hash_passwords(ctx: Context, params: NoParams, body: None) -> dict[str, str]:  # noqa: ARG001
    """The password hashes of missing accounts, computed before the transaction: hashing is slow on purpose."""
    tx = await ctx.tx()
    missing = [
        (name, password)
        for name, password, _, _ in ACCOUNTS
        if not await tx.count(Query(Login, (Equal("username_key", name_key(name)),)))
    ]
    return {name: await ctx.store.hasher.hash(password, "") for name, password in missing}


async def _open_demo(ctx: Context, params: NoParams, body: None) -> Seeded:  # noqa: ARG001
    hashes = ctx.prepared
    assert isinstance(hashes, dict)
    tx = await ctx.tx()
    # Another node that starts at the same time waits here, and then finds everything.
    await tx.next_number("users")
    for name, _, first_name, role in ACCOUNTS:
        if name in hashes and not await tx.count(Query(Login, (Equal("username_key", name_key(name)),))):
            await _register(ctx, name, hashes[name], first_name, role)
    staff = await tx.find(Query(Login, (Equal("username_key", name_key(ACCOUNTS[0][0])),)))
    if not await tx.count(Query(ApiKey, (Equal("key_hash", hash_key(API_KEY)),))):
        key = ApiKey(
            id=new_id(),
            tenant_id=ctx.tenant,
            name="Demo",
            owner_id=staff[0].id,
            scopes=tuple(sorted(STAFF_SCOPES)),
            key_hash=hash_key(API_KEY),
            created_at=ctx.now,
        )
        await tx.insert(key)
    for client in _oauth_clients(ctx):
        known = await tx.get(OAuthClient, client.id)
        if known is None:
            await tx.insert(client)
        elif known.redirect_uris != client.redirect_uris:
            # An older version made it.
            await tx.update(known.model_copy(update={"redirect_uris": client.redirect_uris}))
    return await seed(ctx, classic=True)


def _oauth_clients(ctx: Context) -> tuple[OAuthClient, ...]:
    return (
        OAuthClient(
            id=APPLICATION_ID,
            tenant_id=ctx.tenant,
            name="Demo application",
            redirect_uris=("http://127.0.0.1/callback", *_SWAGGER_UI),
            grant_types=(GrantType.AUTHORIZATION_CODE, GrantType.REFRESH_TOKEN),
            scopes=tuple(sorted(CUSTOMER_SCOPES)),
            created_at=ctx.now,
        ),
        OAuthClient(
            id=LAMP_ID,
            tenant_id=ctx.tenant,
            name="Demo lamp",
            redirect_uris=(),
            grant_types=(GrantType.DEVICE_CODE, GrantType.REFRESH_TOKEN),
            scopes=(Scope.READ_ORDERS,),
            created_at=ctx.now,
        ),
        OAuthClient(
            id=SERVICE_ID,
            tenant_id=ctx.tenant,
            name="Demo service",
            redirect_uris=(),
            grant_types=(GrantType.CLIENT_CREDENTIALS,),
            scopes=(Scope.READ_ORDERS, Scope.READ_PETS, Scope.READ_USER),
            secret_hash=hash_key(SERVICE_SECRET),
            created_at=ctx.now,
        ),
    )


async def _register(ctx: Context, name: str, password_hash: str, first_name: str, role: Role) -> None:
    tx = await ctx.tx()
    email = f"{name}@example.com"
    user = User(
        id=new_id(),
        tenant_id=ctx.tenant,
        username=name,
        email=email,
        first_name=first_name,
        last_name="Demo",
        roles=(role,),
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    login = Login(
        id=user.id,
        tenant_id=ctx.tenant,
        kind=LoginKind.USER,
        username_key=name_key(name),
        email_key=name_key(email),
        password_hash=password_hash,
    )
    await tx.insert(user)
    await tx.insert(login)


async def _fill(ctx: Context, params: NoParams, body: None) -> Seeded:  # noqa: ARG001
    return await seed(ctx)


_OPEN_DEMO = Operation(
    name="openDemo",
    tag="Operator",
    summary="Make the demo accounts and data",
    params=NoParams,
    handler=_open_demo,
    prepare=_hash_passwords,
    result=Seeded,
    scope=Scope.WRITE_PETS,
    writes=True,
)
_FILL = Operation(
    name="fillTenant",
    tag="Operator",
    summary="Make the demo data",
    params=NoParams,
    handler=_fill,
    result=Seeded,
    scope=Scope.WRITE_PETS,
    writes=True,
)
