"""Orders: placed, moved on and cancelled; the pets follow."""

from core.auth.authorization import may_read_order
from core.kernel.caller import Caller, Role, Scope
from core.kernel.errors import (
    Conflict,
    ErrorCode,
    Forbidden,
    NotFound,
    ValidationFailed,
    Violation,
    ViolationCode,
)
from core.kernel.events import NAMED, Audience, EventKind, visible_to
from core.kernel.ids import new_id
from core.kernel.model import ById, NoParams, Page
from core.kernel.validation import MergePatch, check_body
from core.models import examples
from core.models.orders import (
    ORDER_CREATED,
    ORDER_STATUS_CHANGED,
    Order,
    OrderChange,
    OrderDraft,
    OrderEvent,
    OrderFilter,
    OrderItem,
    OrderStatus,
)
from core.models.payments import PAYMENT_REFUNDED, Payment, PaymentEvent, PaymentStatus, Receipt
from core.models.pets import Adopter, Pet, PetStatus, Reservation, StatusReason
from core.models.users import User
from core.ports.records import Condition, Equal, OneOf, Query
from core.services.numbers import free_number, insert_numbered
from core.services.paging import page_of
from core.services.pets import announce_adopted, move_pet
from core.services.quotas import count_one
from core.store.context import Context
from core.store.operation import AnyOperation, Operation

_NEXT = {OrderStatus.APPROVED: OrderStatus.SHIPPED, OrderStatus.SHIPPED: OrderStatus.DELIVERED}
_CANCELLABLE = (OrderStatus.PLACED, OrderStatus.APPROVED)

#: ``changedBy`` where the store itself moved an order.
STORE = "store"


def audience_of(order: Order) -> Audience:
    """Who may see the events of an order besides STAFF: its owner, or whoever names an anonymous one."""
    return NAMED if order.user_id is None else visible_to(order.user_id)


def require_reading(caller: Caller) -> None:
    """Pass when the caller may ask for single orders and their receipts; which of them, ``may_read_order`` says.

    Raises:
        Forbidden: they are a user or an API key without the scope read:orders.
    """
    if caller.role not in (Role.VISITOR, Role.DEVICE):  # a device reads what it was given
        caller.require(Scope.READ_ORDERS)


def check_readable(caller: Caller, order: Order) -> None:
    """Pass when the caller may read an order.

    Raises:
        NotFound: the caller may not see it, which hides its existence.
    """
    if not may_read_order(caller, order.id, order.user_id):
        raise NotFound(f"There is no order '{order.id}'.")


def changed_by(ctx: Context) -> str:
    """Who is behind a change, as events tell it."""
    return STORE if ctx.caller.is_store else ctx.caller.user_id or "visitor"


def announce(ctx: Context, kind: EventKind, order: Order, previous: OrderStatus | None, by: str) -> None:
    """Announce that an order has come to its present status."""
    data = OrderEvent(
        order=order, previous_status=previous, new_status=order.status, changed_at=ctx.now, changed_by=by
    )
    ctx.emit(kind, data, audience_of(order), order_id=order.id)


async def move_order(ctx: Context, order: Order, status: OrderStatus, by: str) -> Order:
    """Give a locked order another status and announce it."""
    moved = order.model_copy(update={"status": status, "updated_at": ctx.now})
    await (await ctx.tx()).update(moved)
    announce(ctx, ORDER_STATUS_CHANGED, moved, order.status, by)
    return moved


