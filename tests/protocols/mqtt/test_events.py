"""Events on their way to subscribers."""

import contextlib
import json
from pathlib import Path
from typing import Any

import mqtt5
import pytest

from core.kernel.cursor import Cursor
from core.kernel.ids import SHARED_TENANT, TenantId
from core.services.inventory import GET_INVENTORY
from core.services.orders import PLACE_ORDER
from core.services.payments import PAY_ORDER
from core.services.pets import UPDATE_PET
from gateway.storage.migration import migrate
from tests.core.stores import Shop
from tests.protocols.live import new_tenant
from tests.protocols.mqtt.node import MqttNode, mqtt_node
from tests.protocols.mqtt.raw import connect_packet, subscribe_packet

EXPIRED, INVALID, NOT_AUTHORIZED, QUOTA = 131, 143, 135, 151
CARD = {
    "object": "card",
    "name": "Ada",
    "number": "4242424242424242",
    "cvc": "123",
    "expMonth": 12,
    "expYear": 2090,
}


async def test_a_message_is_the_envelope_and_has_its_id_type_and_cursor_as_user_properties(
    node: MqttNode,
) -> None:
    async with node.client() as client:
        answer = await client.subscribe("pets/#")
        assert dict(answer.user_properties)["cursor"] == await node.store.hub.cursor_now(SHARED_TENANT)
        await node.happen(1)
        message = await client.message()
        envelope = json.loads(message.payload)
        assert (message.topic, envelope["topic"]) == ("pets/one", "pets/one")
        assert dict(message.user_properties) == {
            "eventId": envelope["id"],
            "eventType": "thing.happened",
            "cursor": envelope["cursor"],
        }
        assert message.content_type == "application/json"


@pytest.mark.parametrize(("asked", "granted"), [(0, 0), (1, 1), (2, 1)])
async def test_quality_of_service_2_is_granted_as_1(node: MqttNode, asked: int, granted: int) -> None:
    async with node.client() as client:
        assert await client.codes("pets/#", qos=asked) == [granted]
        await node.happen(1)
        assert int((await client.message()).qos) == granted


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("pets/#/x", INVALID),
        ("pets+", INVALID),
        ("a" * 513, INVALID),
        ("tenants/not-a-tenant/pets/#", INVALID),
        ("tenants/+/pets/#", INVALID),
        ("$share/only", INVALID),
        ("$share//pets/#", INVALID),
        ("orders/+/status", NOT_AUTHORIZED),
        ("orders/019e2d15-51aa-7c36-9e02-7d4b6f8a0c12/status", NOT_AUTHORIZED),
        ("telemetry/#", NOT_AUTHORIZED),
        ("$share/group/orders/#", NOT_AUTHORIZED),
        ("#", 0),
        ("pets/#", 0),
    ],
)
async def test_each_filter_is_answered_for_itself(node: MqttNode, pattern: str, code: int) -> None:
    async with node.client() as client:
        assert await client.codes("inventory/#", pattern, "pets/+/status") == [0, code, 0]


async def test_more_filters_than_allowed_are_refused_one_by_one(tmp_path: Path) -> None:
    async with mqtt_node(tmp_path, filters_per_connection=2) as node, node.client() as client:
        assert await client.codes("pets/1", "pets/2") == [0, 0]
        assert await client.codes("pets/2", "pets/3") == [0, QUOTA]
    async with mqtt_node(tmp_path, filters_per_connection=2) as node, node.client() as client:
        assert await client.codes("pets/1", "pets/2", "pets/1", "pets/3") == [0, 0, 0, QUOTA]
        # Not even the same one can be asked for without end.
        assert await client.codes(*["pets/1"] * 6) == [0, 0, 0, 0, QUOTA, QUOTA]


