"""The tenant as a whole: emptied, and filled with demo data, for tests."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

from core.auth.callers import client_subject
from core.kernel.caller import Scope
from core.kernel.errors import BadRequest, Forbidden, Violation, ViolationCode
from core.kernel.events import PUBLIC, visible_to
from core.kernel.ids import SHARED_TENANT
from core.kernel.model import NoParams
from core.models.adoptions import Adoption, AdoptionStatus
from core.models.api_keys import ApiKey
from core.models.auth import LoginSession
from core.models.callbacks import OrderCallback
from core.models.chats import CHAT_CLOSED, Chat, ChatEvent, ChatQuestion, ChatStatus, Message
from core.models.devices import Device
from core.models.idempotency import IdempotencyRecord
from core.models.images import Image
from core.models.oauth import DeviceCode, OAuthClient, OAuthGrant
from core.models.orders import ORDER_STATUS_CHANGED, Order, OrderStatus
from core.models.payments import Payment, Receipt
from core.models.pets import PET_DELETED, Pet, PetDeletedEvent, Reservation
from core.models.tenant import ResetParams, Seeded
from core.models.users import ExternalIdentity, Login, User
from core.models.webhooks import DeliveryRecord, Webhook, WebhookRevision, WebhookState
from core.ports.records import OneOf, Query, Record
from core.services.applications import OPEN, move_application
from core.services.inventory import count_pets
from core.services.oauth.grants import end_grants
from core.services.orders import announce, changed_by
from core.services.quotas import release_images, uncount
from core.services.seed import seed
from core.store.context import Context
from core.store.operation import AnyOperation, Operation
from core.store.transactions import commit

R = TypeVar("R", bound=Record)

#: Removes a batch of records in a transaction; says how many.
Step = Callable[[Context], Awaitable[int]]

#: Records that one transaction removes.
_BATCH_RECORDS = 200


async def _reset_tenant(ctx: Context, params: ResetParams, body: None) -> None:  # noqa: ARG001
    if ctx.tenant == SHARED_TENANT:
        raise Forbidden("The shared pool cannot be emptied, since others use it too.")
    if params.confirm.lower() != ctx.tenant:
        message = "must be the tenant's id"
        violation = Violation("confirm", message, ViolationCode.INVALID_FORMAT)
        raise BadRequest(f"confirm: {message}.", (violation,))


async def _empty_tenant(ctx: Context, params: ResetParams, body: None, value: None) -> None:  # noqa: ARG001
    """A reset that was interrupted is completed by the next one."""
    await empty(ctx, EMPTYING)


async def empty(ctx: Context, steps: Iterable[Step]) -> None:
    """Remove everything in batches, each its own transaction, so that no other tenant's writer waits long."""
    for remove in steps:
        while await commit(ctx, remove) == _BATCH_RECORDS:
            pass


async def _first(ctx: Context, kind: type[R]) -> tuple[list[R], OneOf]:
    """Some records of a kind, locked, and the condition that selects them."""
    found = await (await ctx.tx()).find(Query(kind, limit=_BATCH_RECORDS), lock=True)
    return found, OneOf("id", tuple(record.id for record in found))


async def _remove_pets(ctx: Context) -> int:
    tx = await ctx.tx()
    pets, these = await _first(ctx, Pet)
    # The pets first: their locks wait for a concurrent order of one, so that its reservation and itself are found.
    await tx.delete_all(Pet, (these,))
    await tx.delete_all(Reservation, (these,))
    of_pets = (OneOf("pet_id", these.values),)
    images = await tx.find(Query(Image, of_pets))
    await release_images(ctx, images)
    for image in images:
        ctx.after_commit(partial(ctx.store.images.delete, ctx.tenant, image.id))
    await tx.delete_all(Image, of_pets)
    await uncount(ctx, Pet, len(pets))
    for pet in pets:
        ctx.emit(PET_DELETED, PetDeletedEvent(pet_id=pet.id), PUBLIC, pet_id=pet.id)
        count_pets(ctx, pet, -1)
    return len(pets)