async def place(ctx: Context, pet_ids: tuple[str, ...], user_id: str | None) -> Order:
    """Reserve the pets and write the order.

    Raises:
        NotFound: one of the pets is not there.
        Conflict: one of them is not AVAILABLE, or they are priced in several currencies.
    """
    # Whoever orders several pets locks them in one order, so that two orders cannot wait for each other.
    pets = {pet_id: await ctx.get(Pet, pet_id) for pet_id in sorted(pet_ids)}
    if gone := [pet.id for pet in pets.values() if pet.status is not PetStatus.AVAILABLE]:
        raise Conflict(f"Not available: pet {', '.join(gone)}.")
    if len({pet.currency for pet in pets.values()}) > 1:
        raise Conflict("The pets of one order must be priced in one currency.")
    tx = await ctx.tx()
    order = Order(
        id=new_id(),
        tenant_id=ctx.tenant,
        number=await free_number(tx, Order, "orders"),
        pet_id=pet_ids[0],
        items=tuple(OrderItem(pet_id=pet_id, price=pets[pet_id].price) for pet_id in pet_ids),
        user_id=user_id,
        status=OrderStatus.PLACED,
        total_amount=sum((pet.price for pet in pets.values()), start=pets[pet_ids[0]].price * 0),
        currency=pets[pet_ids[0]].currency,
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    await count_one(ctx, Order)
    await insert_numbered(tx, order)
    announce(ctx, ORDER_CREATED, order, None, changed_by(ctx))
    for pet in pets.values():
        await tx.insert(Reservation(id=pet.id, tenant_id=ctx.tenant, order_id=order.id))
        await move_pet(ctx, pet, PetStatus.PENDING, StatusReason.ORDER_PLACED)
    return order


def check_not_classic(order: Order) -> None:
    """Pass when an order was not placed at the classic door, whose clients alone say how far theirs are.

    Raises:
        Conflict: it was.
    """
    if order.classic is not None:
        raise Conflict("This order was placed by a classic client, and is changed at the classic door only.")


async def advance(ctx: Context, order: Order, status: OrderStatus) -> Order:
    """Ship a locked order that was paid, or hand over one that was shipped.

    Raises:
        Conflict: that is not the next step, or the order is a classic client's.
    """
    check_not_classic(order)
    if _NEXT.get(order.status) is not status:
        raise Conflict(f"An order that is {order.status} cannot become {status}.")
    moved = await move_order(ctx, order, status, changed_by(ctx))
    if status is OrderStatus.DELIVERED:
        user = await (await ctx.tx()).get(User, order.user_id) if order.user_id is not None else None
        adopter = None
        if user is not None:
            adopter = Adopter(id=user.id, name=f"{user.first_name} {user.last_name}", email=user.email)
        for pet in await _release(ctx, order):
            owned = await move_pet(ctx, pet, PetStatus.ADOPTED, StatusReason.ORDER_DELIVERED, order.user_id)
            announce_adopted(ctx, owned, adopter)
    return moved


async def cancel(ctx: Context, order: Order) -> Order:
    """Cancel a locked order: its pets are AVAILABLE again, and what was paid goes back.

    Raises:
        Conflict: it is too far on its way, cancelled already, just being paid, or a classic client's.
    """
    check_not_classic(order)
    if order.status not in _CANCELLABLE:
        raise Conflict(f"An order that is {order.status} cannot be cancelled.")
    await check_no_payment_runs(ctx, order)
    cancelled = await move_order(ctx, order, OrderStatus.CANCELLED, changed_by(ctx))
    await _refund(ctx, cancelled)
    for pet in await _release(ctx, order):
        await move_pet(ctx, pet, PetStatus.AVAILABLE, StatusReason.ORDER_CANCELLED)
    return cancelled


async def check_no_payment_runs(ctx: Context, order: Order) -> None:
    """Pass when no payment of a locked order is being processed.

    Raises:
        Conflict: one is.
    """
    running = (Equal("order_id", order.id), Equal("status", PaymentStatus.PROCESSING))
    if await (await ctx.tx()).count(Query(Payment, running)):
        raise Conflict("A payment of this order is being processed.")


async def _release(ctx: Context, order: Order) -> list[Pet]:
    """End an order's hold on its pets; gives them locked."""
    tx = await ctx.tx()
    pets = []
    for pet_id in sorted(item.pet_id for item in order.items):
        pets.append(await ctx.get(Pet, pet_id))  # cannot be missing: a reserved pet is never removed
        await tx.delete(Reservation, pet_id)
    return pets


async def _refund(ctx: Context, order: Order) -> None:
    """Give back what was paid for a locked order, if anything was."""
    tx = await ctx.tx()
    paid = (Equal("order_id", order.id), Equal("status", PaymentStatus.SUCCEEDED))
    for found in await tx.find(Query(Payment, paid)):
        await tx.get(Payment, found.id, lock=True)
        refunded = found.model_copy(update={"status": PaymentStatus.REFUNDED, "updated_at": ctx.now})
        await tx.update(refunded)
        receipt = await _mark_refunded(ctx, found.receipt_id)
        data = PaymentEvent(payment=refunded, order=order, receipt=receipt)
        ctx.emit(PAYMENT_REFUNDED, data, audience_of(order), order_id=order.id, payment_id=found.id)


async def _mark_refunded(ctx: Context, receipt_id: str | None) -> Receipt | None:
    """Note on a receipt that the money went back."""
    tx = await ctx.tx()
    receipt = await tx.get(Receipt, receipt_id, lock=True) if receipt_id is not None else None
    if receipt is None:
        return None
    refunded = receipt.model_copy(update={"refunded_at": ctx.now})
    await tx.update(refunded)
    return refunded


async def _place_order(ctx: Context, params: NoParams, body: OrderDraft) -> Order:  # noqa: ARG001
    caller = ctx.caller
    if body.user_id is not None and body.user_id != caller.user_id:
        caller.require_known()
        if not caller.is_staff:
            raise Forbidden("Only the store's staff may order for somebody else.")
        if await (await ctx.tx()).get(User, body.user_id) is None:
            raise ValidationFailed(
                (Violation("userId", "is not a user of this store", ViolationCode.INVALID_FORMAT),)
            )
    return await place(ctx, body.pet_ids, body.user_id or caller.user_id)


async def _list_orders(ctx: Context, params: OrderFilter, body: None) -> Page[Order]:  # noqa: ARG001
    where: list[Condition] = [] if ctx.caller.is_staff else [Equal("user_id", ctx.caller.user_id)]
    if params.status is not None:
        where.append(OneOf("status", params.status))
    return await page_of(ctx, Order, where, params, "-id")


async def _get_order(ctx: Context, params: ById, body: None) -> Order:  # noqa: ARG001
    require_reading(ctx.caller)
    order = await ctx.get(Order, params.id)
    check_readable(ctx.caller, order)
    return order


async def _update_order(ctx: Context, params: ById, body: MergePatch[OrderChange]) -> Order:
    # The status is all that can be patched, so it is asked for: a patch without it would mean nothing.
    change = check_body(OrderChange, dict(body.patch))
    order = await ctx.get(Order, params.id)
    ctx.check_match(order)
    return await advance(ctx, order, change.status)


async def _cancel_order(ctx: Context, params: ById, body: None) -> Order:  # noqa: ARG001
    order = await ctx.get(Order, params.id)
    check_readable(ctx.caller, order)
    ctx.check_match(order)
    return await cancel(ctx, order)


PLACE_ORDER = Operation(
    name="placeOrder",
    tag="Orders",
    summary="Order pets",
    description=(
        "Reserves each pet at the store's price. If several clients order the same pet at once, exactly one "
        "of them succeeds. A visitor's order has no owner: anybody who knows its id may read, pay or cancel "
        "it. STAFF may set `userId` to order for another user."
    ),
    params=NoParams,
    body=OrderDraft,
    handler=_place_order,
    result=Order,
    scope=Scope.WRITE_ORDERS,
    anonymous=True,
    writes=True,
    creates=True,
    idempotent=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT}),
    body_example={"petId": examples.PET_ID},
    result_example=examples.ORDER,
)

