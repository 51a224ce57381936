"""Orders: who may place, read, move and cancel them, and what becomes of the pets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.kernel.caller import DEVICE_SCOPES, Caller, Role
from core.kernel.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    PreconditionFailed,
    StoreError,
    Unauthorized,
)
from core.kernel.ids import new_id
from core.models import examples
from core.models.orders import Order, OrderStatus
from core.models.payments import Payment, PaymentStatus
from core.models.pets import Pet, PetStatus
from core.services.inventory import GET_INVENTORY
from core.services.orders import CANCEL_ORDER, GET_ORDER, LIST_ORDERS, PLACE_ORDER, UPDATE_ORDER
from core.services.payments import PAY_ORDER
from core.services.pets import CREATE_PET, DELETE_PET, GET_PET, UPDATE_PET
from core.store.store import Store
from gateway.storage.migration import migrate
from tests.core.stores import Shop, customer_of, open_store, user_in, without

PAYMENT = examples.PAYMENT_DRAFT


async def pet_in(shop: Shop, **changes: Any) -> Pet:
    pet = await shop.call(CREATE_PET, body={**examples.PET_DRAFT, **changes})
    assert isinstance(pet, Pet)
    return pet


async def order_of(shop: Shop, caller: Caller, **changes: Any) -> Order:
    pet = await pet_in(shop, **changes)
    order = await shop.call(PLACE_ORDER, caller, {"petId": pet.id})
    assert isinstance(order, Order)
    return order


async def bring(shop: Shop, order: Order, status: OrderStatus) -> Order:
    """Move a placed order to a status the way that clients do."""
    if status is OrderStatus.CANCELLED:
        await shop.call(CANCEL_ORDER, id=order.id)
    elif status is not OrderStatus.PLACED:
        await shop.call(PAY_ORDER, body=PAYMENT, id=order.id)
    for step in (OrderStatus.SHIPPED, OrderStatus.DELIVERED):
        if status in (OrderStatus.DELIVERED, step):
            await shop.call(UPDATE_ORDER, body={"status": step}, id=order.id)
    moved = await shop.call(GET_ORDER, id=order.id)
    assert isinstance(moved, Order)
    assert moved.status is status
    return moved


async def status_of(shop: Shop, pet_id: str) -> PetStatus:
    pet = await shop.call(GET_PET, id=pet_id)
    assert isinstance(pet, Pet)
    return pet.status


def shown(resource: Pet | Order | Payment) -> dict[str, Any]:
    return resource.model_dump(mode="json", exclude_none=True)


# --- placing ---


async def test_a_visitor_orders_a_pet_at_the_stores_price(shop: Shop) -> None:
    pet = await pet_in(shop)
    order = await shop.call(PLACE_ORDER, shop.visitor, {"petId": pet.id})
    assert shown(order) == {
        **without(examples.ORDER, "userId"),
        "id": order.id,
        "tenantId": shop.tenant,
        "number": 1,
        "petId": pet.id,
        "items": [{"petId": pet.id, "price": "350.00"}],
        "createdAt": shown(order)["createdAt"],
        "updatedAt": shown(order)["createdAt"],
    }
    assert await status_of(shop, pet.id) is PetStatus.PENDING


async def test_placing_announces_the_order_the_pet_and_the_stock(shop: Shop) -> None:
    pet = await pet_in(shop)
    head = await shop.head()
    order = await shop.call(PLACE_ORDER, shop.customer, {"petId": pet.id})
    created, changed, flipped, stock = await shop.events(head)
    assert (created["eventType"], created["topic"]) == ("order.created", f"orders/{order.id}/status")
    assert created["audience"] == shop.customer.user_id
    assert created["data"] == {
        "order": shown(order),
        "newStatus": "PLACED",
        "changedAt": shown(order)["createdAt"],
        "changedBy": shop.customer.user_id,
    }
    assert (changed["eventType"], changed["audience"]) == ("pet.status_changed", "*")
    assert changed["data"] == {
        "petId": pet.id,
        "oldStatus": "AVAILABLE",
        "newStatus": "PENDING",
        "reason": "ORDER_PLACED",
        "pet": shown(await shop.call(GET_PET, id=pet.id)),
    }
    assert flipped["data"] == {"petId": pet.id, "available": False}
    assert stock["data"] == {"species": "DOG", "available": 0, "pending": 1, "adopted": 0}


async def test_several_pets_make_one_order_in_the_order_named(shop: Shop) -> None:
    pets = [
        await pet_in(shop, price=price, species=kind)
        for price, kind in (("3.10", "DOG"), ("2", "CAT"), (1, "DOG"))
    ]
    named = [pets[1], pets[2], pets[0]]
    head = await shop.head()
    order = await shop.call(PLACE_ORDER, shop.customer, {"items": [{"petId": pet.id} for pet in named]})
    assert order.pet_id == named[0].id
    assert [item["petId"] for item in shown(order)["items"]] == [pet.id for pet in named]
    assert shown(order)["totalAmount"] == "6.10"
    kinds = [kind for kind, _ in await shop.news(head)]
    assert kinds.count("pet.status_changed") == 3
    assert kinds.count("inventory.changed") == 2


async def test_one_pet_that_is_gone_spoils_the_order_of_several(shop: Shop) -> None:
    pets = [await pet_in(shop) for _ in range(3)]
    await shop.call(PLACE_ORDER, shop.visitor, {"petId": pets[1].id})
    error = await shop.refusal(
        Conflict, PLACE_ORDER, shop.customer, {"items": [{"petId": pet.id} for pet in pets]}
    )
    assert pets[1].id in error.detail
    assert await status_of(shop, pets[0].id) is PetStatus.AVAILABLE


@pytest.mark.parametrize("status", ["PENDING", "ADOPTED", "NOT_AVAILABLE"])
async def test_only_an_available_pet_can_be_ordered(shop: Shop, status: str) -> None:
    pet = await pet_in(shop, status=status)
    await shop.refusal(Conflict, PLACE_ORDER, shop.visitor, {"petId": pet.id})


async def test_a_pet_that_is_not_there_cannot_be_ordered(shop: Shop) -> None:
    foreign = await pet_in(Shop(shop.store))
    for pet_id in (new_id(), foreign.id):
        await shop.refusal(NotFound, PLACE_ORDER, shop.visitor, {"petId": pet_id})


async def test_pets_priced_in_two_currencies_are_no_one_order(shop: Shop) -> None:
    pets = [await pet_in(shop), await pet_in(shop, currency="EUR")]
    await shop.refusal(Conflict, PLACE_ORDER, shop.visitor, {"items": [{"petId": pet.id} for pet in pets]})


_ID, _OTHER = new_id(), new_id()


@pytest.mark.parametrize(
    ("body", "violations"),
    [
        ({}, {"petId": "REQUIRED_FIELD"}),
        ({"petId": None}, {"petId": "REQUIRED_FIELD"}),
        ({"petId": "x"}, {"petId": "INVALID_FORMAT"}),
        ({"petId": 7}, {"petId": "INVALID_TYPE"}),
        ({"items": []}, {"items": "INVALID_LENGTH"}),
        (
            {"items": [{}, {"petId": "y"}]},
            {"items[0].petId": "REQUIRED_FIELD", "items[1].petId": "INVALID_FORMAT"},
        ),
        ({"items": [{"petId": _ID}, {"petId": _ID.upper()}]}, {"items": "INVALID_FORMAT"}),
        ({"items": [{"petId": _ID, "price": "0.01"}]}, {"items[0].price": "UNKNOWN_FIELD"}),
        ({"petId": _ID, "items": [{"petId": _OTHER}]}, {"petId": "INVALID_FORMAT"}),
        ({"petId": _ID, "price": "1.00"}, {"price": "UNKNOWN_FIELD"}),
        (
            {"userId": "me", "x": 1},
            {"petId": "REQUIRED_FIELD", "userId": "INVALID_FORMAT", "x": "UNKNOWN_FIELD"},
        ),
        ("pet", {"": "INVALID_TYPE"}),
    ],
)
async def test_a_faulty_order_is_refused(shop: Shop, body: object, violations: dict[str, str]) -> None:
    assert await shop.violations(PLACE_ORDER, shop.visitor, body) == violations


async def test_the_first_pet_may_be_named_twice_over(shop: Shop) -> None:
    pet = await pet_in(shop)
    order = await shop.call(
        PLACE_ORDER, shop.visitor, {"petId": pet.id, "items": [{"petId": pet.id}], "id": "x"}
    )
    assert len(order.items) == 1


async def test_a_customers_order_is_his_own(shop: Shop) -> None:
    assert (await order_of(shop, shop.customer)).user_id == shop.customer.user_id
    pet = await pet_in(shop)
    order = await shop.call(PLACE_ORDER, shop.customer, {"petId": pet.id, "userId": shop.customer.user_id})
    assert order.user_id == shop.customer.user_id


async def test_only_staff_orders_for_somebody_else(shop: Shop) -> None:
    pet, user = await pet_in(shop), user_in(shop.tenant)
    await shop.add(user)
    body = {"petId": pet.id, "userId": user.id}
    await shop.refusal(Unauthorized, PLACE_ORDER, shop.visitor, body)
    await shop.refusal(Forbidden, PLACE_ORDER, shop.customer, body)
    nobody = {"petId": pet.id, "userId": new_id()}
    assert await shop.violations(PLACE_ORDER, body=nobody) == {"userId": "INVALID_FORMAT"}
    assert (await shop.call(PLACE_ORDER, body=body)).user_id == user.id


async def test_of_a_hundred_orders_for_one_pet_exactly_one_wins(shop: Shop) -> None:
    pet = await pet_in(shop)
    head = await shop.head()

    async def attempt(number: int) -> Order | None:
        caller = (shop.visitor, shop.customer, shop.staff)[number % 3]
        try:
            order = await shop.call(PLACE_ORDER, caller, {"petId": pet.id})
        except Conflict:
            return None
        assert isinstance(order, Order)
        return order

    placed = [order for order in await asyncio.gather(*map(attempt, range(100))) if order is not None]
    assert len(placed) == 1
    assert [kind for kind, _ in await shop.news(head)] == [
        "order.created",
        "pet.status_changed",
        "pet.availability_changed",
        "inventory.changed",
    ]
    assert (await shop.call(LIST_ORDERS)).pagination.total_items == 1
    await shop.call(CANCEL_ORDER, id=placed[0].id)
    assert (await shop.call(PLACE_ORDER, shop.visitor, {"petId": pet.id})).number == 2


async def test_crossing_orders_of_several_pets_neither_wait_for_ever_nor_share(shop: Shop) -> None:
    pets = [await pet_in(shop) for _ in range(4)]

    async def attempt(number: int) -> bool:
        wanted = [pets[(number + step) % 4].id for step in range(2)][:: 1 if number % 2 else -1]
        try:
            await shop.call(PLACE_ORDER, shop.visitor, {"items": [{"petId": pet_id} for pet_id in wanted]})
        except Conflict:
            return False
        return True

    won = sum(await asyncio.gather(*map(attempt, range(20))))
    stock = await shop.call(GET_INVENTORY)
    assert 1 <= won <= 2
    assert (stock.pending, stock.available) == (2 * won, 4 - 2 * won)


async def test_orders_the_stock_and_hands_race_and_the_last_word_on_stock_is_right(shop: Shop) -> None:
    pets = [await pet_in(shop) for _ in range(6)]

    async def order_and_cancel(pet: Pet) -> None:
        order = await shop.call(PLACE_ORDER, shop.visitor, {"petId": pet.id})
        if pet.number % 2:
            await shop.call(CANCEL_ORDER, shop.visitor, id=order.id)

    await asyncio.gather(*map(order_and_cancel, pets), *(pet_in(shop) for _ in range(5)))
    seen = [event["data"] for event in await shop.events() if event["eventType"] == "inventory.changed"]
    assert seen[-1] == {"species": "DOG", "available": 8, "pending": 3, "adopted": 0}


async def test_an_order_and_a_removal_of_one_pet_cannot_both_win(shop: Shop) -> None:
    for _ in range(5):
        pet = await pet_in(shop)
        results = await asyncio.gather(
            shop.call(PLACE_ORDER, shop.visitor, {"petId": pet.id}),
            shop.call(DELETE_PET, id=pet.id),
            return_exceptions=True,
        )
        assert sum(isinstance(result, StoreError) for result in results) == 1


async def test_a_repeated_order_with_a_key_is_the_same_order(shop: Shop) -> None:
    pet = await pet_in(shop)
    first = await shop.outcome(PLACE_ORDER, shop.customer, {"petId": pet.id}, key="k")
    again = await shop.outcome(PLACE_ORDER, shop.customer, {"petId": pet.id}, key="k")
    assert again.replayed
    assert again.value == first.value


# --- reading ---


async def test_an_order_is_read_by_its_owner_and_staff(shop: Shop) -> None:
    order = await order_of(shop, shop.customer)
    for caller in (shop.customer, shop.staff):
        assert await shop.call(GET_ORDER, caller, id=order.id) == order
    for caller in (shop.visitor, customer_of(shop.tenant)):
        for operation, body in ((GET_ORDER, None), (CANCEL_ORDER, None), (PAY_ORDER, PAYMENT)):
            await shop.refusal(NotFound, operation, caller, body, id=order.id)


async def test_an_anonymous_order_is_read_by_whoever_knows_its_id(shop: Shop) -> None:
    order = await order_of(shop, shop.visitor)
    for caller in (shop.visitor, shop.customer, shop.staff):
        assert await shop.call(GET_ORDER, caller, id=order.id) == order


async def test_a_device_reads_the_orders_it_was_given(shop: Shop) -> None:
    order, other = await order_of(shop, shop.customer), await order_of(shop, shop.customer)
    topics = frozenset({f"orders/{order.id}/#"})
    device = Caller(shop.tenant, Role.DEVICE, "device:1", DEVICE_SCOPES, device_id=new_id(), topics=topics)
    assert await shop.call(GET_ORDER, device, id=order.id) == order
    await shop.refusal(NotFound, GET_ORDER, device, id=other.id)
    await shop.refusal(Forbidden, LIST_ORDERS, device)
    await shop.refusal(Forbidden, CANCEL_ORDER, device, id=order.id)


async def test_a_key_without_the_right_reads_no_order(shop: Shop) -> None:
    order = await order_of(shop, shop.visitor)
    narrow = Caller(shop.tenant, Role.STAFF, "key:1", DEVICE_SCOPES)
    await shop.refusal(Forbidden, GET_ORDER, narrow, id=order.id)


async def test_an_order_that_is_not_there_is_not_found(shop: Shop) -> None:
    other = Shop(shop.store)
    foreign = await order_of(other, other.visitor)
    for order_id in (new_id(), foreign.id):
        for operation, body in (
            (GET_ORDER, None),
            (CANCEL_ORDER, None),
            (UPDATE_ORDER, {"status": "SHIPPED"}),
        ):
            await shop.refusal(NotFound, operation, body=body, id=order_id)
    await shop.refusal(BadRequest, GET_ORDER, id="7")


async def test_a_list_shows_ones_own_orders_and_staff_all_newest_first(shop: Shop) -> None:
    mine, anonymous = await order_of(shop, shop.customer), await order_of(shop, shop.visitor)
    later = await order_of(shop, shop.customer)
    await shop.call(CANCEL_ORDER, shop.customer, id=mine.id)

    async def listed(caller: Caller, **params: str) -> list[str]:
        return [order.id for order in (await shop.call(LIST_ORDERS, caller, **params)).data]

    assert await listed(shop.customer) == [later.id, mine.id]
    assert await listed(shop.staff) == [later.id, anonymous.id, mine.id]
    assert await listed(shop.staff, status="placed") == [later.id, anonymous.id]
    assert await listed(shop.customer, status="PLACED,CANCELLED") == [later.id, mine.id]
    assert await listed(shop.customer, limit="1", page="2") == [mine.id]
    assert await listed(customer_of(shop.tenant)) == []
    await shop.refusal(Unauthorized, LIST_ORDERS, shop.visitor)
    await shop.refusal(BadRequest, LIST_ORDERS, status="LOST")


# --- moving on ---


@pytest.mark.parametrize("wanted", list(OrderStatus))
@pytest.mark.parametrize("present", list(OrderStatus))
async def test_staff_moves_an_order_one_step_at_a_time(
    shop: Shop, present: OrderStatus, wanted: OrderStatus
) -> None:
    order = await bring(shop, await order_of(shop, shop.customer), present)
    allowed = {OrderStatus.APPROVED: OrderStatus.SHIPPED, OrderStatus.SHIPPED: OrderStatus.DELIVERED}
    if allowed.get(present) is wanted:
        assert (await shop.call(UPDATE_ORDER, body={"status": wanted.lower()}, id=order.id)).status is wanted
    else:
        await shop.refusal(Conflict, UPDATE_ORDER, body={"status": wanted}, id=order.id)


async def test_only_staff_moves_orders_and_says_where(shop: Shop) -> None:
    order = await order_of(shop, shop.customer)
    await shop.refusal(Unauthorized, UPDATE_ORDER, shop.visitor, {"status": "SHIPPED"}, id=order.id)
    await shop.refusal(Forbidden, UPDATE_ORDER, shop.customer, {"status": "SHIPPED"}, id=order.id)
    assert await shop.violations(UPDATE_ORDER, body={}, id=order.id) == {"status": "REQUIRED_FIELD"}
    assert await shop.violations(UPDATE_ORDER, body={"status": "LOST", "x": 1}, id=order.id) == {
        "status": "INVALID_ENUM_VALUE",
        "x": "UNKNOWN_FIELD",
    }


async def test_an_order_is_read_changed_and_written_back(shop: Shop) -> None:
    order = await bring(shop, await order_of(shop, shop.customer), OrderStatus.APPROVED)
    whole = {**order.model_dump(mode="json", exclude_none=True), "status": "SHIPPED", "totalAmount": "0.01"}
    shipped = await shop.call(UPDATE_ORDER, body=whole, id=order.id)
    assert (shipped.status, shipped.total_amount) == (OrderStatus.SHIPPED, order.total_amount)


async def test_shipping_announces_who_did_it(shop: Shop) -> None:
    order = await bring(shop, await order_of(shop, shop.customer), OrderStatus.APPROVED)
    head = await shop.head()
    shipped = await shop.call(UPDATE_ORDER, body={"status": "SHIPPED"}, id=order.id)
    [event] = await shop.events(head)
    assert (event["eventType"], event["topic"]) == ("order.status_changed", f"orders/{order.id}/status")
    assert event["audience"] == shop.customer.user_id
    assert event["data"] == {
        "order": shown(shipped),
        "previousStatus": "APPROVED",
        "newStatus": "SHIPPED",
        "changedAt": shown(shipped)["updatedAt"],
        "changedBy": shop.staff.user_id,
    }


async def test_delivery_gives_the_pet_to_its_owner_and_tells_him_and_staff(shop: Shop) -> None:
    await shop.add(user_in(shop.tenant, user_id=shop.customer.user_id))
    order = await bring(shop, await order_of(shop, shop.customer), OrderStatus.SHIPPED)
    head = await shop.head()
    await shop.call(UPDATE_ORDER, body={"status": "DELIVERED"}, id=order.id)
    pet = await shop.call(GET_PET, id=order.pet_id)
    assert (pet.status, pet.owner_id) == (PetStatus.ADOPTED, shop.customer.user_id)
    moved, changed, adopted, stock = await shop.events(head)
    assert moved["eventType"] == "order.status_changed"
    assert changed["data"] == {
        "petId": pet.id,
        "oldStatus": "PENDING",
        "newStatus": "ADOPTED",
        "reason": "ORDER_DELIVERED",
        "pet": shown(pet),
    }
    assert (adopted["eventType"], adopted["topic"]) == ("pet.adopted", f"pets/{pet.id}/adoption")
    assert adopted["audience"] == f"!,{shop.customer.user_id}"
    assert adopted["data"] == {
        "pet": {"id": pet.id, "name": "Biscuit", "species": "DOG", "status": "ADOPTED"},
        "adopter": {"id": shop.customer.user_id, "name": "Alex Meyer", "email": "alex@example.com"},
        "adoptionDate": shown(pet)["updatedAt"],
    }
    assert stock["data"] == {"species": "DOG", "available": 0, "pending": 0, "adopted": 1}


async def test_delivery_of_an_anonymous_order_tells_staff_alone_of_the_adoption(shop: Shop) -> None:
    order = await bring(shop, await order_of(shop, shop.visitor), OrderStatus.SHIPPED)
    head = await shop.head()
    await shop.call(UPDATE_ORDER, body={"status": "DELIVERED"}, id=order.id)
    events = {event["eventType"]: event for event in await shop.events(head)}
    assert events["order.status_changed"]["audience"] == "?"
    assert events["pet.adopted"]["audience"] == "!"
    assert "adopter" not in events["pet.adopted"]["data"]
    assert (await shop.call(GET_PET, id=order.pet_id)).owner_id is None


async def test_a_delivered_pet_is_free_of_its_order(shop: Shop) -> None:
    order = await bring(shop, await order_of(shop, shop.visitor), OrderStatus.DELIVERED)
    assert (await shop.call(UPDATE_PET, body={"status": "AVAILABLE"}, id=order.pet_id)).owner_id is None
    await shop.call(PLACE_ORDER, shop.visitor, {"petId": order.pet_id})


# --- cancelling ---


@pytest.mark.parametrize("present", list(OrderStatus))
async def test_an_order_can_be_cancelled_until_it_is_shipped(shop: Shop, present: OrderStatus) -> None:
    order = await bring(shop, await order_of(shop, shop.customer), present)
    if present in (OrderStatus.PLACED, OrderStatus.APPROVED):
        cancelled = await shop.call(CANCEL_ORDER, shop.customer, id=order.id)
        assert cancelled.status is OrderStatus.CANCELLED
        assert await shop.call(GET_ORDER, shop.customer, id=order.id) == cancelled
        assert await status_of(shop, order.items[0].pet_id) is PetStatus.AVAILABLE
    else:
        await shop.refusal(Conflict, CANCEL_ORDER, shop.customer, id=order.id)


async def test_cancelling_a_paid_order_refunds_it(shop: Shop) -> None:
    order = await bring(shop, await order_of(shop, shop.visitor), OrderStatus.APPROVED)
    head = await shop.head()
    cancelled = await shop.call(CANCEL_ORDER, shop.visitor, id=order.id)
    moved, refunded, changed, flipped, stock = await shop.events(head)
    assert moved["data"] == {
        "order": shown(cancelled),
        "previousStatus": "APPROVED",
        "newStatus": "CANCELLED",
        "changedAt": shown(cancelled)["updatedAt"],
        "changedBy": "visitor",
    }
    payment = refunded["data"]["payment"]
    assert (refunded["eventType"], refunded["topic"]) == ("payment.refunded", f"orders/{order.id}/payment")
    assert refunded["audience"] == "?"
    assert (payment["status"], payment["orderId"]) == ("REFUNDED", order.id)
    assert refunded["data"]["order"] == shown(cancelled)
    assert refunded["data"]["receipt"]["id"] == payment["receiptId"]
    assert changed["data"]["reason"] == "ORDER_CANCELLED"
    assert flipped["data"] == {"petId": order.pet_id, "available": True}
    assert stock["data"] == {"species": "DOG", "available": 1, "pending": 0, "adopted": 0}
    async with shop.store.storage.read(shop.tenant) as tx:
        kept = await tx.get(Payment, payment["id"])
    assert kept is not None
    assert kept.status is PaymentStatus.REFUNDED


async def test_cancelling_an_unpaid_order_refunds_nothing(shop: Shop) -> None:
    order = await order_of(shop, shop.visitor)
    declined = {**PAYMENT, "source": {**PAYMENT["source"], "number": "4000000000000002"}}
    await shop.call(PAY_ORDER, shop.visitor, declined, id=order.id)
    head = await shop.head()
    await shop.call(CANCEL_ORDER, shop.visitor, id=order.id)
    assert "payment.refunded" not in [kind for kind, _ in await shop.news(head)]


async def test_of_many_who_cancel_at_once_one_does(shop: Shop) -> None:
    order = await bring(shop, await order_of(shop, shop.visitor), OrderStatus.APPROVED)
    head = await shop.head()
    attempts = [shop.call(CANCEL_ORDER, shop.visitor, id=order.id) for _ in range(10)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(result, Conflict) for result in results) == 9
    assert [kind for kind, _ in await shop.news(head)].count("payment.refunded") == 1


@pytest.mark.parametrize("operation", [UPDATE_ORDER, CANCEL_ORDER])
async def test_a_stale_condition_stops_every_write(shop: Shop, operation: Any) -> None:
    order = await bring(shop, await order_of(shop, shop.customer), OrderStatus.APPROVED)
    body = {"status": "SHIPPED"} if operation is UPDATE_ORDER else None
    await shop.refusal(PreconditionFailed, operation, body=body, id=order.id, if_match="stale")
    await shop.refusal(NotFound, CANCEL_ORDER, customer_of(shop.tenant), id=order.id, if_match="stale")
    await shop.call(operation, body=body, id=order.id, if_match=order.etag)


# --- two nodes ---


@pytest.fixture
async def two_nodes(postgres_url: str, tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Two stores on one database."""
    await migrate(postgres_url)
    async with open_store(tmp_path, postgres_url) as one, open_store(tmp_path, postgres_url) as other:
        yield one, other


