"""Orders of classic clients: written whole by number, in the same book as all others, but reserving nothing."""

from decimal import Decimal

from core.kernel.caller import Scope
from core.kernel.errors import Conflict, ErrorCode, Forbidden, NotFound
from core.kernel.ids import new_id
from core.kernel.model import Currency, NoParams
from core.models.classic import ClassicOrder
from core.models.classic_calls import (
    DELIVERY_STATUS,
    SALE_STATUS,
    ByNumber,
    DeliveryStatus,
    OrderByNumber,
    OrderView,
    SaleStatus,
)
from core.models.orders import ORDER_CREATED, ORDER_STATUS_CHANGED, Order, OrderItem, OrderStatus
from core.models.pets import Pet
from core.ports.records import Equal, Query
from core.services.inventory import pets_by_status
from core.services.numbers import free_number, insert_numbered
from core.services.orders import announce, changed_by, move_order, require_reading
from core.services.quotas import count_one
from core.store.context import Context
from core.store.operation import AnyOperation, Operation

_STATUSES = {
    DeliveryStatus.PLACED: OrderStatus.PLACED,
    DeliveryStatus.APPROVED: OrderStatus.APPROVED,
    DeliveryStatus.DELIVERED: OrderStatus.DELIVERED,
}


async def view_of(ctx: Context, order: Order) -> OrderView:
    """An order as classic clients see it; a pet of any other order is told by its number."""
    classic = order.classic
    if classic is None:
        pet = None if order.pet_id is None else await (await ctx.tx()).get(Pet, order.pet_id)
        classic = ClassicOrder(
            pet_number=0 if pet is None else pet.number,
            quantity=len(order.items),
            complete=order.status is OrderStatus.DELIVERED,
        )
    return OrderView(
        id=order.number,
        pet_id=classic.pet_number,
        quantity=classic.quantity,
        ship_date=classic.ship_date,
        status=DELIVERY_STATUS[order.status],
        complete=classic.complete,
    )


def _is_own(ctx: Context, order: Order) -> bool:
    return ctx.caller.is_staff or (order.user_id is not None and order.user_id == ctx.caller.user_id)


def _may_read(ctx: Context, order: Order) -> bool:
    """A number is easily guessed: where this is not for everybody, it opens only orders that were placed under one."""
    nobodys = order.classic is not None and order.user_id is None
    return ctx.store.classic_open or nobodys or _is_own(ctx, order)


def _may_change(ctx: Context, order: Order) -> bool:
    return order.classic is not None and (ctx.store.classic_open or _is_own(ctx, order))


async def write_order(ctx: Context, body: OrderByNumber, user_id: str | None) -> Order:
    """Write a whole order: the one with its number when there is one, else a new one of a user or of nobody.

    Raises:
        Conflict: the order with its number was placed at another door.
        Forbidden: it is somebody else's, or only STAFF may say that it is that far.
    """
    order = None if body.number is None else await ctx.by_number(Order, body.number)
    if order is not None and order.classic is None:
        raise Conflict("The order with this number was placed at another door, and is changed there.")
    if order is not None and not _may_change(ctx, order):
        ctx.caller.require_known()
        raise Forbidden("This order is somebody else's.")
    if not (ctx.store.classic_open or ctx.caller.is_staff or body.status is DeliveryStatus.PLACED):
        ctx.caller.require_known()
        raise Forbidden("Only the store's staff says how far an order is.")
    return await (_add(ctx, body, user_id) if order is None else _replace(ctx, order, body))