async def test_an_owner_sees_only_their_own_orders(node: MqttNode) -> None:
    owner, other = node.member(), node.member()
    async with (
        node.client(password=node.token(owner)) as own,
        node.client(password=node.token(other)) as others,
        node.client(password=node.staff_token()) as staff,
        node.client() as visitor,
    ):
        for client in (own, others, staff):
            assert await client.codes("orders/#") == [0]
        assert await visitor.codes("#") == [0]
        await node.happen_to(owner, 1)
        await node.happen(2)
        assert await own.numbers(1) == [1]
        assert await staff.numbers(1) == [1]
        assert await visitor.numbers(1) == [2]
        await node.happen_to(other, 3)
        assert await others.numbers(1) == [3]


async def test_an_event_that_several_filters_match_comes_once(node: MqttNode) -> None:
    async with node.client() as client:
        await client.subscribe("pets/#")
        await client.subscribe("#", qos=1)
        await client.subscribe("pets/one", qos=1)
        await node.happen(1, 2)
        message = await client.message()
        assert message.qos == mqtt5.QoS.AT_LEAST_ONCE
        assert await client.numbers(1) == [2]


async def test_an_event_is_shown_under_the_topic_that_the_filter_matches(node: MqttNode) -> None:
    shop = Shop(node.store, SHARED_TENANT)
    pet = await node.pet()
    order = await shop.call(PLACE_ORDER, body={"petId": pet.id})
    async with (
        node.client(password=node.staff_token()) as one,
        node.client(password=node.staff_token()) as other,
    ):
        await one.subscribe("payments/+/status")
        await other.subscribe("orders/+/payment")
        payment = await shop.call(
            PAY_ORDER, body={"amount": "75.00", "currency": "USD", "source": CARD}, id=order.id
        )
        for _ in ("processing", "succeeded"):
            assert (await one.message()).topic == f"payments/{payment.id}/status"
            assert (await other.message()).topic == f"orders/{order.id}/payment"


async def test_messages_have_the_subscription_identifiers_of_the_filters_they_match(node: MqttNode) -> None:
    async with node.client() as client:
        await client.subscribe("pets/#", subscription_id=7)
        await client.subscribe("pets/one", subscription_id=9, qos=1)
        await node.happen(1)
        assert sorted((await client.message()).subscription_ids) == [7, 9]


async def test_what_is_no_longer_subscribed_is_no_longer_sent(node: MqttNode) -> None:
    async with node.client() as client:
        await client.subscribe("pets/#", "inventory/#")
        client.send(mqtt5.UnsubscribePacket(client.packet_id(), ["pets/#", "never"]))
        answer = await client.expect(mqtt5.UnsubAckPacket)
        assert [int(code) for code in answer.reason_codes] == [0, 17]
        await node.happen(1)
        await client.subscribe("pets/two")
        await node.happen(2, topic="two")
        assert await client.numbers(1) == [2]


async def test_a_client_with_a_small_maximum_packet_size_gets_no_reason_strings(node: MqttNode) -> None:
    async with node.client("one", max_packet_size=30) as client:
        answer = await client.subscribe("pets/#", "orders/+/status")
        assert [int(code) for code in answer.reason_codes] == [0, 135]
        assert answer.user_properties == []
        refused = await client.publish("pets/x", b"")
        assert (int(refused.reason_code), refused.reason_str) == (135, None)
        client.send(b"\x00\x00")
        assert (await client.farewell()).reason_code == 129
    async with node.client(max_packet_size=200) as client:
        assert (await client.subscribe("pets/#")).user_properties
        assert (await client.publish("pets/x", b"")).reason_str