@pytest.mark.database
async def test_over_two_nodes_of_one_database_exactly_one_order_wins(two_nodes: tuple[Store, Store]) -> None:
    here = Shop(two_nodes[0])
    there = Shop(two_nodes[1], here.tenant)
    pet = await pet_in(here)

    async def attempt(number: int) -> bool:
        shop = (here, there)[number % 2]
        try:
            await shop.call(PLACE_ORDER, shop.visitor, {"petId": pet.id})
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*map(attempt, range(100)))) == 1
    assert [kind for kind, _ in await here.news(2)] == [
        "order.created",
        "pet.status_changed",
        "pet.availability_changed",
        "inventory.changed",
    ]


@pytest.mark.database
async def test_over_two_nodes_the_stock_is_counted_right(two_nodes: tuple[Store, Store]) -> None:
    here = Shop(two_nodes[0])
    there = Shop(two_nodes[1], here.tenant)
    pets = [await pet_in(here) for _ in range(10)]

    async def trade(number: int, pet: Pet) -> None:
        shop = (here, there)[number % 2]
        order = await shop.call(PLACE_ORDER, shop.visitor, {"petId": pet.id})
        if number < 5:
            await shop.call(PAY_ORDER, shop.visitor, PAYMENT, id=order.id)
        if number < 3:
            await shop.call(CANCEL_ORDER, shop.visitor, id=order.id)

    await asyncio.gather(*(trade(number, pet) for number, pet in enumerate(pets)))
    seen = [event["data"] for event in await here.events() if event["eventType"] == "inventory.changed"]
    assert seen[-1] == {"species": "DOG", "available": 3, "pending": 7, "adopted": 0}
    assert sorted(order.number for order in (await here.call(LIST_ORDERS, limit="100")).data) == list(
        range(1, 11)
    )
