"""What clients publish: telemetry of devices, and nothing else."""

import json
from pathlib import Path
from typing import Any

import mqtt5
import pytest

from core.kernel.ids import new_id
from core.models.devices import NewDevice
from gateway.storage.migration import migrate
from tests.protocols.live import new_tenant
from tests.protocols.mqtt.node import MqttNode, mqtt_node
from tests.protocols.mqtt.raw import Raw
from tests.waiting import eventually

READING = {
    "heartRateBpm": 92,
    "temperatureC": 38.4,
    "activity": "walking",
    "batteryPercent": 81,
    "measuredAt": "2026-01-31T09:15:00+01:00",
}
MALFORMED, NOT_AUTHORIZED, PAYLOAD_INVALID = 129, 135, 153


def login(device: NewDevice) -> dict[str, Any]:
    return {"username": device.username, "password": device.password}


async def a_collar(node: MqttNode, **where: Any) -> tuple[NewDevice, str]:
    """A device, and the topic that it reports to."""
    pet = await node.pet(**where)
    return await node.device(**where, petIds=[pet.id]), f"telemetry/pets/{pet.id}/health"


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_reading_is_published_to_subscribers_of_the_pet(node: MqttNode, qos: int) -> None:
    device, topic = await a_collar(node)
    async with (
        node.client(**login(device)) as collar,
        node.client() as subscriber,
        node.stream("pets/+/health") as stream,
    ):
        await subscriber.subscribe("pets/+/health")
        answer = await collar.publish(topic, READING, qos)
        if qos == 1:
            assert (type(answer), answer.reason_code) == (mqtt5.PubAckPacket, mqtt5.PubAckReasonCode.SUCCESS)
        if qos == 2:
            assert (type(answer), answer.reason_code) == (mqtt5.PubRecPacket, mqtt5.PubRecReasonCode.SUCCESS)
            collar.send(mqtt5.PubRelPacket(answer.packet_id))
            assert (await collar.expect(mqtt5.PubCompPacket)).reason_code == mqtt5.PubCompReasonCode.SUCCESS
        message = await subscriber.message()
        envelope = json.loads(message.payload)
        assert envelope["eventType"] == "pet.health_reported"
        assert envelope["data"] == {
            "petId": topic.split("/")[2],
            "deviceId": device.id,
            "reading": {**READING, "activity": "WALKING", "measuredAt": "2026-01-31T08:15:00.000Z"},
        }
        assert await stream.event() == envelope


async def test_the_same_message_twice_with_quality_of_service_2_is_one(node: MqttNode) -> None:
    device, topic = await a_collar(node)
    async with node.client(**login(device)) as collar, node.client() as subscriber:
        await subscriber.subscribe("pets/+/health")
        await collar.publish(topic, {"heartRateBpm": 1}, 2, packet_id=7)
        again = await collar.publish(topic, {"heartRateBpm": 1}, 2, packet_id=7, duplicate=True)
        assert isinstance(again, mqtt5.PubRecPacket)
        for code in (0, 146):
            collar.send(mqtt5.PubRelPacket(7))
            assert int((await collar.expect(mqtt5.PubCompPacket)).reason_code) == code
        await collar.publish(topic, {"heartRateBpm": 2})
        assert [
            json.loads((await subscriber.message()).payload)["data"]["reading"]["heartRateBpm"]
            for _ in range(2)
        ] == [1, 2]


