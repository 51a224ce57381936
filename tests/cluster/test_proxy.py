"""The deployment of compose.yaml as processes: two nodes behind HAProxy, on PostgreSQL, Redis and Mosquitto."""

import asyncio
import contextlib
import secrets
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import mqtt5
import pytest
from grpc import aio

from protocols.grpc._generated.petstore.v1.pets_pb2 import GetPetRequest
from protocols.grpc._generated.petstore.v1.pets_pb2_grpc import PetServiceStub
from tests.conformance import test_chat, test_orders
from tests.conformance.door import Ability, Driver
from tests.conformance.manifest import DOORS, Door
from tests.conformance.people import Person, World, headers_of
from tests.conformance.target import Node, Target
from tests.conformance.test_events import all_hear, everywhere
from tests.deployment import COMPOSE, HaproxyServer, Ports, deploy, environment
from tests.http_clients import TLS, http_client
from tests.process import Gateway
from tests.protocols.mqtt.raw import Raw
from tests.servers import MosquittoServer, PostgresServer, RedisServer, free_port
from tests.waiting import TIMEOUT_SECONDS, eventually, within

pytestmark = pytest.mark.slow

#: By so much all is quicker that is about quiet connections: the gateway's signs of life, and the proxy's patience.
HASTE = 10
#: Where the proxy's connections come from here.
PROXY_ADDRESS = "127.0.0.1"
#: More than anybody asks here, so that nobody is refused, and each answer says how much is left.
PLENTY = 100_000
REQUESTS = 'petstore_requests_total{door="rest"'
DOOR = {door.name: door for door in DOORS}
CALLS = [DOOR[name] for name in ("REST", "GraphQL", "gRPC")]
LIVE = tuple(door for door in DOORS if Ability.FOLLOW in door.offered)
#: Those that hold a stream: who follows at MCP asks again and again, whichever node answers.
HOLDING = tuple(door for door in LIVE if door.name != "MCP")


@dataclass(frozen=True)
class Deployment:
    """What runs: the nodes by their names, the proxy as it is deployed, and one with less patience."""

    nodes: dict[str, Gateway]
    patient: HaproxyServer
    hasty: HaproxyServer

    def through(self, proxy: HaproxyServer) -> Target:
        """The nodes as one meets them through a proxy."""
        node = Node(proxy.url, f"127.0.0.1:{proxy.ports.grpc}", f"127.0.0.1:{proxy.ports.mqtt}")
        return Target("deployed", (node,))


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Deployment]:
    """All of it, started."""
    directory = tmp_path_factory.mktemp("deployment")
    database = postgres_server.create_database()
    with RedisServer(directory) as redis, MosquittoServer(directory, guarded=True) as broker:
        deploy(broker)
        here = {
            "database_url": postgres_server.url(database),
            "redis_url": redis.url,
            "mqtt_broker_url": broker.url,
            "data_dir": str(directory / "shared"),
            "rate_limit": str(PLENTY),
            "trusted_proxies": PROXY_ADDRESS,
            "heartbeat_seconds": str(15 / HASTE),
            "ping_seconds": str(25 / HASTE),
        }
        ports = {name: Ports(0, free_port(), free_port()) for name in ("gateway-1", "gateway-2")}
        nodes = {}
        secret = secrets.token_hex(32)
        for name, own in ports.items():
            deployed = environment(
                name, PETSTORE_JWT_SECRET=secret, POSTGRES_PASSWORD="", MQTT_BROKER_PASSWORD=""
            )
            settings = {word.removeprefix("PETSTORE_").lower(): value for word, value in deployed.items()}
            nodes[name] = Gateway(
                directory / name, grpc_port=str(own.grpc), mqtt_port=str(own.mqtt), **(settings | here)
            )
        places = {name: Ports(nodes[name].port, own.grpc, own.mqtt) for name, own in ports.items()}
        try:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(Gateway.start, nodes.values()))
            with (
                HaproxyServer(directory, places) as patient,
                HaproxyServer(directory, places, haste=HASTE) as hasty,
            ):
                assert "[WARNING]" not in patient.log_file.read_text()
                yield Deployment(nodes, patient, hasty)
        finally:
            for node in nodes.values():
                node.kill()
    postgres_server.drop_database(database)


@pytest.fixture
def deployment(running: Deployment) -> Deployment:
    """Everything runs; a test may stop nodes."""
    for node in running.nodes.values():
        node.start()
    return running


@pytest.fixture
async def world(deployment: Deployment) -> AsyncIterator[World]:
    """A tenant, met through the proxy as it is deployed."""
    async with World(deployment.through(deployment.patient)) as world:
        yield world