async def _remove_orders(ctx: Context) -> int:
    """Every order ends as CANCELLED for its subscribers, whatever its status was: it cannot be read afterwards."""
    tx = await ctx.tx()
    orders, these = await _first(ctx, Order)
    of_orders = OneOf("order_id", these.values)
    await tx.delete_all(Order, (these,))
    await tx.delete_all(Payment, (of_orders,))
    await tx.delete_all(Receipt, (of_orders,))
    await uncount(ctx, Order, len(orders))
    for order in orders:
        cancelled = order.model_copy(update={"status": OrderStatus.CANCELLED, "updated_at": ctx.now})
        announce(ctx, ORDER_STATUS_CHANGED, cancelled, order.status, changed_by(ctx))
    return len(orders)


async def _remove_adoptions(ctx: Context) -> int:
    """Every application that is open ends as WITHDRAWN for its subscribers."""
    adoptions, these = await _first(ctx, Adoption)
    for adoption in adoptions:
        if adoption.status in OPEN:
            await move_application(ctx, adoption, AdoptionStatus.WITHDRAWN)
    await uncount(ctx, Adoption, await (await ctx.tx()).delete_all(Adoption, (these,)))
    return len(adoptions)


async def _remove_messages(ctx: Context) -> int:
    messages, these = await _first(ctx, Message)
    await (await ctx.tx()).delete_all(Message, (these,))
    return len(messages)


async def _remove_chats(ctx: Context) -> int:
    tx = await ctx.tx()
    chats, these = await _first(ctx, Chat)
    await tx.delete_all(Message, (OneOf("chat_id", these.values),))
    await tx.delete_all(ChatQuestion, (these,))
    await tx.delete_all(Chat, (these,))
    await uncount(ctx, Chat, len(chats))
    for chat in chats:
        closed = chat.model_copy(update={"status": ChatStatus.CLOSED, "updated_at": ctx.now})
        ctx.emit(CHAT_CLOSED, ChatEvent(chat=closed), visible_to(chat.customer_id), chat_id=chat.id)
    return len(chats)


async def _remove_users(ctx: Context) -> int:
    """All users but the caller, with their logins."""
    tx = await ctx.tx()
    users = await tx.find(Query(User, limit=_BATCH_RECORDS + 1))
    others = [user.id for user in users if user.id != ctx.caller.user_id][:_BATCH_RECORDS]
    # The logins first: a concurrent login holds its lock, and the session it creates must go too.
    await tx.delete_all(Login, (OneOf("id", tuple(others)),))
    await tx.delete_all(LoginSession, (OneOf("owner_id", tuple(others)),))
    await tx.delete_all(ExternalIdentity, (OneOf("owner_id", tuple(others)),))
    await tx.delete_all(User, (OneOf("id", tuple(others)),))
    await uncount(ctx, User, len(others))
    ctx.revoke(*(f"user:{user_id}" for user_id in others))
    return len(others)


async def _remove_devices(ctx: Context) -> int:
    tx = await ctx.tx()
    devices, these = await _first(ctx, Device)
    await tx.delete_all(Login, (these,))
    await tx.delete_all(LoginSession, (OneOf("owner_id", these.values),))
    await tx.delete_all(Device, (these,))
    await uncount(ctx, Device, len(devices))
    ctx.revoke(*(f"device:{device.id}" for device in devices))
    return len(devices)


async def _remove_keys(ctx: Context) -> int:
    keys, these = await _first(ctx, ApiKey)
    await (await ctx.tx()).delete_all(ApiKey, (these,))
    await uncount(ctx, ApiKey, len(keys))
    ctx.revoke(*(f"key:{key.id}" for key in keys))
    return len(keys)