async def test_a_message_taken_before_the_connection_broke_is_not_taken_again(node: MqttNode) -> None:
    device, topic = await a_collar(node)
    hour = {"session_expiry_interval": 3600}
    async with node.client() as subscriber:
        await subscriber.subscribe("pets/+/health")
        async with node.client("collar", **login(device), **hour) as collar:
            await collar.publish(topic, {"heartRateBpm": 1}, 2, packet_id=7)
        await eventually(lambda: len(node.mqtt.clients) == 1)
        async with node.raw_client() as collar:
            assert (await collar.connect("collar", clean_start=False, **login(device))).session_present
            await collar.publish(topic, {"heartRateBpm": 1}, 2, packet_id=7, duplicate=True)
            await collar.publish(topic, {"heartRateBpm": 2})
        assert [
            json.loads((await subscriber.message()).payload)["data"]["reading"]["heartRateBpm"]
            for _ in range(2)
        ] == [1, 2]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not json",
        b"[]",
        b"\xff\xfe",
        {},
        {"heartRateBpm": -1},
        {"heartRateBpm": "92"},
        {"temperatureC": 1e999},
        {"batteryPercent": 101},
        {"activity": "FLYING"},
        {"heartRateBpm": 92, "mood": "good"},
        {"heartRateBpm": 92, "measuredAt": "2099-01-01T00:00:00Z"},
        {"heartRateBpm": 92, "measuredAt": "2026-01-01T00:00:00"},
        {"measuredAt": "2026-01-01T00:00:00Z"},
    ],
    ids=repr,
)
async def test_garbage_is_refused_and_counted_and_harms_no_other_client(
    node: MqttNode, payload: object
) -> None:
    device, topic = await a_collar(node)
    async with node.client(**login(device)) as collar, node.client() as subscriber:
        await subscriber.subscribe("pets/+/health")
        answer = await collar.publish(topic, payload)
        assert (int(answer.reason_code), bool(answer.reason_str)) == (PAYLOAD_INVALID, True)
        refused = await collar.publish(topic, payload, 2)
        assert int(refused.reason_code) == PAYLOAD_INVALID
        await collar.publish(topic, payload, 0)
        assert int((await collar.publish(topic, READING)).reason_code) == 0
        assert json.loads((await subscriber.message()).payload)["data"]["reading"]["heartRateBpm"] == 92
        assert node.mqtt.counters.refused_messages == 3
        assert node.mqtt.counters.published == 1


async def test_devices_publish_for_their_own_pets_only(node: MqttNode) -> None:
    device, topic = await a_collar(node)
    other = await node.pet()
    async with node.client(**login(device)) as collar:
        for wrong in (
            f"telemetry/pets/{other.id}/health",
            f"telemetry/pets/{new_id()}/health",
            "telemetry/pets/x/health",
            f"{topic}/more",
            "pets/x/health",
            "anything",
            f"tenants/{new_tenant()}/{topic}",
            f"tenants/nonsense/{topic}",
        ):
            assert int((await collar.publish(wrong, READING)).reason_code) == NOT_AUTHORIZED
        assert int((await collar.publish(topic, READING)).reason_code) == 0


async def test_only_devices_publish(node: MqttNode) -> None:
    _, topic = await a_collar(node)
    for who in ({}, {"password": node.staff_token()}, {"password": node.token(node.member())}):
        async with node.client(**who) as client:
            answer = await client.publish(topic, READING)
            assert int(answer.reason_code) == NOT_AUTHORIZED
            await client.publish(topic, READING, 0)
            assert int((await client.publish(topic, READING)).reason_code) == NOT_AUTHORIZED


async def test_a_device_of_a_private_tenant_may_name_it(node: MqttNode) -> None:
    tenant = new_tenant()
    device, topic = await a_collar(node, tenant=tenant)
    async with node.client(**login(device)) as collar:
        for name in (topic, f"tenants/{tenant}/{topic}"):
            assert int((await collar.publish(name, READING)).reason_code) == 0