def at(door: Door, person: Person, node: Node) -> Driver:
    """Somebody at a door."""
    return door.driver(node, person, lambda *_: None)


async def work_of(node: Gateway) -> dict[str, float]:
    """What a node has done so far, and holds at the moment, by metric."""
    async with http_client() as client:
        lines = (await client.get(f"{node.url}/metrics")).text.splitlines()
    shown = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in shown}


async def test_an_order_is_told_alike_at_every_live_door_wherever_it_was_placed(
    deployment: Deployment, world: World
) -> None:
    async def followers() -> list[float]:
        return [(await work_of(node))["petstore_hub_subscriptions"] for node in deployment.nodes.values()]

    customer, before = await world.customer(), await followers()
    async with everywhere(world, at, LIVE, await world.staff(), "#") as streams:
        placed = set()
        for door in CALLS:
            pet = await world.pet()
            order = await at(door, customer, world.target.first).call("placeOrder", body={"petId": pet["id"]})
            placed.add(order.value["id"])
        told = await all_hear(world, streams)
        new = [now - then for now, then in zip(await followers(), before, strict=True)]
    assert {event["data"]["order"]["id"] for event in told if event["eventType"] == "order.created"} == placed
    assert sum(new) == len(HOLDING)
    assert min(new) > 0, "one node has them all"


@pytest.mark.parametrize("door", CALLS, ids=[door.name for door in CALLS])
async def test_an_order_is_placed_paid_shipped_and_delivered(world: World, door: Door) -> None:
    await test_orders.test_order(world, at, door)


@pytest.mark.parametrize(
    ("one", "other"), [("WebSocket", "Socket.IO polling"), ("Socket.IO", "gRPC"), ("gRPC", "WebSocket")]
)
async def test_two_doors_hold_a_chat(world: World, one: str, other: str) -> None:
    await test_chat.test_chat(world, at, DOOR[one], DOOR[other])


async def test_what_is_quiet_is_not_cut_off(deployment: Deployment) -> None:
    async with contextlib.AsyncExitStack() as stack:
        world = await stack.enter_async_context(World(deployment.through(deployment.hasty)))
        customer, here = await world.customer(), world.target.first
        streams = await stack.enter_async_context(everywhere(world, at, LIVE, customer, "pets/+"))
        chat = await world.ask("POST", "/v1/chats", customer, {"subject": "Momo"})
        talkers = []
        for door in DOORS:
            if Ability.CONVERSE in door.offered:
                talker = await stack.enter_async_context(at(door, customer, here).converse())
                await talker.join(chat["id"])
                talkers.append(talker)
        # Who is silent and shows no sign of life is cut off, so all others have been quiet for longer than they may.
        reader, writer = await asyncio.open_connection("127.0.0.1", deployment.hasty.ports.http)
        headers = {"Host": "store", "Content-Length": "2", **headers_of(await world.staff())}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"POST /v1/pets HTTP/1.1\r\n{head}\r\n{{".encode())
        answer = await within(reader.read())
        writer.close()
        await writer.wait_closed()
        assert answer.startswith((b"HTTP/1.1 408", b"HTTP/1.1 504")), answer
        pet = await world.pet()
        for stream in streams:
            assert (await stream.next())["data"]["pet"]["id"] == pet["id"]
        message = await world.ask("POST", f"/v1/chats/{chat['id']}/messages", customer, {"text": "Hello?"})
        for talker in talkers:
            assert (await talker.hear("chatMessage"))["id"] == message["id"]


def left(answer: httpx.Response) -> int:
    """How many requests the caller has left."""
    return int(answer.headers["RateLimit-Remaining"])


def calling_from(address: str, proxy: HaproxyServer) -> httpx.AsyncClient:
    """A client with another address of this machine."""
    return httpx.AsyncClient(
        base_url=proxy.url, transport=httpx.AsyncHTTPTransport(verify=TLS, local_address=address)
    )


async def test_callers_are_told_apart_by_their_addresses_whatever_they_claim(deployment: Deployment) -> None:
    proxy = deployment.patient
    async with calling_from("127.0.0.2", proxy) as one, calling_from("127.0.0.3", proxy) as other:
        for spent, claimed in enumerate(("198.51.100.1", "198.51.100.2", "127.0.0.3"), 1):
            answer = await one.get(
                "/v1/pets", headers={"X-Forwarded-For": claimed, "Forwarded": f"for={claimed}"}
            )
            assert left(answer) == PLENTY - spent
        assert left(await other.get("/v1/pets")) == PLENTY - 1


