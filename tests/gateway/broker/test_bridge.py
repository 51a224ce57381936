"""What happens in the store is told at the broker: everything, in order, and again only what was on its way."""

import asyncio
import json

import pytest

from core.kernel.ids import new_id
from core.models.pets import PET_CREATED
from core.services.orders import PLACE_ORDER
from core.services.payments import PAY_ORDER
from core.services.pets import CREATE_PET, DELETE_PET, UPDATE_PET
from core.store.store import Store
from gateway.broker.bridge import NAME, Bridge
from tests.core.stores import Shop
from tests.gateway.broker.conftest import bridged
from tests.gateway.broker.witness import Heard, witness
from tests.servers import MosquittoServer
from tests.waiting import eventually

PET = {"name": "Biscuit", "species": "DOG", "ageMonths": 14, "price": "350.00"}


def heard_sequences(heard: Heard) -> list[str]:
    """The names of the created pets, in the order they were heard of."""
    return [
        message.envelope["data"]["pet"]["name"]
        for message in heard.messages
        if message.properties.get("eventType") == PET_CREATED.event_type
    ]


async def test_an_event_arrives_as_its_envelope_with_its_properties(
    shop: Shop, bridge: Bridge, mosquitto_server: MosquittoServer
) -> None:
    async with witness(mosquitto_server) as heard:
        pet = await shop.call(CREATE_PET, body=PET)
        (message,) = await heard.has(f"pets/{pet.id}")
        (stock,) = await heard.has("inventory/DOG/stock")
    events = await shop.events()
    created = next(event for event in events if event["eventType"] == "pet.created")
    assert message.envelope == {name: value for name, value in created.items() if name != "audience"}
    assert message.properties == {
        "eventId": created["id"],
        "eventType": "pet.created",
        "cursor": created["cursor"],
    }
    assert stock.properties["eventType"] == "inventory.changed"
    assert heard.types() == [event["eventType"] for event in events]


async def test_the_latest_state_is_retained_and_goes_with_its_pet(
    shop: Shop, bridge: Bridge, mosquitto_server: MosquittoServer
) -> None:
    pet = await shop.call(CREATE_PET, body=PET)
    order = await shop.call(PLACE_ORDER, shop.customer, {"petId": pet.id})
    await eventually(lambda: bridge.statistics().consumed.consumed >= 5)
    async with witness(mosquitto_server) as late:
        (status,) = await late.has(f"pets/{pet.id}/status")
        await late.has(f"pets/{pet.id}/availability")
        await late.has("inventory/DOG/stock")
        (placed,) = await late.has(f"orders/{order.id}/status")
    assert status.retain
    assert status.envelope["data"]["newStatus"] == "PENDING"
    assert placed.envelope["data"]["order"]["id"] == order.id
    assert late.on(f"pets/{pet.id}") == []
    other = await shop.call(CREATE_PET, body=PET)
    await shop.call(UPDATE_PET, body=PET | {"status": "NOT_AVAILABLE"}, id=other.id)
    async with witness(mosquitto_server, "pets/+/status") as heard:
        await heard.has(f"pets/{other.id}/status")
        await shop.call(DELETE_PET, id=other.id)
        (_, cleared) = await heard.has(f"pets/{other.id}/status", 2)
        assert cleared.payload == b""
    async with witness(mosquitto_server, "pets/#") as late:
        await late.has(f"pets/{pet.id}/status")
        await late.has(f"pets/{pet.id}/availability")
        assert not [message for message in late.messages if other.id in message.topic]


async def test_a_payment_is_told_under_both_of_its_topics(
    shop: Shop, bridge: Bridge, mosquitto_server: MosquittoServer
) -> None:
    pet = await shop.call(CREATE_PET, body=PET)
    order = await shop.call(PLACE_ORDER, shop.customer, {"petId": pet.id})
    source = {
        "object": "card", "name": "A", "number": "4242424242424242", "cvc": "123", "expMonth": 12, "expYear": 2030,
    }  # fmt: skip
    body = {"amount": "350.00", "currency": "USD", "source": source}
    async with witness(mosquitto_server, "orders/+/payment", "payments/+/status") as heard:
        payment = await shop.call(PAY_ORDER, shop.customer, body, id=order.id)
        ours = await heard.has(f"orders/{order.id}/payment", 2)
        theirs = await heard.has(f"payments/{payment.id}/status", 2)
    assert [message.properties for message in ours] == [message.properties for message in theirs]
    assert ours[-1].properties["eventType"] == "payment.succeeded"