async def test_no_packet_is_larger_than_the_client_accepts(node: MqttNode) -> None:
    async with node.raw_client() as client:
        answer = await client.try_connect(max_packet_size=10)
        assert (int(answer.reason_code), answer.reason_str) == (149, None)
        assert await client.ended()
    assert node.mqtt.counters.connected == 0
    async with node.raw_client() as client:
        client.send(connect_packet("one", max_packet_size=3))
        assert await client.ended()  # There is no CONNACK of so few bytes.
    filters = [f"pets/{number}" for number in range(30)]
    async with node.client("one", max_packet_size=30) as client:
        client.send(subscribe_packet(1, filters, 0))
        assert int((await client.farewell()).reason_code) == 149
    async with node.client("one", max_packet_size=30) as client:
        await client.subscribe("pets/#")
        client.send(mqtt5.UnsubscribePacket(1, filters))
        assert int((await client.farewell()).reason_code) == 149


async def test_a_message_larger_than_the_maximum_packet_size_is_left_out(node: MqttNode) -> None:
    async with node.client(max_packet_size=2000) as client:
        await client.subscribe("pets/#", qos=1)
        await node.happen(1)
        await node.happen(2, filling=3000)
        await node.happen(3)
        assert await client.numbers(2) == [1, 3]


@pytest.mark.parametrize("count", [3, 2000])
async def test_no_more_is_in_flight_than_the_client_allows(node: MqttNode, count: int) -> None:
    async with node.client(receive_max=2) as client:
        await client.subscribe("pets/#", qos=1)
        await node.happen(*range(count))
        first = [await client.message(acknowledge=False) for _ in range(2)]
        client.send(mqtt5.PingReqPacket())
        await client.expect(mqtt5.PingRespPacket)  # and nothing before it
        for message in first:
            assert message.packet_id
            client.send(mqtt5.PubAckPacket(message.packet_id))
        assert await client.numbers(count - 2) == list(range(2, count))


async def test_packet_ids_in_flight_are_all_different(node: MqttNode) -> None:
    async with node.client() as client:
        await client.subscribe("pets/#", qos=1)
        await node.happen(*range(300))
        messages = [await client.message(acknowledge=False) for _ in range(300)]
        assert len({message.packet_id for message in messages}) == 300
        for message in messages:
            client.send(mqtt5.PubAckPacket(message.packet_id or 0))
        await node.happen(*range(300, 900))
        assert await client.numbers(600) == list(range(300, 900))


async def test_a_slow_reader_misses_nothing(tmp_path: Path) -> None:
    async with mqtt_node(tmp_path) as node, node.client() as client:
        await client.subscribe("pets/#")
        for start in range(0, 10_000, 500):
            await node.happen(*range(start, start + 500), filling=1000)
        assert await client.numbers(10_000) == list(range(10_000))


async def test_a_visitor_may_name_a_tenant_and_sees_its_topics_under_that_name(node: MqttNode) -> None:
    tenant = new_tenant()
    async with node.client() as client:
        assert await client.codes(f"tenants/{tenant}/pets/#") == [0]
        assert await client.codes("pets/two", f"tenants/{new_tenant()}/pets/#") == [0, NOT_AUTHORIZED]
        await node.happen(1)
        await node.happen(2, tenant=tenant)
        message = await client.message()
        assert (message.topic, json.loads(message.payload)["topic"]) == (
            f"tenants/{tenant}/pets/one",
            "pets/one",
        )
        await node.happen(3, tenant=tenant, topic="two")
        assert (await client.message()).topic in ("pets/two", f"tenants/{tenant}/pets/two")


async def test_a_visitor_is_in_one_tenant_even_if_they_name_two_at_once(node: MqttNode) -> None:
    here, there = new_tenant(), new_tenant()
    async with node.client() as visitor:
        assert await visitor.codes(f"tenants/{here}/pets/#", f"tenants/{there}/#") == [0, NOT_AUTHORIZED]
        await node.happen(1, tenant=there)
        await node.happen(2, tenant=here)
        message = await visitor.message()
        assert message.topic == f"tenants/{here}/pets/one"
        assert json.loads(message.payload)["data"]["number"] == 2


