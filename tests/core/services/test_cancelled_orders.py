"""Orders that were cancelled and never paid."""

import asyncio
from datetime import timedelta

import pytest

from core.models import examples
from core.models.orders import Order, OrderStatus
from core.models.payments import Payment
from core.ports.records import Query
from core.services import cancelled_orders
from core.services.cancelled_orders import CancelledOrders
from core.services.orders import CANCEL_ORDER, PLACE_ORDER
from core.services.payments import PAY_ORDER
from core.services.pets import CREATE_PET
from tests.core.services.test_unpaid_orders import CARD, place
from tests.core.stores import Shop

DECLINED = {**CARD, "source": {**CARD["source"], "number": "4000000000000002"}}  # type: ignore[dict-item]


async def left(shop: Shop) -> tuple[set[str], int]:
    async with shop.store.storage.read(shop.tenant) as tx:
        return {order.id for order in await tx.find(Query(Order))}, await tx.count(Query(Payment))


async def test_what_was_cancelled_long_ago_and_never_paid_is_removed(shop: Shop) -> None:
    unpaid, declined, refunded, waiting = [(await place(shop))[0] for _ in range(4)]
    await shop.call(PAY_ORDER, shop.visitor, DECLINED, id=declined)
    await shop.call(PAY_ORDER, shop.visitor, CARD, id=refunded)
    for order_id in (unpaid, declined, refunded):
        await shop.call(CANCEL_ORDER, id=order_id)
    sweep = CancelledOrders(shop.store).sweep
    assert await sweep(timedelta(hours=1)) == 0
    assert await sweep(timedelta()) == 2
    assert await left(shop) == ({refunded, waiting}, 1)
    assert await sweep(timedelta()) == 0
    # The next that is cancelled has its turn as well.
    await shop.call(CANCEL_ORDER, id=waiting)
    assert await sweep(timedelta()) == 1
    assert await left(shop) == ({refunded}, 1)


async def test_many_go_in_batches_whoever_removes_them(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelled_orders, "_BATCH_ORDERS", 3)
    shops = (shop, Shop(shop.store))
    for owner in shops:
        pet = await owner.call(CREATE_PET, body=examples.PET_DRAFT)
        for _ in range(7):
            order = await owner.call(PLACE_ORDER, owner.visitor, {"petId": pet.id})
            cancelled = await owner.call(CANCEL_ORDER, id=order.id)
            assert cancelled is None or cancelled.status is OrderStatus.CANCELLED
    sweeps = [CancelledOrders(shop.store).sweep(timedelta()) for _ in range(2)]
    assert sum(await asyncio.gather(*sweeps)) == 14
    for owner in shops:
        assert await left(owner) == (set(), 0)
