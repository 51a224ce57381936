"""Real nodes over real servers: one of them serves the broker, whatever happens to it."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.gateway.broker.test_bridge import PET, heard_sequences
from tests.gateway.broker.test_provisioning import lets_in
from tests.gateway.broker.witness import Heard, client_at, witness
from tests.http_clients import http_client
from tests.process import Gateway, petstore
from tests.servers import MosquittoServer, RedisServer, free_port
from tests.waiting import eventually

SECRET = "a secret that only these two nodes know"
STAFF = {"X-API-Key": "special-key"}


@pytest.fixture
def nodes(
    tmp_path: Path, postgres_url: str, redis_server: RedisServer, guarded_mosquitto_server: MosquittoServer
) -> Iterator[list[Gateway]]:
    """Two nodes over one PostgreSQL, Redis and Mosquitto."""
    settings = {
        "database_url": postgres_url,
        "redis_url": redis_server.url,
        "mqtt_broker_url": guarded_mosquitto_server.url,
        "jwt_secret": SECRET,
        "demo": "true",
        "data_dir": str(tmp_path / "shared"),
    }
    both = [Gateway(tmp_path / name, **settings) for name in ("a", "b")]
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Gateway.start, both))
        yield both
    finally:
        for node in both:
            node.stop()


async def figure(node: Gateway, name: str) -> float:
    """A metric without labels."""
    async with http_client() as client:
        lines = (await client.get(f"{node.url}/metrics")).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"petstore_broker_{name} "))


async def serves(node: Gateway) -> bool:
    return await figure(node, "connected") == 1


async def holder_among(nodes: list[Gateway]) -> tuple[Gateway, Gateway]:
    """The node that serves the broker, and the other one."""
    await eventually(lambda: _any_serves(nodes))
    first, second = nodes
    return (first, second) if await serves(first) else (second, first)


async def _any_serves(nodes: list[Gateway]) -> bool:
    return any([await serves(node) for node in nodes])


async def create(node: Gateway, names: list[str]) -> None:
    """Create pets one after the other; a request that fails is an error."""
    async with http_client(base_url=node.url, headers=STAFF) as client:
        for name in names:
            made = await client.post("/v1/pets", json=PET | {"name": name})
            assert made.status_code == 201, made.text


def rates(heard: Heard) -> list[int]:
    """What was measured, in the order it was heard of."""
    return [message.envelope["data"]["reading"]["heartRateBpm"] for message in heard.messages]


@contextlib.asynccontextmanager
async def creating(node: Gateway, names: list[str]) -> AsyncIterator[None]:
    task = asyncio.create_task(create(node, names))
    try:
        yield
    finally:
        await task


@pytest.mark.slow
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
async def test_when_the_node_that_serves_the_broker_ends_the_other_goes_on_within_seconds(
    nodes: list[Gateway], guarded_mosquitto_server: MosquittoServer, way: signal.Signals
) -> None:
    holder, other = await holder_among(nodes)
    assert not await figure(other, "holding")
    names = [f"Pet {number}" for number in range(300)]
    async with witness(guarded_mosquitto_server, "pets/+") as heard:
        async with creating(other, names):
            await eventually(lambda: len(heard_sequences(heard)) > 20)
            holder.send(way)
            if way == signal.SIGKILL:
                await asyncio.to_thread(holder.kill)
            await eventually(lambda: serves(other))
        await eventually(lambda: heard_sequences(heard)[-1:] == names[-1:])
    found = heard_sequences(heard)
    # Each in its place; what was on its way when the node ended may come again, from one place on.
    first = list(dict.fromkeys(found))
    assert first == names
    assert len(found) - len(names) <= 100


@pytest.mark.slow
async def test_when_the_node_that_takes_telemetry_is_killed_each_reading_is_told_once(
    nodes: list[Gateway], guarded_mosquitto_server: MosquittoServer
) -> None:
    holder, other = await holder_among(nodes)
    async with http_client(base_url=other.url, headers=STAFF) as staff:
        pet_id = (await staff.post("/v1/pets", json=PET)).json()["id"]
        device = (await staff.post("/v1/devices", json={"name": "Collar", "petIds": [pet_id]})).json()
    account = (device["username"], device["password"])
    await eventually(lambda: lets_in(guarded_mosquitto_server, *account))
    async with (
        witness(guarded_mosquitto_server, f"pets/{pet_id}/health") as heard,
        client_at(guarded_mosquitto_server, account) as client,
    ):
        for number in range(200):
            reading = {"heartRateBpm": number, "measuredAt": "2026-01-31T08:15:00.250Z"}
            await client.publish(f"telemetry/pets/{pet_id}/health", json.dumps(reading), qos=1)
            if number == 100:
                await asyncio.to_thread(holder.kill)
        await eventually(lambda: rates(heard)[-1:] == [199])
    # Events may come twice after a crash, but there is one of each.
    assert len({message.properties["eventId"] for message in heard.messages}) == 200
    assert list(dict.fromkeys(rates(heard))) == list(range(200))


@pytest.mark.slow
async def test_a_node_that_was_frozen_finds_that_it_was_replaced_and_leaves_the_broker_alone(
    nodes: list[Gateway], guarded_mosquitto_server: MosquittoServer
) -> None:
    holder, other = await holder_among(nodes)
    async with witness(guarded_mosquitto_server, "pets/+") as heard:
        await create(other, ["Before"])
        await eventually(lambda: heard_sequences(heard) == ["Before"])
        holder.send(signal.SIGSTOP)
        await create(other, ["Meanwhile"])
        await eventually(lambda: serves(other))
        await eventually(lambda: "Meanwhile" in heard_sequences(heard))
        connections = await figure(other, "connections_total")
        holder.send(signal.SIGCONT)
        await eventually(lambda: _let_go(holder))
        await create(holder, ["After"])
        await eventually(lambda: "After" in heard_sequences(heard))
        assert await serves(other)
        assert await figure(other, "connections_total") == connections
    assert list(dict.fromkeys(heard_sequences(heard))) == ["Before", "Meanwhile", "After"]


async def _let_go(node: Gateway) -> bool:
    return await figure(node, "holding") == 0


@pytest.mark.slow
async def test_readiness_names_the_broker_and_can_do_without_it(
    nodes: list[Gateway], guarded_mosquitto_server: MosquittoServer
) -> None:
    await holder_among(nodes)
    async with http_client() as client:

        async def ready(node: Gateway, query: str = "") -> tuple[int, str]:
            answer = await client.get(f"{node.url}/readyz{query}")
            return answer.status_code, answer.json()["servers"]["mqtt-broker"]["state"]

        for node in nodes:
            assert await ready(node) == (200, "up")
        await asyncio.to_thread(guarded_mosquitto_server.stop)
        for node in nodes:
            await eventually(lambda: _is(ready(node), (503, "down")))  # noqa: B023
            assert (await ready(node, "?exclude=mqtt-broker"))[0] == 200
        await create(nodes[0], ["While it was away"])
        await asyncio.to_thread(guarded_mosquitto_server.start)
        for node in nodes:
            await eventually(lambda: _is(ready(node), (200, "up")))  # noqa: B023


async def _is(answer: Awaitable[object], wanted: object) -> bool:
    return await answer == wanted


@pytest.mark.slow
def test_a_broker_out_of_reach_or_that_refuses_us_is_one_line_without_the_password(
    tmp_path: Path, guarded_mosquitto_server: MosquittoServer
) -> None:
    for where, words in (
        (f"127.0.0.1:{free_port()}", "cannot be reached"),
        (f"127.0.0.1:{guarded_mosquitto_server.port}", "refuses us: "),
    ):
        url = f"mqtt://gateway:hush@{where}"
        done = petstore("serve", "--port", "0", cwd=tmp_path, mqtt_broker_url=url)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"petstore: the MQTT broker mqtt://{where} {words}")
        assert "hush" not in line
        done = petstore("doctor", cwd=tmp_path, mqtt_broker_url=url, port="0")
        assert done.returncode == 1
        assert "correct PETSTORE_MQTT_BROKER_URL" in done.stdout
        assert "hush" not in done.stdout


@pytest.mark.slow
def test_the_doctor_says_whether_accounts_are_kept_at_the_broker(
    tmp_path: Path, mosquitto_server: MosquittoServer, guarded_mosquitto_server: MosquittoServer
) -> None:
    for server, words in (
        (mosquitto_server, "accounts there are not the gateway's to keep"),
        (guarded_mosquitto_server, "the gateway keeps the accounts of devices there"),
    ):
        done = petstore("doctor", cwd=tmp_path, mqtt_broker_url=server.url, port="0")
        assert done.returncode == 0, done.stdout
        assert words in done.stdout