async def test_a_caller_over_grpc_is_counted_with_his_address_too(
    deployment: Deployment, world: World
) -> None:
    async def now_left() -> int:
        async with http_client(base_url=deployment.patient.url) as client:
            return left(await client.get("/v1/pets", headers=headers_of(world.visitor)))

    pet, before = await world.pet(), await now_left()
    async with aio.insecure_channel(world.target.first.grpc) as channel:
        for claimed in ("198.51.100.1", "198.51.100.2"):
            metadata = (("x-forwarded-for", claimed), ("x-tenant-id", world.tenant))
            await PetServiceStub(channel).GetPet(GetPetRequest(id=pet["id"]), metadata=metadata)
    assert await now_left() == before - 3


async def mqtt_login(port: int, username: str, password: str, address: str) -> int:
    """Try a login over MQTT from another address of this machine; gives the reason code."""
    client = Raw(*await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0)))
    try:
        return int((await client.try_connect(username=username, password=password)).reason_code)
    finally:
        client.writer.close()


async def test_wrong_passwords_of_one_mqtt_client_lock_out_nobody_else(
    deployment: Deployment, world: World
) -> None:
    device = await world.ask("POST", "/v1/devices", await world.staff(), {"name": "collar"})
    name = device["username"]

    async def refused_for_now(address: str) -> bool:
        codes = [await mqtt_login(port, f"nobody-{number}", "wrong", address) for number in range(10)]
        return mqtt5.ConnAckReasonCode.QUOTA_EXCEEDED in codes

    port = deployment.patient.ports.mqtt
    await eventually(lambda: refused_for_now("127.0.0.4"))
    again = await mqtt_login(port, name, device["password"], "127.0.0.4")
    assert again == mqtt5.ConnAckReasonCode.QUOTA_EXCEEDED
    assert await mqtt_login(port, name, device["password"], "127.0.0.5") == mqtt5.ConnAckReasonCode.SUCCESS
    # The budget is the address's, whatever door it comes to.
    async with calling_from("127.0.0.4", deployment.patient) as client:
        answer = await client.post("/v1/auth/tokens", json={"username": "nobody", "password": "also-wrong"})
        assert answer.status_code == 429
    async with calling_from("127.0.0.5", deployment.patient) as client:
        answer = await client.post("/v1/auth/tokens", json={"username": "nobody", "password": "also-wrong"})
        assert answer.status_code == 401


async def test_headers_and_the_method_query_go_through_and_tokens_do_not_reach_the_log(
    deployment: Deployment, world: World
) -> None:
    staff = await world.staff()
    pet = await world.pet(name="Proxima")
    async with http_client(base_url=deployment.patient.url) as client:
        found = await client.request(
            "QUERY", "/v1/pets", json={"criteria": {"species": ["DOG"]}},
            headers={**headers_of(world.visitor), "X-Request-ID": "asked-through-the-proxy"},
        )  # fmt: skip
        assert found.status_code == 200, found.text
        assert [one["id"] for one in found.json()["data"]] == [pet["id"]]
        assert found.headers["X-Request-ID"] == "asked-through-the-proxy"
        elsewhere = await client.get(f"/v1/pets/{pet['id']}")
        assert elsewhere.status_code == 404
        seen = await client.get(f"/v1/pets/{pet['id']}", headers=headers_of(staff))
        again = await client.get(
            f"/v1/pets/{pet['id']}", headers={**headers_of(staff), "If-None-Match": seen.headers["ETag"]}
        )
        assert again.status_code == 304
        await client.get("/v1/pets", params={"token": "a-token-in-a-query"})
    log = deployment.patient.log_file
    await eventually(lambda: "gateways" in log.read_text())
    assert "a-token-in-a-query" not in log.read_text()


async def test_what_is_inside_a_node_is_not_told_through_the_proxy(deployment: Deployment) -> None:
    async with http_client(base_url=deployment.patient.url) as client:
        assert (await client.get("/metrics")).status_code == 403
        assert (await client.get("/readyz")).json() == {"status": "ready"}


def test_the_health_check_of_the_proxy_tells_whether_the_store_is_reached(deployment: Deployment) -> None:
    program, *arguments = COMPOSE["services"]["proxy"]["healthcheck"]["test"]
    assert program == "CMD"

    def status(port: int) -> int:
        command = [word.replace("/8080", f"/{port}").replace("$$", "$") for word in arguments]
        return subprocess.run(command, check=False, capture_output=True, timeout=TIMEOUT_SECONDS).returncode

    assert status(deployment.patient.port) == 0
    assert status(free_port()) != 0


