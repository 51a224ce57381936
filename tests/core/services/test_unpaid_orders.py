"""Orders that nobody pays."""

import asyncio
from datetime import timedelta

import pytest

from core.models.orders import OrderStatus
from core.models.pets import PetStatus
from core.services import unpaid_orders
from core.services.orders import GET_ORDER, PLACE_ORDER
from core.services.payments import PAY_ORDER
from core.services.pets import CREATE_PET, GET_PET
from core.services.unpaid_orders import cancel_unpaid
from tests.core.stores import Shop

PET = {"name": "Biscuit", "species": "DOG", "ageMonths": 14, "price": "350.00"}
CARD = {
    "amount": "350.00",
    "currency": "USD",
    "source": {
        "object": "card", "name": "Ada", "number": "4242424242424242", "cvc": "123", "expMonth": 12,
        "expYear": 2099,
    },
}  # fmt: skip


async def place(shop: Shop) -> tuple[str, str]:
    pet = await shop.call(CREATE_PET, body=PET)
    order = await shop.call(PLACE_ORDER, shop.visitor, {"petId": pet.id})
    return order.id, pet.id


async def test_an_order_that_is_not_paid_in_time_is_cancelled_by_the_store(shop: Shop) -> None:
    order_id, pet_id = await place(shop)
    paid, _ = await place(shop)
    await shop.call(PAY_ORDER, shop.visitor, CARD, id=paid)
    head = await shop.head()
    await cancel_unpaid(shop.store, timedelta(hours=1))
    assert await shop.head() == head  # it is young
    await cancel_unpaid(shop.store, timedelta())
    assert (await shop.call(GET_ORDER, id=order_id)).status is OrderStatus.CANCELLED
    assert (await shop.call(GET_PET, id=pet_id)).status is PetStatus.AVAILABLE
    assert (await shop.call(GET_ORDER, id=paid)).status is OrderStatus.APPROVED
    [moved] = [event for event in await shop.events(head) if event["eventType"].startswith("order")]
    assert moved["data"]["changedBy"] == "store"


async def test_every_order_is_found_and_cancelled_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpaid_orders, "_PAGE_SIZE", 2)
    others = Shop(shop.store)
    orders = [(await place(owner))[0] for owner in (shop, others, shop, shop, shop)]
    await asyncio.gather(*(cancel_unpaid(shop.store, timedelta()) for _ in range(2)))
    for order_id, owner in zip(orders, (shop, others, shop, shop, shop), strict=True):
        assert (await owner.call(GET_ORDER, id=order_id)).status is OrderStatus.CANCELLED
    kinds = [kind for kind, _ in await shop.news(0)]
    assert kinds.count("order.status_changed") == 4