async def _remove_clients(ctx: Context) -> int:
    clients, these = await _first(ctx, OAuthClient)
    tx = await ctx.tx()
    await tx.delete_all(OAuthClient, (these,))
    await tx.delete_all(DeviceCode)
    ctx.revoke(*(client_subject(client.id) for client in clients))
    return len(clients)


async def _remove_grants(ctx: Context) -> int:
    grants, _ = await _first(ctx, OAuthGrant)
    await end_grants(await ctx.tx(), grants)
    return len(grants)


async def _remove_webhooks(ctx: Context) -> int:
    webhooks, these = await _first(ctx, Webhook)
    tx = await ctx.tx()
    # The webhooks first: whoever adds deliveries to one has its lock.
    await tx.delete_all(Webhook, (these,))
    await tx.delete_all(WebhookState, (these,))
    await tx.delete_all(WebhookRevision)
    await uncount(ctx, Webhook, len(webhooks))
    return len(webhooks)


async def _remove_callbacks(ctx: Context) -> int:
    callbacks, these = await _first(ctx, OrderCallback)
    tx = await ctx.tx()
    await tx.delete_all(OrderCallback, (these,))
    await tx.delete_all(WebhookState, (these,))
    return len(callbacks)


async def _remove_deliveries(ctx: Context) -> int:
    deliveries, these = await _first(ctx, DeliveryRecord)
    await (await ctx.tx()).delete_all(DeliveryRecord, (these,))
    return len(deliveries)


async def _remove_idempotency_records(ctx: Context) -> int:
    records, these = await _first(ctx, IdempotencyRecord)
    await (await ctx.tx()).delete_all(IdempotencyRecord, (these,))
    return len(records)


async def _remove_events(ctx: Context) -> int:
    return await (await ctx.tx()).trim_log(_BATCH_RECORDS)


#: What removes a tenant's contents. People go first, so that nobody adds to what is removed; then what they left, and
#: at last the log, which would else show it to whoever comes next.
EMPTYING: tuple[Step, ...] = (
    _remove_users,
    _remove_devices,
    _remove_keys,
    _remove_clients,
    _remove_grants,
    _remove_webhooks,
    _remove_callbacks,
    _remove_deliveries,
    _remove_pets,
    _remove_orders,
    # A pet that was ordered meanwhile is among those that came after all others had been removed.
    _remove_pets,
    _remove_adoptions,
    _remove_messages,
    _remove_chats,
    _remove_idempotency_records,
    _remove_events,
)


async def _seed_tenant(ctx: Context, params: NoParams, body: None) -> Seeded:  # noqa: ARG001
    return await seed(ctx)


RESET_TENANT = Operation(
    name="resetTenant",
    tag="Tenant",
    summary="Empty the tenant",
    description=(
        "Removes all pets, orders, adoptions, chats, devices, API keys, OAuth clients, webhooks and users of a private "
        "tenant, but not the caller's own account. Subscribers see each pet deleted, each order cancelled, each "
        "application withdrawn and each chat closed. At last the event log is emptied: cursors from before have "
        "expired. "
        "`confirm` must be the tenant's id."
    ),
    params=ResetParams,
    handler=_reset_tenant,
    finish=_empty_tenant,
    scope=Scope.ADMIN_TENANT,
    staff=True,
    writes=True,
)

SEED_TENANT = Operation(
    name="seedTenant",
    tag="Tenant",
    summary="Fill the tenant with demo data",
    description="Adds pets, orders, chats and applications once; when the demo data is there already, nothing changes.",
    params=NoParams,
    handler=_seed_tenant,
    result=Seeded,
    scope=Scope.ADMIN_TENANT,
    staff=True,
    writes=True,
    idempotent=True,
    result_example={"pets": 66, "orders": 12, "chats": 2, "adoptions": 4},
)

OPERATIONS: tuple[AnyOperation, ...] = (RESET_TENANT, SEED_TENANT)