Ask = Callable[[], Awaitable[Any]]


async def again_and_again(asks: dict[str, Ask], answered: Counter[str], done: asyncio.Event) -> None:
    """Ask until all is done, one thing after the other."""
    while not done.is_set():
        for name, ask in asks.items():
            try:
                await ask()
            except Exception as error:
                raise AssertionError(f"{name}, after {answered[name]} times") from error
            answered[name] += 1


@contextlib.asynccontextmanager
async def customers_about(target: Target, *, only_read: bool = False) -> AsyncIterator[Counter[str]]:
    """Meanwhile somebody calls at every door that takes calls, or a crowd reads over HTTP; no call may fail.

    It is counted what was answered.
    """
    async with contextlib.AsyncExitStack() as stack:
        world = await stack.enter_async_context(World(target))
        staff, pet, node = await world.staff(), await world.pet(), target.first
        kept = await stack.enter_async_context(http_client(base_url=node.url, headers=headers_of(staff)))
        channel = await stack.enter_async_context(aio.insecure_channel(node.grpc))
        metadata = tuple((name.lower(), value) for name, value in headers_of(staff).items())

        async def http(method: str, path: str, body: Any = None) -> None:
            answer = await kept.request(method, path, json=body)
            assert answer.is_success, f"{answer.status_code} {answer.text}"

        draft = {"name": "Rex", "species": "DOG", "ageMonths": 12, "price": "75.00"}
        reads: dict[str, Ask] = {
            "GET": lambda: http("GET", f"/v1/pets/{pet['id']}"),
            "QUERY": lambda: http("QUERY", "/v1/pets", {"criteria": {"species": ["CAT"]}}),
        }
        others: dict[str, Ask] = {
            "POST": lambda: http("POST", "/v1/pets", draft),
            "PATCH": lambda: http("PATCH", f"/v1/pets/{pet['id']}", {"description": "brushed"}),
            "a new connection": lambda: world.pet(),
            "GraphQL": lambda: at(DOOR["GraphQL"], staff, node).call("getPet", id=pet["id"]),
            "gRPC": lambda: PetServiceStub(channel).GetPet(GetPetRequest(id=pet["id"]), metadata=metadata),
            "a new gRPC channel": lambda: at(DOOR["gRPC"], staff, node).call("createPet", body=draft),
        }
        asked = [{name: ask} for name, ask in reads.items()] * 4 if only_read else [reads | others]
        answered, done = Counter[str](), asyncio.Event()
        callers = [asyncio.create_task(again_and_again(asks, answered, done)) for asks in asked]
        try:
            yield answered
        finally:
            done.set()
            await asyncio.gather(*callers)
        assert all(answered[name] > 10 for name in asked[0])


async def is_busy(node: Gateway) -> bool:
    """Whether a node that was started anew has work."""
    work = await work_of(node)
    return sum(number for name, number in work.items() if name.startswith(REQUESTS)) > 20


async def test_nodes_go_and_come_and_no_call_fails_and_no_event_is_lost(
    deployment: Deployment, world: World
) -> None:
    (name, first), (_, second) = deployment.nodes.items()
    log, customer, here = deployment.patient.log_file, await world.customer(), world.target.first
    able = tuple(door for door in HOLDING if Ability.RESUME in door.offered)
    # One node dies with what it was asked. Who was writing there is told so; reads are sent to the other one.
    async with customers_about(world.target, only_read=True) as answered:
        first.freeze()
        enough = answered.total() + 50
        await eventually(lambda: answered.total() > enough)
        first.kill()
        await eventually(lambda: f"Server gateways/{name} is DOWN" in log.read_text())
    async with (
        customers_about(world.target),
        everywhere(world, at, able, customer, "pets/+") as streams,
    ):
        made = [await world.pet()]
        told = [[await stream.next()] for stream in streams]
        # It comes back, and then the other one goes, with all the streams.
        await asyncio.to_thread(first.start)
        await eventually(lambda: is_busy(first))
        second.send(signal.SIGTERM)
        ends = await asyncio.gather(*(stream.ended() for stream in streams))
        made.append(await world.pet())
        for door, end, events in zip(able, ends, told, strict=True):
            place = end.cursor or events[-1]["cursor"]
            async with at(door, customer, here).follow("pets/+", cursor=place) as stream:
                events.append(await stream.next())
        assert await asyncio.to_thread(second.wait) == 0
    for events in told:
        assert [event["data"]["pet"]["id"] for event in events] == [pet["id"] for pet in made]
    # A client that polls meets the other node first.
    assert {end.code for end in ends} <= {"service-unavailable", "transport error"}
