"""The tenant as a whole: emptied, and filled with demo data, for tests."""

from functools import partial

from core.kernel.caller import Scope
from core.kernel.errors import BadRequest, Forbidden, Violation, ViolationCode
from core.kernel.events import PUBLIC, visible_to
from core.kernel.ids import SHARED_TENANT
from core.kernel.model import NoParams
from core.models.api_keys import ApiKey
from core.models.auth import LoginSession
from core.models.chats import CHAT_CLOSED, Chat, ChatEvent, ChatStatus, Message
from core.models.devices import Device
from core.models.idempotency import IdempotencyRecord
from core.models.images import Image
from core.models.orders import ORDER_STATUS_CHANGED, Order, OrderStatus
from core.models.payments import Payment, Receipt
from core.models.pets import PET_DELETED, Pet, PetDeletedEvent, Reservation
from core.models.tenant import ResetParams, Seeded
from core.models.users import Login, User
from core.ports.records import Equal, Query
from core.services.inventory import announce_stock
from core.services.orders import announce, changed_by
from core.services.seed import seed
from core.store.context import Context
from core.store.operation import AnyOperation, Operation


async def _reset_tenant(ctx: Context, params: ResetParams, body: None) -> None:  # noqa: ARG001
    if ctx.tenant == SHARED_TENANT:
        raise Forbidden("The shared pool cannot be emptied, since others use it too.")
    if params.confirm.lower() != ctx.tenant:
        message = "must be the tenant's id"
        violation = Violation("confirm", message, ViolationCode.INVALID_FORMAT)
        raise BadRequest(f"confirm: {message}.", (violation,))
    await _remove_pets(ctx)
    await _remove_orders(ctx)
    await _remove_chats(ctx)
    await _remove_people(ctx)
    await (await ctx.tx()).delete_all(IdempotencyRecord)
    ctx.after_commit(partial(ctx.store.images.delete_all, ctx.tenant))


async def _remove_pets(ctx: Context) -> None:
    for pet in await (await ctx.tx()).find(Query(Pet)):
        await _remove_pet(ctx, pet.id)


async def _remove_pet(ctx: Context, pet_id: str) -> None:
    tx = await ctx.tx()
    # Waits for a concurrent order of it, so that the order is found, and removed, afterwards.
    pet = await tx.get(Pet, pet_id, lock=True)
    if pet is None:
        return
    await tx.delete_all(Image, (Equal("pet_id", pet.id),))
    await tx.delete(Reservation, pet.id)
    await tx.delete(Pet, pet.id)
    ctx.emit(PET_DELETED, PetDeletedEvent(pet_id=pet.id), PUBLIC, pet_id=pet.id)
    announce_stock(ctx, pet.species)


async def _remove_orders(ctx: Context) -> None:
    """Every order ends as CANCELLED for its subscribers, whatever its status was: it cannot be read afterwards."""
    tx = await ctx.tx()
    for order in await tx.find(Query(Order)):
        cancelled = order.model_copy(update={"status": OrderStatus.CANCELLED, "updated_at": ctx.now})
        announce(ctx, ORDER_STATUS_CHANGED, cancelled, order.status, changed_by(ctx))
        for item in order.items:  # a pet that came after all others were removed
            await _remove_pet(ctx, item.pet_id)
        await tx.delete_all(Payment, (Equal("order_id", order.id),))
        await tx.delete_all(Receipt, (Equal("order_id", order.id),))
        await tx.delete(Order, order.id)


async def _remove_chats(ctx: Context) -> None:
    tx = await ctx.tx()
    for chat in await tx.find(Query(Chat)):
        closed = chat.model_copy(update={"status": ChatStatus.CLOSED, "updated_at": ctx.now})
        ctx.emit(CHAT_CLOSED, ChatEvent(chat=closed), visible_to(chat.customer_id), chat_id=chat.id)
        await tx.delete_all(Message, (Equal("chat_id", chat.id),))
        await tx.delete(Chat, chat.id)


async def _remove_people(ctx: Context) -> None:
    """All users, devices, keys and logins but the caller's own account."""
    tx = await ctx.tx()
    for user in await tx.find(Query(User)):
        if user.id != ctx.caller.user_id:
            await tx.delete(Login, user.id)
            await tx.delete(User, user.id)
            ctx.revoke(f"user:{user.id}")
    for device in await tx.find(Query(Device)):
        await tx.delete(Login, device.id)
        await tx.delete(Device, device.id)
        ctx.revoke(f"device:{device.id}")
    for key in await tx.find(Query(ApiKey)):
        await tx.delete(ApiKey, key.id)
        ctx.revoke(f"key:{key.id}")
    for session in await tx.find(Query(LoginSession)):
        if session.owner_id != ctx.caller.user_id:
            await tx.delete(LoginSession, session.id)


async def _seed_tenant(ctx: Context, params: NoParams, body: None) -> Seeded:  # noqa: ARG001
    return await seed(ctx)


RESET_TENANT = Operation(
    name="resetTenant",
    tag="Tenant",
    summary="Empty the tenant",
    description=(
        "Removes all pets, orders, chats, devices, API keys and users of a private tenant, but not the caller's own "
        "account. Subscribers see each pet deleted, each order cancelled and each chat closed. `confirm` "
        "must be the tenant's id."
    ),
    params=ResetParams,
    handler=_reset_tenant,
    scope=Scope.ADMIN_TENANT,
    staff=True,
    writes=True,
)

SEED_TENANT = Operation(
    name="seedTenant",
    tag="Tenant",
    summary="Fill the tenant with demo data",
    description="Adds pets, orders and chats once; when the demo data is there already, nothing changes.",
    params=NoParams,
    handler=_seed_tenant,
    result=Seeded,
    scope=Scope.ADMIN_TENANT,
    staff=True,
    writes=True,
    idempotent=True,
    result_example={"pets": 66, "orders": 12, "chats": 2},
)

OPERATIONS: tuple[AnyOperation, ...] = (RESET_TENANT, SEED_TENANT)