async def test_version_3_acknowledges_what_it_cannot_refuse(node: MqttNode) -> None:
    async with node.raw_client() as client:
        client.send(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a")
        assert await client.bytes_of_next() == b"\x20\x02\x00\x00"
        client.send(b"\x32\x07\x00\x01x\x00\x05{}")
        assert await client.bytes_of_next() == b"\x40\x02\x00\x05"
        client.send(b"\x34\x07\x00\x01x\x00\x06{}")
        assert await client.bytes_of_next() == b"\x50\x02\x00\x06"
        client.send(b"\x62\x02\x00\x06")
        assert await client.bytes_of_next() == b"\x70\x02\x00\x06"
        assert node.mqtt.counters.refused_messages == 2


async def test_topic_aliases_are_refused(node: MqttNode) -> None:
    async with node.client() as client:
        client.send(mqtt5.PublishPacket("x", b"{}", topic_alias=1))
        assert (await client.farewell()).reason_code == mqtt5.DisconnectReasonCode.TOPIC_ALIAS_INVALID


async def test_while_nothing_can_be_written_nothing_is_acknowledged(node: MqttNode) -> None:
    device, topic = await a_collar(node)
    async with node.client(**login(device)) as collar:
        node.store.draining = True
        collar.send(
            mqtt5.PublishPacket(topic, b'{"heartRateBpm": 1}', qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=1)
        )
        assert (await collar.farewell()).reason_code == mqtt5.DisconnectReasonCode.SERVER_BUSY
        node.store.draining = False


# --- wills ---


def will(topic: str, payload: object = READING, **more: Any) -> dict[str, Any]:
    return {"will": mqtt5.Will(topic, payload=json.dumps(payload).encode(), **more)}


async def test_a_lost_devices_will_is_published(node: MqttNode) -> None:
    device, topic = await a_collar(node)
    async with node.client() as subscriber:
        await subscriber.subscribe("pets/+/health")
        async with node.client(**login(device), **will(topic, {"heartRateBpm": 0})):
            pass
        assert json.loads((await subscriber.message()).payload)["data"]["reading"]["heartRateBpm"] == 0


async def test_a_device_that_says_goodbye_has_no_will(node: MqttNode) -> None:
    device, topic = await a_collar(node)
    async with node.client() as subscriber:
        await subscriber.subscribe("pets/+/health")
        async with node.client(**login(device), **will(topic, {"heartRateBpm": 0})) as collar:
            collar.leave()
            assert await collar.ended()
        async with node.client(**login(device), **will(topic, {"heartRateBpm": 1})) as collar:
            collar.send(
                mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.DISCONNECT_WITH_WILL_MESSAGE)
            )
            assert await collar.ended()
        assert json.loads((await subscriber.message()).payload)["data"]["reading"]["heartRateBpm"] == 1


async def test_a_will_that_is_delayed_is_dropped_when_the_device_is_back(node: MqttNode) -> None:
    device, topic = await a_collar(node)
    async with node.client() as subscriber:
        await subscriber.subscribe("pets/+/health")
        given = {**login(device), "session_expiry_interval": 3600}
        async with node.client("collar", **given, **will(topic, {"heartRateBpm": 0}, will_delay_interval=1)):
            pass
        async with node.raw_client() as collar:
            await collar.connect("collar", clean_start=False, **given)
            await collar.publish(topic, {"heartRateBpm": 1})
            assert json.loads((await subscriber.message()).payload)["data"]["reading"]["heartRateBpm"] == 1


async def next_heart_rate(subscriber: Raw) -> int:
    """The heart rate of the next event."""
    rate: int = json.loads((await subscriber.message()).payload)["data"]["reading"]["heartRateBpm"]
    return rate


async def test_a_will_waits_no_longer_than_the_session_lasts(node: MqttNode) -> None:
    device, topic = await a_collar(node)
    async with node.client() as subscriber:
        await subscriber.subscribe("pets/+/health")
        async with node.client(**login(device), **will(topic, {"heartRateBpm": 0}, will_delay_interval=3600)):
            pass
        assert await next_heart_rate(subscriber) == 0


