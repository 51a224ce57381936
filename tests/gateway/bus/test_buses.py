"""What every bus promises, and what the one over Redis does when Redis does not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from core.ports.coordination import Bus
from gateway.bus import InProcessBus, RedisBus
from tests.servers import RedisServer, free_port
from tests.waiting import eventually

MakeBus = Callable[[], Bus]


class Ear:
    """Hears what a bus brings."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.gaps = 0

    def gap(self) -> None:
        self.gaps += 1


@asynccontextmanager
async def running(bus: Bus, *, healthy: bool = True) -> AsyncIterator[Ear]:
    ear = Ear()
    await bus.start(ear.heard.append, ear.gap)
    try:
        if healthy:
            await eventually(lambda: bus.healthy)
        yield ear
    finally:
        await bus.stop()


@pytest.fixture(params=["in process", "redis"])
def make_bus(request: pytest.FixtureRequest) -> MakeBus:
    if request.param == "in process":
        return InProcessBus
    server: RedisServer = request.getfixturevalue("redis_server")
    return lambda: RedisBus(server.url, probe=0.3)


async def test_a_bus_becomes_healthy_and_takes_messages_at_any_time(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.publish(b"early")
    async with running(bus):
        bus.publish(b"in time")
    bus.publish(b"late")
    await bus.stop()


async def test_nothing_is_heard_after_the_end(make_bus: MakeBus) -> None:
    bus, other = make_bus(), make_bus()
    async with running(other):
        async with running(bus) as ear:
            pass
        heard = list(ear.heard)
        other.publish(b"late")
        async with running(make_bus()) as witness:
            other.publish(b"last")
            if isinstance(other, RedisBus):
                await eventually(lambda: b"last" in witness.heard)
        assert ear.heard == heard


async def test_every_node_hears_every_message_in_order(redis_server: RedisServer) -> None:
    buses = [RedisBus(redis_server.url) for _ in range(3)]
    async with running(buses[0]) as first, running(buses[1]) as second, running(buses[2]) as third:
        messages = [bytes([number % 256]) * (number + 1) for number in range(1000)]
        for message in messages:
            buses[0].publish(message)
        for ear in (first, second, third):
            await eventually(lambda: len(ear.heard) == len(messages))  # noqa: B023
            assert ear.heard == messages
            assert ear.gaps == 1
        assert buses[0].counters.dropped == 0


async def test_a_full_outbox_drops_and_counts_and_never_blocks(redis_server: RedisServer) -> None:
    bus = RedisBus(redis_server.url, outbox_bytes=1000)
    async with running(bus) as ear:
        for _ in range(20):
            bus.publish(b"x" * 100)
        assert bus.counters.dropped == 10
        await eventually(lambda: len(ear.heard) == 10)


async def test_connections_that_redis_ends_are_replaced_and_the_gap_is_told(
    redis_server: RedisServer,
) -> None:
    bus, other = RedisBus(redis_server.url), RedisBus(redis_server.url)
    async with running(bus) as ear, running(other), Redis.from_url(redis_server.url) as admin:
        for number in range(3):
            gaps, message = ear.gaps, b"again %d" % number
            await admin.client_kill_filter(_type="pubsub")
            await eventually(lambda: ear.gaps > gaps)  # noqa: B023
            await admin.client_kill_filter(_type="normal", skipme=True)

            def heard_again() -> bool:
                # What was under way on a connection that was ended is lost.
                other.publish(message)  # noqa: B023
                return message in ear.heard  # noqa: B023

            await eventually(heard_again)


async def test_a_frozen_redis_makes_the_bus_unhealthy_until_it_is_thawed(redis_server: RedisServer) -> None:
    bus, other = RedisBus(redis_server.url, probe=0.3), RedisBus(redis_server.url, probe=0.3)
    async with running(bus) as ear, running(other):
        redis_server.freeze()
        other.publish(b"into the void")
        await eventually(lambda: not bus.healthy)
        assert bus.counters.deaf == 1
        redis_server.thaw()
        await eventually(lambda: bus.healthy and other.healthy)
        assert ear.gaps >= 2
        other.publish(b"back")
        await eventually(lambda: b"back" in ear.heard)


async def test_a_bus_starts_without_redis_and_finds_it_later(redis_server: RedisServer) -> None:
    redis_server.stop()
    bus = RedisBus(redis_server.url)
    async with running(bus, healthy=False) as ear:
        bus.publish(b"to nobody")
        assert bus.counters.dropped == 1
        redis_server.start()
        await eventually(lambda: bus.healthy)
        bus.publish(b"to somebody")
        await eventually(lambda: ear.heard == [b"to somebody"])
        redis_server.restart()
        await eventually(lambda: ear.gaps >= 2)
        await eventually(lambda: bus.healthy)


async def test_a_connection_that_stands_but_carries_nothing_is_replaced(redis_server: RedisServer) -> None:
    async with Wire(redis_server.port) as wire:
        bus = RedisBus(f"redis://127.0.0.1:{wire.port}/0", probe=0.3)
        async with running(bus) as ear:
            wire.silence()
            await eventually(lambda: bus.counters.deaf >= 1)
            await eventually(lambda: ear.gaps >= 2 and bus.healthy)
            bus.publish(b"heard again")
            await eventually(lambda: b"heard again" in ear.heard)


async def test_a_quiet_bus_stays_connected(redis_server: RedisServer) -> None:
    bus = RedisBus(redis_server.url, probe=0.05)
    async with running(bus) as ear:
        await eventually(lambda: bus.counters.received > 10)
        assert (bus.counters.connections, bus.counters.deaf, ear.gaps, ear.heard) == (1, 0, 1, [])


async def test_a_listener_that_fails_is_given_a_new_start(redis_server: RedisServer) -> None:
    bus = RedisBus(redis_server.url)
    gaps = []
    heard: list[bytes] = []

    def listen(message: bytes) -> None:
        heard.append(message)
        assert message != b"bad"

    await bus.start(listen, lambda: gaps.append(1))
    await eventually(lambda: bus.healthy)
    bus.publish(b"bad")
    await eventually(lambda: len(gaps) == 2)
    bus.publish(b"good")
    await eventually(lambda: heard == [b"bad", b"good"])
    await bus.stop()


class Wire:
    """A TCP relay that can fall silent towards the clients connected by then."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._server: asyncio.Server | None = None
        self._open: list[list[bool]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *args: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def silence(self) -> None:
        for state in self._open:
            state[0] = False

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        state = [True]
        self._open.append(state)
        self._tasks += [
            asyncio.create_task(self._move(reader, back, [True])),
            asyncio.create_task(self._move(there, writer, state)),
        ]

    async def _move(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: list[bool]
    ) -> None:
        try:
            while data := await reader.read(65536):
                if state[0]:
                    writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()