LIST_ORDERS = Operation(
    name="listOrders",
    tag="Orders",
    summary="List orders",
    description="Newest first: the caller's own orders, or all of them for STAFF.",
    params=OrderFilter,
    handler=_list_orders,
    result=Page[Order],
    scope=Scope.READ_ORDERS,
    result_example=examples.page(examples.ORDER),
)

GET_ORDER = Operation(
    name="getOrder",
    tag="Orders",
    summary="Get an order",
    description=(
        "The caller's own order, or any order for STAFF. An order without an owner may be read by anybody "
        "who knows its id, and a device may read the orders it was provisioned with. Users and API keys need "
        "the scope read:orders."
    ),
    params=ById,
    handler=_get_order,
    result=Order,
    anonymous=True,
    errors=frozenset({ErrorCode.NOT_FOUND}),
    result_example=examples.ORDER,
)

UPDATE_ORDER = Operation(
    name="updateOrder",
    tag="Orders",
    summary="Ship or deliver an order",
    description=(
        "STAFF moves an order from APPROVED to SHIPPED, and from SHIPPED to DELIVERED, when its pets become ADOPTED."
    ),
    params=ById,
    body=OrderChange,
    patch=True,
    handler=_update_order,
    result=Order,
    scope=Scope.WRITE_ORDERS,
    staff=True,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.PRECONDITION_FAILED}),
    body_example={"status": "SHIPPED"},
    result_example={**examples.ORDER, "status": "SHIPPED"},
)

CANCEL_ORDER = Operation(
    name="cancelOrder",
    tag="Orders",
    summary="Cancel an order",
    description=(
        "While it is PLACED or APPROVED. The order stays readable as CANCELLED, its pets are AVAILABLE again, and what "
        "was paid is refunded."
    ),
    params=ById,
    handler=_cancel_order,
    result=Order,
    scope=Scope.WRITE_ORDERS,
    anonymous=True,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.PRECONDITION_FAILED}),
    result_example={**examples.ORDER, "status": "CANCELLED"},
)

OPERATIONS: tuple[AnyOperation, ...] = (PLACE_ORDER, LIST_ORDERS, GET_ORDER, UPDATE_ORDER, CANCEL_ORDER)