async def test_a_token_implies_its_tenant_and_opens_no_other(node: MqttNode) -> None:
    tenant = new_tenant()
    async with node.client(password=node.staff_token(tenant)) as client:
        assert await client.codes("pets/#", f"tenants/{tenant}/inventory/#") == [0, 0]
        assert await client.codes(f"tenants/{new_tenant()}/pets/#") == [NOT_AUTHORIZED]
        await node.happen(1)
        await node.happen(2, tenant=tenant)
        assert await client.numbers(1) == [2]


async def test_a_cursor_of_a_subscription_brings_what_happened_since(node: MqttNode) -> None:
    await node.happen(1, 2)
    async with node.client() as client:
        await client.subscribe("pets/#", user_properties=[("cursor", "earliest")])
        assert await client.numbers(2) == [1, 2]
        assert await client.codes("inventory/#", user_properties=[("cursor", "nonsense")]) == [INVALID]


async def test_an_expired_cursor_is_refused_with_the_oldest_one(node: MqttNode) -> None:
    await node.happen(*range(1, 11))
    await node.store.storage.trim_log(None, 4)
    async with node.client() as client:
        gone = [("cursor", Cursor(node.store.epoch, SHARED_TENANT, 2).encode())]
        answer = await client.subscribe("pets/#", user_properties=gone)
        assert [int(code) for code in answer.reason_codes] == [EXPIRED]
        oldest = dict(answer.user_properties)["oldestCursor"]
        assert await client.codes("pets/#", user_properties=[("cursor", oldest)]) == [0]
        assert await client.numbers(4) == [7, 8, 9, 10]


async def test_a_cursor_of_a_message_resumes_on_an_event_stream(node: MqttNode) -> None:
    async with node.client() as client:
        await client.subscribe("pets/#")
        await node.happen(1, 2)
        cursor = dict((await client.message()).user_properties)["cursor"]
    async with node.stream("pets/#", cursor=cursor) as stream:
        assert await stream.numbers(1) == [2]


# --- the current state ---


async def test_a_subscriber_gets_the_current_state_before_events(node: MqttNode) -> None:
    pet = await node.pet()
    async with node.client() as client:
        await client.subscribe(f"pets/{pet.id}/+", "inventory/DOG/stock", retain_handling=0)
        found = {}
        for _ in range(3):
            message = await client.message()
            assert message.retain
            found[message.topic] = json.loads(message.payload)["data"]
        assert found[f"pets/{pet.id}/status"]["newStatus"] == "AVAILABLE"
        assert found[f"pets/{pet.id}/availability"] == {"petId": pet.id, "available": True}
        assert found["inventory/DOG/stock"]["available"] == 1
        await Shop(node.store, SHARED_TENANT).call(UPDATE_PET, body={"status": "NOT_AVAILABLE"}, id=pet.id)
        message = await client.message()
        assert not message.retain
        assert json.loads(message.payload)["data"]["newStatus"] == "NOT_AVAILABLE"


async def test_the_stock_of_retained_messages_is_the_stock_counted(node: MqttNode) -> None:
    for species in ("DOG", "DOG", "CAT"):
        await node.pet(species=species)
    inventory = await Shop(node.store, SHARED_TENANT).call(GET_INVENTORY)
    async with node.client() as client:
        await client.subscribe("inventory/+/stock", retain_handling=0, qos=1)
        stocks = [json.loads((await client.message()).payload)["data"] for _ in range(6)]
        assert {data["species"]: data["available"] for data in stocks} == {
            species.value: stock.available for species, stock in inventory.by_species.items()
        }