async def test_a_private_tenant_has_topics_of_its_own(
    store: Store, bridge: Bridge, mosquitto_server: MosquittoServer
) -> None:
    shop = Shop(store)
    async with witness(mosquitto_server) as heard:
        pet = await shop.call(CREATE_PET, body=PET)
        await heard.has(f"tenants/{shop.tenant}/pets/{pet.id}")
        await heard.has(f"tenants/{shop.tenant}/inventory/DOG/stock")
    assert {message.topic.partition("/")[0] for message in heard.messages} == {"tenants"}


async def test_what_happened_before_the_broker_was_configured_is_not_told_and_all_that_follows_is(
    shop: Shop, store: Store, mosquitto_server: MosquittoServer
) -> None:
    await shop.call(CREATE_PET, body=PET | {"name": "Before"})
    async with bridged(store, mosquitto_server):
        pass
    await shop.call(CREATE_PET, body=PET | {"name": "While it was off"})
    async with witness(mosquitto_server) as heard, bridged(store, mosquitto_server):
        await shop.call(CREATE_PET, body=PET | {"name": "After"})
        await eventually(lambda: heard_sequences(heard)[-1:] == ["After"])
    assert heard_sequences(heard) == ["While it was off", "After"]


async def test_a_broker_that_is_killed_and_comes_back_misses_nothing_and_gets_it_in_order(
    shop: Shop, bridge: Bridge, mosquitto_server: MosquittoServer
) -> None:
    names = [f"Pet {number}" for number in range(300)]
    told: list[str] = []

    async def create() -> None:
        for name in names:
            await shop.call(CREATE_PET, body=PET | {"name": name})
            await asyncio.sleep(0)

    async with witness(mosquitto_server, "pets/+") as heard:
        creating = asyncio.create_task(create())
        await eventually(lambda: len(heard_sequences(heard)) > 50)
        await asyncio.to_thread(mosquitto_server.kill)
        await eventually(lambda: heard.ended)
        told += heard_sequences(heard)
    await creating
    await eventually(lambda: not bridge.statistics().connected)
    # The broker is back before the witness is; what comes meanwhile the broker would not keep.
    before = bridge.statistics().counters.connections
    await bridge.stop()
    await asyncio.to_thread(mosquitto_server.start)
    async with witness(mosquitto_server, "pets/+") as heard:
        bridge.start()
        await eventually(lambda: heard_sequences(heard)[-1:] == names[-1:])
    assert bridge.statistics().counters.connections > before
    again = heard_sequences(heard)
    assert again == names[-len(again) :]
    # Nothing is missing in between, and at most what was on its way came twice.
    overlap = len(told) + len(again) - len(names)
    assert 0 <= overlap <= 100


@pytest.mark.slow
async def test_a_broker_that_is_frozen_is_given_up_and_served_again(
    shop: Shop, bridge: Bridge, mosquitto_server: MosquittoServer
) -> None:
    async with witness(mosquitto_server, "pets/+") as heard:
        mosquitto_server.freeze()
        await shop.call(CREATE_PET, body=PET | {"name": "Frozen"})
        await eventually(lambda: not bridge.statistics().connected)
        mosquitto_server.thaw()
        await eventually(lambda: heard_sequences(heard)[-1:] == ["Frozen"])


async def test_what_leaves_the_log_unread_is_counted_and_the_rest_is_told(
    shop: Shop, store: Store, mosquitto_server: MosquittoServer
) -> None:
    async with bridged(store, mosquitto_server):
        pass
    for number in range(4):
        await shop.call(CREATE_PET, body=PET | {"name": f"Pet {number}"})
    head = await shop.head()
    await store.storage.trim_log(None, 2, held_by=[NAME])
    assert (await store.storage.read_log(shop.tenant, 0, 1)).floor == 0
    await store.storage.trim_log(None, 2)
    async with witness(mosquitto_server) as heard, bridged(store, mosquitto_server) as bridge:
        await eventually(lambda: len(heard.types()) == 2)
        await eventually(lambda: bridge.consumer.statistics().counters.lost == head - 2)


async def test_a_bridge_that_is_stopped_leaves_no_lease_behind(
    store: Store, mosquitto_server: MosquittoServer
) -> None:
    async with bridged(store, mosquitto_server):
        assert await store.storage.take_lease(NAME, new_id(), 1) is None
    assert await store.storage.take_lease(NAME, new_id(), 1) is not None


async def test_a_client_of_version_3_hears_the_envelope_too(
    shop: Shop, bridge: Bridge, mosquitto_server: MosquittoServer
) -> None:
    process = await asyncio.create_subprocess_exec(
        "mosquitto_sub", "-V", "mqttv311", "-p", str(mosquitto_server.port), "-t", "inventory/#", "-C", "1",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    reading = asyncio.create_task(process.stdout.readline())
    while not reading.done():
        await shop.call(CREATE_PET, body=PET)
        await asyncio.wait({reading}, timeout=0.2)
    assert json.loads(await reading)["eventType"] == "inventory.changed"
    assert await process.wait() == 0
