"""Clients that send more at once than they are read at: what they queued while they were offline arrives."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiomqtt
import mqtt5
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from core.kernel.errors import Close, CloseReason
from core.models.devices import NewDevice
from protocols.mqtt.adapter import MqttDoor
from protocols.mqtt.decoder import decode_packet
from protocols.mqtt.inbound import RECEIVE_MAXIMUM
from tests.protocols.mqtt.node import MqttNode, mqtt_node
from tests.protocols.mqtt.raw import QOS, Raw, connect_packet, subscribe_packet
from tests.servers import MosquittoServer
from tests.waiting import TIMEOUT_SECONDS, eventually

NODE = Path(__file__).parents[2] / "node"
#: More than the burst, so that the rate is felt.
COUNT = 130
READING = b'{"heartRateBpm": %d}'


@contextlib.asynccontextmanager
async def collar(node: MqttNode) -> AsyncIterator[tuple[NewDevice, str, Raw]]:
    """A device, its topic, and somebody who sees what it reports."""
    pet = await node.pet()
    device = await node.device(petIds=[pet.id])
    async with node.client() as watcher:
        await watcher.subscribe("pets/+/health")
        yield device, f"telemetry/pets/{pet.id}/health", watcher


async def rates(watcher: Raw, count: int) -> list[int]:
    """The heart rates that are reported next."""
    events = [json.loads((await watcher.message()).payload) for _ in range(count)]
    return [event["data"]["reading"]["heartRateBpm"] for event in events]


@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5])
async def test_the_queue_of_paho_arrives(node: MqttNode, version: MQTTProtocolVersion) -> None:
    async with collar(node) as (device, topic, watcher):
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=version)
        client.username_pw_set(device.username, device.password)
        lost: list[int] = []
        client.on_disconnect = lambda *given: lost.append(given[3].value)
        for number in range(COUNT):
            client.publish(topic, READING % (number + 1), qos=1)
        await asyncio.to_thread(client.connect, "127.0.0.1", node.mqtt_port)
        client.loop_start()
        assert await rates(watcher, COUNT) == list(range(1, COUNT + 1))
        assert not lost
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)


async def test_what_aiomqtt_publishes_at_once_arrives(node: MqttNode) -> None:
    async with (
        collar(node) as (device, topic, watcher),
        aiomqtt.Client(
            "127.0.0.1",
            node.mqtt_port,
            username=device.username,
            password=device.password,
            protocol=aiomqtt.ProtocolVersion.V5,
        ) as client,
    ):
        # Its documented default for an answer is ten seconds; a busy machine has longer.
        await asyncio.gather(
            *(
                client.publish(topic, READING % (number + 1), qos=1, timeout=TIMEOUT_SECONDS)
                for number in range(COUNT)
            )
        )
        assert sorted(await rates(watcher, COUNT)) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("over", ["tcp", "websocket"])
async def test_the_queue_of_the_javascript_client_arrives(node: MqttNode, over: str, qos: int) -> None:
    url = f"mqtt://127.0.0.1:{node.mqtt_port}" if over == "tcp" else f"ws://127.0.0.1:{node.port}/mqtt"
    async with collar(node) as (device, topic, watcher):
        options = {"protocolVersion": 5, "username": device.username, "password": device.password}
        process = await asyncio.create_subprocess_exec(
            "node", "mqtt-publish.mjs", url, json.dumps(options), topic, str(qos), str(COUNT),
            stdout=asyncio.subprocess.PIPE, cwd=NODE,
        )  # fmt: skip
        assert await rates(watcher, COUNT) == list(range(1, COUNT + 1))
        async with asyncio.timeout(TIMEOUT_SECONDS):
            said, _ = await process.communicate()
        assert json.loads(said) == {"published": COUNT}


@pytest.mark.parametrize("version", ["mqttv311", "mqttv50"])
async def test_the_queue_of_a_bridge_arrives(node: MqttNode, tmp_path: Path, version: str) -> None:
    async with collar(node) as (device, topic, watcher):
        broker = bridge(tmp_path, node.mqtt_port, version, device)
        await asyncio.to_thread(broker.start)
        try:
            await eventually(lambda: node.mqtt.counters.connected == 2)
            reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
            local = Raw(reader, writer)
            await local.connect("local")
            for number in range(COUNT):
                await local.publish(topic, READING % (number + 1))
            assert await rates(watcher, COUNT) == list(range(1, COUNT + 1))
            assert node.mqtt.counters.connected == 2
            writer.close()
        finally:
            await asyncio.to_thread(broker.stop)


def bridge(folder: Path, port: int, version: str, device: NewDevice) -> MosquittoServer:
    """A broker whose bridge carries readings to the door."""
    lines = (
        "connection gateway", f"address 127.0.0.1:{port}", f"bridge_protocol_version {version}",
        "topic telemetry/# out 1", "cleansession false", "remote_clientid bridge", "restart_timeout 1",
        f"remote_username {device.username}", f"remote_password {device.password}",
    )  # fmt: skip
    return MosquittoServer(folder, more=lines)


@pytest.mark.parametrize("qos", [1, 2])
async def test_the_receive_maximum_may_be_used(node: MqttNode, qos: int) -> None:
    async with collar(node) as (device, topic, watcher):
        async with node.client(username=device.username, password=device.password) as client:
            for first in (1, 1 + RECEIVE_MAXIMUM):
                ids = range(first, first + RECEIVE_MAXIMUM)
                for packet_id in ids:
                    client.send(
                        mqtt5.PublishPacket(topic, READING % packet_id, qos=QOS[qos], packet_id=packet_id)
                    )
                kinds: dict[int, type[Any]] = {1: mqtt5.PubAckPacket, 2: mqtt5.PubRecPacket}
                assert [(await client.expect(kinds[qos])).packet_id for _ in ids] == list(ids)
                for packet_id in ids if qos == 2 else ():
                    client.send(mqtt5.PubRelPacket(packet_id))
                for packet_id in ids if qos == 2 else ():
                    assert (await client.expect(mqtt5.PubCompPacket)).packet_id == packet_id
        assert await rates(watcher, 2 * RECEIVE_MAXIMUM) == list(range(1, 2 * RECEIVE_MAXIMUM + 1))


async def test_a_client_that_is_held_back_gets_its_pings_answered_and_is_not_taken_for_silent(
    tmp_path: Path,
) -> None:
    async with (
        mqtt_node(tmp_path, message_burst=2, messages_per_second=2) as node,
        node.client(keep_alive=1) as client,
    ):
        nothing = mqtt5.PublishPacket("nobody/publishes/here", b"x" * 60_000).write()
        for _ in range(4):
            client.send(nothing)
        await client.answered()
        assert node.mqtt.counters.refused_messages < 4
        # So much that nothing is read any more for longer than the client may be silent.
        for _ in range(6):
            client.send(nothing)
        await client.answered()
        assert node.mqtt.counters.refused_messages > 3


async def test_no_more_is_parsed_at_once_than_may_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = 0

    def counted(*given: Any) -> Any:
        nonlocal parsed
        parsed += 1
        return decode_packet(*given)

    monkeypatch.setattr("protocols.mqtt.connection.decode_packet", counted)
    async with (
        mqtt_node(tmp_path, message_burst=1, messages_per_second=1) as node,
        node.client() as client,
    ):
        client.send(b"\x30\x05\x00\x01a\x00x" * 30_000)
        await eventually(lambda: parsed > 500)
        assert parsed < 1500
        node.sessions.close_all(Close(CloseReason.REVOKED))


async def test_a_burst_lets_others_in(node: MqttNode, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = 0
    parsed: list[int] = []

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    def noted(*given: Any) -> Any:
        parsed.append(turn)
        return decode_packet(*given)

    async with node.client() as client:
        monkeypatch.setattr("core.kernel.turns._TURN_SECONDS", 0.0)  # One packet in each.
        monkeypatch.setattr("protocols.mqtt.connection.decode_packet", noted)
        counting = asyncio.create_task(count_turns())
        client.send(b"\xc0\x00" * 50)
        for _ in range(50):
            await client.expect(mqtt5.PingRespPacket)
        counting.cancel()
    assert len(parsed) >= 50
    assert max(parsed.count(one) for one in parsed) <= 2


@pytest.mark.parametrize("turn_seconds", [0.0, 0.005])
async def test_what_a_client_sent_before_it_left_is_handled_goodbye_included(
    node: MqttNode, monkeypatch: pytest.MonkeyPatch, turn_seconds: float
) -> None:
    monkeypatch.setattr("core.kernel.turns._TURN_SECONDS", turn_seconds)
    async with collar(node) as (device, topic, watcher):
        login = {"username": device.username, "password": device.password}
        will = mqtt5.Will(topic, payload=READING % 255)
        async with node.raw_client() as client:
            # All at once, before it is accepted.
            client.send(connect_packet("one", **login, will=will))
            for number in range(COUNT):
                client.send(mqtt5.PublishPacket(topic, READING % (number + 1)))
            client.leave()
        assert await rates(watcher, COUNT) == list(range(1, COUNT + 1))
        await eventually(lambda: len(node.mqtt.clients) == 1)
        async with node.raw_client() as client:
            client.send(connect_packet("one", **login, will=will))
            for number in range(COUNT):
                client.send(mqtt5.PublishPacket(topic, READING % (number + 1)))
        assert await rates(watcher, COUNT + 1) == [*range(1, COUNT + 1), 255]


async def test_a_client_that_is_back_does_not_wait_for_what_it_sent_before(tmp_path: Path) -> None:
    async with mqtt_node(tmp_path, message_burst=1, messages_per_second=1) as node:
        async with node.client("one", keep_alive=60) as client:
            for _ in range(100):
                client.send(mqtt5.PublishPacket("nobody/publishes/here", b"x"))
            await eventually(lambda: node.mqtt.counters.refused_messages)
        async with node.client("one"):
            assert node.mqtt.counters.refused_messages < 100


class Wire:
    """What carries the bytes of a client, to see that they come and go in one turn of the loop."""

    def __init__(self) -> None:
        self.on_writable: Callable[[], None] | None = None
        self.writable = True
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    async def drain(self) -> None:
        assert self.writable

    def close(self) -> None:
        pass

    abort = pause_reading = resume_reading = close


@pytest.mark.parametrize("last", [b"\xe0\x00", b"\xc0\x00", b"\xa2\x0b\x00\x02\x00\x00\x06pets/#", b""])
async def test_what_comes_together_with_the_end_leaves_nothing_behind(node: MqttNode, last: bytes) -> None:
    wire = Wire()
    connection = MqttDoor(node.mqtt).connect(wire, "127.0.0.1")
    for number, packet in enumerate((connect_packet("one"), subscribe_packet(1, ["pets/#"], 1)), 1):
        connection.data_received(packet)
        await eventually(lambda number=number: len(wire.written) == number)  # type: ignore[misc]
    connection.data_received(last)
    connection.ended()
    await node.empty()