async def _add(ctx: Context, body: OrderByNumber, user_id: str | None) -> Order:
    tx = await ctx.tx()
    number = body.number
    if number is None:
        number = await free_number(tx, Order, "orders")
    blank = Order(
        id=new_id(),
        tenant_id=ctx.tenant,
        number=number,
        items=(),
        user_id=user_id,
        status=OrderStatus.PLACED,
        total_amount=Decimal("0.00"),
        currency=Currency.USD,
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    order = await _written(ctx, blank, body)
    await count_one(ctx, Order)
    await insert_numbered(tx, order)
    announce(ctx, ORDER_CREATED, order, None, changed_by(ctx))
    return order


async def _replace(ctx: Context, order: Order, body: OrderByNumber) -> Order:
    changed = await _written(ctx, order, body)
    if changed == order:
        return order
    changed = changed.model_copy(update={"updated_at": ctx.now})
    await (await ctx.tx()).update(changed)
    # Not only its status may have changed, but there is no other event that tells of an order.
    announce(ctx, ORDER_STATUS_CHANGED, changed, order.status, changed_by(ctx))
    return changed


async def _written(ctx: Context, order: Order, body: OrderByNumber) -> Order:
    """The order with what the body gives: one pet at its price, when there is one with that number."""
    found = await (await ctx.tx()).find(Query(Pet, (Equal("number", body.pet_number),), limit=1))
    pet = found[0] if found else None
    items = () if pet is None else (OrderItem(pet_id=pet.id, price=pet.price),)
    classic = ClassicOrder(
        pet_number=body.pet_number,
        quantity=body.quantity,
        ship_date=body.ship_date,
        complete=body.complete,
    )
    return order.model_copy(
        update={
            "pet_id": None if pet is None else pet.id,
            "items": items,
            "total_amount": sum((item.price for item in items), start=order.total_amount * 0),
            "currency": Currency.USD if pet is None else pet.currency,
            "status": _STATUSES[body.status],
            "classic": classic,
        }
    )


async def _place_order(ctx: Context, _: NoParams, body: OrderByNumber) -> OrderView:
    return await view_of(ctx, await write_order(ctx, body, ctx.caller.user_id))


async def _get_order(ctx: Context, params: ByNumber, _: None) -> OrderView:
    if not ctx.store.classic_open:
        require_reading(ctx.caller)
    order = await ctx.by_number(Order, params.number)
    if order is None or order.status is OrderStatus.CANCELLED or not _may_read(ctx, order):
        raise NotFound("Order not found")
    return await view_of(ctx, order)


async def _delete_order(ctx: Context, params: ByNumber, _: None) -> None:
    """Cancel an order, so that other doors still show that it was there; one that cannot be seen is left alone."""
    order = await ctx.by_number(Order, params.number)
    if order is None or order.status is OrderStatus.CANCELLED or not _may_read(ctx, order):
        return
    if not _may_change(ctx, order):
        raise Conflict("The order with this number was placed at another door, and is changed there.")
    await move_order(ctx, order, OrderStatus.CANCELLED, changed_by(ctx))


async def _count_pets(ctx: Context, _: NoParams, __: None) -> dict[SaleStatus, int]:
    found = await pets_by_status(await ctx.tx())
    counts = dict.fromkeys(SaleStatus, 0)
    for status, word in SALE_STATUS.items():
        counts[word] += found[status]
    return counts


GET_INVENTORY = Operation(
    name="classicGetInventory",
    tag="Classic",
    summary="Count the pets of each status",
    params=NoParams,
    handler=_count_pets,
    result=dict[SaleStatus, int],
    scope=Scope.READ_PETS,
    anonymous=True,
    classic=True,
)
PLACE_ORDER = Operation(
    name="classicPlaceOrder",
    tag="Classic",
    summary="Place an order, or replace the one with its number",
    description="It reserves nothing.",
    params=NoParams,
    body=OrderByNumber,
    handler=_place_order,
    result=OrderView,
    scope=Scope.WRITE_ORDERS,
    anonymous=True,
    classic=True,
    writes=True,
    errors=frozenset({ErrorCode.CONFLICT}),
)
GET_ORDER = Operation(
    name="classicGetOrder",
    tag="Classic",
    summary="Get the order with a number",
    params=ByNumber,
    handler=_get_order,
    result=OrderView,
    anonymous=True,
    classic=True,
    errors=frozenset({ErrorCode.NOT_FOUND}),
)
DELETE_ORDER = Operation(
    name="classicDeleteOrder",
    tag="Classic",
    summary="Cancel the order with a number, if there is one",
    params=ByNumber,
    handler=_delete_order,
    scope=Scope.WRITE_ORDERS,
    classic=True,
    writes=True,
    errors=frozenset({ErrorCode.CONFLICT}),
)

OPERATIONS: tuple[AnyOperation, ...] = (GET_INVENTORY, PLACE_ORDER, GET_ORDER, DELETE_ORDER)
