"""The clients that people use, unmodified: paho, Mosquitto's, and the JavaScript one on TCP and WebSocket."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.protocols.mqtt.node import MqttNode
from tests.waiting import TIMEOUT_SECONDS, eventually

NODE = Path(__file__).parents[2] / "node"
VERSIONS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}


class Paho:
    """A paho client in a thread of its own."""

    def __init__(
        self, port: int, version: MQTTProtocolVersion, transport: Any = "tcp", **options: Any
    ) -> None:
        self.messages: list[paho.MQTTMessage] = []
        self.granted: list[int] = []
        self.refused: list[int] = []
        self.published: list[int] = []
        password = options.pop("password", None)
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, protocol=version, transport=transport, **options
        )
        if transport == "websockets":
            self.client.ws_set_options(path="/mqtt")
        if password is not None:
            self.client.username_pw_set(options.pop("username", "anybody"), password)
        self.client.on_message = lambda _, __, message: self.messages.append(message)
        self.client.on_connect = lambda _, __, ___, code, ____: self.refused.append(code.value)
        self.client.on_subscribe = lambda _, __, ___, codes, ____: self.granted.extend(c.value for c in codes)
        self.client.on_publish = lambda _, __, ___, code, ____: self.published.append(code.value)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def numbers(self) -> list[int]:
        return [json.loads(message.payload)["data"].get("number") for message in self.messages]


@contextlib.asynccontextmanager
async def paho_client(port: int, version: MQTTProtocolVersion, **options: Any) -> AsyncIterator[Paho]:
    client = await asyncio.to_thread(Paho, port, version, **options)
    try:
        yield client
    finally:
        client.client.disconnect()
        await asyncio.to_thread(client.client.loop_stop)


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_paho_subscribes_and_receives(node: MqttNode, version: MQTTProtocolVersion, qos: int) -> None:
    async with paho_client(node.mqtt_port, version) as client:
        await eventually(lambda: client.client.is_connected())
        client.client.subscribe("pets/#", qos)
        await eventually(lambda: client.granted == [min(qos, 1)])
        await node.happen(*range(100))
        await eventually(lambda: client.numbers() == list(range(100)))
        if version is MQTTProtocolVersion.MQTTv5:
            assert dict(client.messages[0].properties.UserProperty)["eventType"] == "thing.happened"  # type: ignore[union-attr]


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
async def test_paho_receives_over_websocket(node: MqttNode, version: MQTTProtocolVersion) -> None:
    async with paho_client(node.port, version, transport="websockets") as client:
        await eventually(lambda: client.client.is_connected())
        client.client.subscribe("pets/#", 1)
        await eventually(lambda: client.granted == [1])
        await node.happen(*range(1000))
        await eventually(lambda: client.numbers() == list(range(1000)))


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
async def test_paho_publishes_telemetry(node: MqttNode, version: MQTTProtocolVersion) -> None:
    pet = await node.pet()
    device = await node.device(petIds=[pet.id])
    async with node.client() as subscriber:
        await subscriber.subscribe("pets/+/health")
        options = {"username": device.username, "password": device.password}
        async with paho_login(node.mqtt_port, version, **options) as collar:
            for qos in (0, 1, 2):
                collar.publish(f"telemetry/pets/{pet.id}/health", json.dumps({"heartRateBpm": qos}), qos)
            messages = [await subscriber.message() for _ in range(3)]
            readings = [json.loads(message.payload)["data"]["reading"] for message in messages]
            assert [reading["heartRateBpm"] for reading in readings] == [0, 1, 2]


@contextlib.asynccontextmanager
async def paho_login(
    port: int, version: MQTTProtocolVersion, username: str, password: str
) -> AsyncIterator[paho.Client]:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=version)
    client.username_pw_set(username, password)
    await asyncio.to_thread(client.connect, "127.0.0.1", port)
    client.loop_start()
    try:
        await eventually(client.is_connected)
        yield client
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)


# --- Mosquitto's ---


async def program(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=NODE,
    )


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
async def test_mosquitto_sub_gets_the_state_and_then_events(node: MqttNode, version: str) -> None:
    pet = await node.pet()
    process = await program(
        "mosquitto_sub", "-V", version, "-p", str(node.mqtt_port), "-t", "pets/#", "-q", "1", "-C", "3",
        "-F", "%r %t", "-u", "staff", "-P", node.staff_token(),
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT_SECONDS):
        state = {await process.stdout.readline() for _ in range(2)}
        assert state == {f"1 pets/{pet.id}/{name}\n".encode() for name in ("status", "availability")}
        await node.happen(1)
        assert await process.stdout.readline() == b"0 pets/one\n"
        assert await process.wait() == 0


async def test_mosquitto_pub_reports_telemetry_and_is_refused_where_it_may_not(node: MqttNode) -> None:
    pet = await node.pet()
    device = await node.device(petIds=[pet.id])
    login = ("-u", device.username, "-P", device.password)
    where = ("mosquitto_pub", "-V", "mqttv5", "-p", str(node.mqtt_port), "-q", "1")
    async with node.client() as subscriber:
        await subscriber.subscribe("pets/+/health")
        done = await program(
            *where, *login, "-t", f"telemetry/pets/{pet.id}/health", "-m", '{"batteryPercent": 9}'
        )
        assert await done.wait() == 0
        assert json.loads((await subscriber.message()).payload)["data"]["reading"]["batteryPercent"] == 9
    done = await program(*where, "-t", f"telemetry/pets/{pet.id}/health", "-m", "{}")
    _, errors = await done.communicate()
    assert b"Not authorized" in errors
    assert node.mqtt.counters.refused_messages == 1


# --- JavaScript ---


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("over", ["tcp", "websocket"])
async def test_the_javascript_client_receives(node: MqttNode, over: str, protocol: int) -> None:
    url = f"mqtt://127.0.0.1:{node.mqtt_port}" if over == "tcp" else f"ws://127.0.0.1:{node.port}/mqtt"
    options = {"protocolVersion": protocol, "username": "x", "password": node.staff_token()}
    process = await program("node", "mqtt.mjs", url, json.dumps(options), "#", "1")
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT_SECONDS):
        line = json.loads(await process.stdout.readline())
        while "granted" not in line:  # retained messages may come before
            line = json.loads(await process.stdout.readline())
        await node.happen(*range(50))
        numbers: list[int] = []
        while len(numbers) < 50:
            message = json.loads(await process.stdout.readline())
            if message["topic"] == "pets/one":
                numbers.append(message["payload"]["data"]["number"])
                assert (message["qos"], message["retain"]) == (1, False)
                if protocol == 5:
                    assert message["properties"]["eventId"] == message["payload"]["id"]
        assert numbers == list(range(50))
        process.stdin.close()
        assert await process.wait() == 0


async def test_a_slow_javascript_worker_that_is_killed_gets_all_that_is_due_when_it_is_back(
    node: MqttNode,
) -> None:
    url = f"mqtt://127.0.0.1:{node.mqtt_port}"
    options: dict[str, Any] = {
        "protocolVersion": 5,
        "clientId": "worker",
        "clean": False,
        "username": "x",
        "password": node.staff_token(),
        "properties": {"sessionExpiryInterval": 3600, "receiveMaximum": 10},
    }

    async def lines(worker: asyncio.subprocess.Process, count: int) -> list[Any]:
        assert worker.stdout is not None
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return [json.loads(await worker.stdout.readline()) for _ in range(count)]

    slow = await program("node", "mqtt.mjs", url, json.dumps(options), "pets/+", "1", "unacknowledged")
    assert await lines(slow, 1) == [{"granted": [1]}]
    await node.happen(*range(30))
    await lines(slow, 1)
    slow.kill()
    await slow.wait()
    await eventually(lambda: not node.mqtt.clients)
    options["properties"]["receiveMaximum"] = 2
    worker = await program("node", "mqtt.mjs", url, json.dumps(options), "pets/+", "1")
    messages = [line for line in await lines(worker, 31) if "topic" in line]
    assert [message["payload"]["data"]["number"] for message in messages] == list(range(30))
    worker.kill()
    await worker.wait()