async def test_a_will_is_gone_for_good_when_the_device_was_back_in_time(node: MqttNode) -> None:
    device, topic = await a_collar(node)
    given = {**login(device), "session_expiry_interval": 3600}
    late = will(topic, {"heartRateBpm": 0}, will_delay_interval=3600)
    async with node.client() as subscriber:
        await subscriber.subscribe("pets/+/health")
        async with node.client("collar", **given, **late):
            pass
        await eventually(lambda: len(node.mqtt.wills) == 1)
        async with node.raw_client() as collar:
            await collar.connect("collar", clean_start=False, **given)
            assert not len(node.mqtt.wills)
            collar.leave()
            assert await collar.ended()


async def test_a_will_that_waits_is_published_when_the_device_begins_anew(node: MqttNode) -> None:
    device, topic = await a_collar(node)
    given = {**login(device), "session_expiry_interval": 3600}
    late = will(topic, {"heartRateBpm": 0}, will_delay_interval=3600)
    async with node.client() as subscriber:
        await subscriber.subscribe("pets/+/health")
        async with node.client("collar", **given, **late):
            pass
        await eventually(lambda: len(node.mqtt.wills) == 1)
        async with node.client("collar", **given):
            assert await next_heart_rate(subscriber) == 0


async def test_a_will_is_not_published_when_the_device_is_on_another_node(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    await migrate(url)
    async with mqtt_node(tmp_path, url=url) as first, mqtt_node(tmp_path, url=url) as second:
        device, topic = await a_collar(first)
        given = {**login(device), "session_expiry_interval": 3600}
        late = will(topic, {"heartRateBpm": 0}, will_delay_interval=1)
        async with first.client() as subscriber:
            await subscriber.subscribe("pets/+/health")
            async with first.client("collar", **given, **late):
                pass
            await eventually(lambda: len(first.mqtt.wills) == 1)
            async with second.raw_client() as collar:
                answer = await collar.connect("collar", clean_start=False, **given)
                assert answer.session_present
                await eventually(lambda: not len(first.mqtt.wills))
                await first.mqtt.finished()
                async with first.client("other", **given) as other:
                    await other.publish(topic, {"heartRateBpm": 1})
                assert await next_heart_rate(subscriber) == 1


async def test_a_device_that_was_refused_has_no_will(node: MqttNode) -> None:
    device, topic = await a_collar(node)
    async with node.client() as subscriber:
        await subscriber.subscribe("pets/+/health")
        async with node.raw_client() as collar:
            named = {**login(device), "password": device.password.encode()}
            collar.send(
                mqtt5.ConnectPacket("", **named, **will(topic, {"heartRateBpm": 0})).write() + b"\0\0"
            )
            assert int((await collar.expect(mqtt5.ConnAckPacket)).reason_code) == MALFORMED
            assert await collar.ended()
        async with node.client(**login(device)) as collar:
            await collar.publish(topic, {"heartRateBpm": 1})
        assert await next_heart_rate(subscriber) == 1


async def test_a_will_that_is_no_reading_is_refused_at_once(node: MqttNode) -> None:
    device, own = await a_collar(node)
    async with node.raw_client() as client:
        answer = await client.try_connect(**login(device), **will(own, {"heartRateBpm": -1}))
        assert int(answer.reason_code) == PAYLOAD_INVALID


@pytest.mark.parametrize("delay", [0, 1])
async def test_a_will_where_nobody_may_publish_is_accepted_and_never_published(
    node: MqttNode, delay: int
) -> None:
    device, own = await a_collar(node)
    for topic in ("homeassistant/status", "$SYS/broker/connection/bridge/state", "pets/x/health"):
        last = mqtt5.Will(topic, payload=b"offline", retain=True, will_delay_interval=delay)
        async with node.client(**login(device), session_expiry_interval=60, will=last):
            pass
    async with node.client(**will(own)):  # a visitor's
        pass
    await eventually(lambda: not node.mqtt.clients)
    assert not len(node.mqtt.wills)
    assert (node.mqtt.counters.refused_messages, node.mqtt.counters.published) == (0, 0)