async def test_retained_messages_show_what_the_subscriber_may_see(node: MqttNode) -> None:
    shop = Shop(node.store, SHARED_TENANT)
    owner = node.member()
    owned = await shop.call(PLACE_ORDER, owner, body={"petId": (await node.pet()).id})
    anonymous = await shop.call(PLACE_ORDER, shop.visitor, body={"petId": (await node.pet()).id})
    await shop.call(
        PAY_ORDER, owner, body={"amount": "75.00", "currency": "USD", "source": CARD}, id=owned.id
    )

    async def retained(pattern: str, tenant: TenantId = SHARED_TENANT, **connect: Any) -> set[str]:
        async with node.client(**connect) as client:
            await client.subscribe(pattern, "pets/one", retain_handling=0)
            await node.happen(1, tenant=tenant)  # comes behind the retained messages
            topics = set()
            while (message := await client.message()).retain:
                topics.add(message.topic)
            return topics

    both = {f"orders/{owned.id}/status", f"orders/{anonymous.id}/status"}
    assert await retained("orders/+/status", password=node.staff_token()) == both
    assert await retained("orders/+/status", password=node.token(owner)) == {f"orders/{owned.id}/status"}
    assert await retained("orders/+/status", password=node.token(node.member())) == set()
    assert await retained(f"orders/{anonymous.id}/#") == {f"orders/{anonymous.id}/status"}
    assert await retained("orders/#", password=node.token(owner)) == {
        f"orders/{owned.id}/status",
        f"orders/{owned.id}/payment",
    }
    device = await node.device(orderIds=[owned.id])
    assert await retained(f"orders/{owned.id}/#", username=device.username, password=device.password) == {
        f"orders/{owned.id}/status",
        f"orders/{owned.id}/payment",
    }
    elsewhere = new_tenant()
    assert await retained("orders/+/status", elsewhere, password=node.staff_token(elsewhere)) == set()


@pytest.mark.parametrize(("handling", "again"), [(0, True), (1, False), (2, False)])
async def test_retain_handling_is_the_subscribers_choice(node: MqttNode, handling: int, again: bool) -> None:
    pet = await node.pet()
    topic = f"pets/{pet.id}/status"
    async with node.client() as client:
        await client.subscribe(topic, retain_handling=handling)
        if handling != 2:
            assert (await client.message()).retain
        await client.subscribe(topic, retain_handling=handling)
        if again:
            assert (await client.message()).retain
        await client.subscribe("pets/one")
        await node.happen(1)
        assert await client.numbers(1) == [1]


async def test_more_retained_messages_than_the_receive_maximum_come_in_order(node: MqttNode) -> None:
    pets = sorted([(await node.pet()).id for _ in range(250)])
    async with node.client(receive_max=3) as client:
        await client.subscribe("pets/+/availability", qos=1, retain_handling=0)
        topics = [(await client.message()).topic for _ in pets]
        assert topics == [f"pets/{pet_id}/availability" for pet_id in pets]


async def test_retain_as_published_marks_topics_that_have_a_state(node: MqttNode) -> None:
    pet = await node.pet()
    async with node.client() as kept, node.client() as plain:
        await kept.subscribe("pets/#", retain_as_published=True)
        await plain.subscribe("pets/#")
        await Shop(node.store, SHARED_TENANT).call(UPDATE_PET, body={"status": "NOT_AVAILABLE"}, id=pet.id)
        await node.happen(1)
        flags = {(m := await kept.message()).topic.rpartition("/")[2]: m.retain for _ in range(3)}
        assert flags == {"status": True, "availability": True, "one": False}
        assert not any([(await plain.message()).retain for _ in range(3)])


async def test_slow_readers_of_the_current_state_hold_no_connection_to_the_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    await migrate(url)
    async with mqtt_node(tmp_path, url=url) as node, contextlib.AsyncExitStack() as stack:
        pet = await node.pet()
        await node.pet()
        for _ in range(40):
            slow = await stack.enter_async_context(node.client(receive_max=1))
            await slow.subscribe("pets/+/status", qos=1, retain_handling=0)
            await slow.message(acknowledge=False)
        async with node.client() as client:
            await client.subscribe("pets/#", retain_handling=0)
            assert (await client.message()).topic == f"pets/{pet.id}/status"
