"""Peers that break, stall or creep, on both live doors: nobody else is harmed and nothing is left behind."""

import asyncio
import contextlib
import json
import socket as sockets
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.ports.coordination import Allowance
from tests.gateway.server.serving import TEXT, Client, masked
from tests.protocols.live import Live, live
from tests.waiting import TIMEOUT_SECONDS, eventually

DOORS = ["sse", "websocket"]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Live]:
    """A node that drops peers who read nothing for a second; nothing may be left at the end."""
    async with live(tmp_path, stall_limit=1.0, connections_per_caller=5000) as running:
        yield running


class Peer:
    """A subscriber over a raw connection, which reads when told to."""

    def __init__(self, node: Live, client: Client, door: str) -> None:
        self._node = node
        self._door = door
        self.client = client

    async def subscribe(self, topics: str = "#", cursor: str = "") -> None:
        if self._door == "sse":
            target = f"/v1/events?topics={topics.replace('#', '%23')}" + (
                f"&cursor={cursor}" if cursor else ""
            )
            self.client.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            assert (await self.client.read_head()).startswith(b"HTTP/1.1 200 ")
        else:
            await self.client.upgrade("/v1/ws/events")
            data = {"topics": [topics]} | ({"cursor": cursor} if cursor else {})
            self.client.send(masked(json.dumps({"type": "subscribe", "data": data}).encode()))
        await eventually(lambda: self._node.store.hub.statistics().subscriptions)

    async def numbers(self, count: int) -> list[int]:
        """What the next events tell, read slowly and thoroughly."""
        found: list[int] = []
        while len(found) < count:
            data = await self._sse() if self._door == "sse" else await self._frame()
            if data is not None:
                found.append(data["data"]["number"])
        return found

    async def _sse(self) -> dict[str, dict[str, int]] | None:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            line = (await self._long_line()).strip()
        return json.loads(line.removeprefix(b"data: ")) if line.startswith(b'data: {"id"') else None

    async def _long_line(self) -> bytes:
        while True:
            try:
                return await self.client.reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                return await self.client.reader.readexactly(error.consumed) + await self._long_line()

    async def _frame(self) -> dict[str, dict[str, int]] | None:
        opcode, payload = await self.client.read_frame()
        message = json.loads(payload) if opcode == TEXT else {}
        return message["data"] if message.get("type") == "event" else None

    def reset(self) -> None:
        """Break the connection with a RST."""
        plain = self.client.writer.get_extra_info("socket")
        plain.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.writer.transport.abort()


@contextlib.asynccontextmanager
async def peer(node: Live, door: str, *, receive_buffer: int | None = None) -> AsyncIterator[Peer]:
    async with node.raw(receive_buffer=receive_buffer) as client:
        yield Peer(node, client, door)


@pytest.mark.parametrize("door", DOORS)
async def test_a_reset_frees_everything(node: Live, door: str) -> None:
    async with peer(node, door) as one, peer(node, door) as other:
        await other.subscribe()
        await one.subscribe()
        await eventually(lambda: node.store.hub.statistics().subscriptions == 2)
        one.reset()
        await node.happen(1)
        assert await other.numbers(1) == [1]
        await eventually(lambda: node.store.hub.statistics().subscriptions == 1)
        other.reset()
        await node.empty()


@pytest.mark.parametrize("door", DOORS)
async def test_a_client_may_go_at_any_byte_of_its_opening(node: Live, door: str) -> None:
    head = b"GET /v1/%b HTTP/1.1\r\nHost: test\r\n" % (b"events?topics=%23" if door == "sse" else b"ws/chat")
    if door == "websocket":
        head += b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        head += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    whole = (
        head
        + b"\r\n"
        + (masked(b'{"type":"authenticate","data":{"token":"x"}}') if door == "websocket" else b"")
    )
    for place in range(1, len(whole) + 1, 3):
        async with node.raw() as client:
            client.send(whole[:place])
            await client.writer.drain()
    await node.empty()


async def test_a_client_may_go_in_the_middle_of_a_command(node: Live) -> None:
    caller = node.member()
    for command in (
        '{"type": "joinChat"}',
        '{"type": "subscribe", "data": {"topics": ["#"], "cursor": "earliest"}}',
        '{"type": "ping"}',
    ):
        for _ in range(5):
            async with node.chat(caller) as chat:
                await chat.raw(command)
                chat.connection.transport.abort()
    await node.empty()


@pytest.mark.parametrize("door", DOORS)
async def test_a_reader_that_stops_is_evicted_and_harms_nobody(node: Live, door: str) -> None:
    async with peer(node, door, receive_buffer=4096) as stalled, peer(node, door) as reader:
        await stalled.subscribe()
        await reader.subscribe()
        await eventually(lambda: node.store.hub.statistics().subscriptions == 2)
        for first in range(0, 3000, 100):
            await node.happen(*range(first, first + 100), filling=3000)
            assert await reader.numbers(100) == list(range(first, first + 100))
        await eventually(lambda: node.store.hub.statistics().subscriptions == 1)
        await eventually(lambda: len(node.sessions) == 1)
        await node.happen(9999)
        assert await reader.numbers(1) == [9999]


@pytest.mark.parametrize("door", DOORS)
async def test_a_slow_reader_catches_up_from_the_log_with_each_event_once(tmp_path: Path, door: str) -> None:
    async with live(tmp_path) as node, peer(node, door, receive_buffer=4096) as slow:
        await slow.subscribe()
        await node.happen(0)
        assert await slow.numbers(1) == [0]
        # Far more than the ring keeps, while nothing is read.
        for first in range(1, 12_001, 500):
            await node.happen(*range(first, first + 500), filling=2500)
        held = node.server.server_state.connections
        assert sum(connection.transport.get_write_buffer_size() for connection in held) < 20_000_000
        assert await slow.numbers(12_000) == list(range(1, 12_001))
        await node.happen(12_001)
        assert await slow.numbers(1) == [12_001]
        assert node.store.hub.statistics().page_reads > 0


@pytest.mark.parametrize("door", DOORS)
async def test_a_resumed_reader_takes_one_page_at_a_time(node: Live, door: str) -> None:
    for first in range(0, 9000, 500):
        await node.happen(*range(first, first + 500), filling=1000)
    async with peer(node, door) as reader:
        await reader.subscribe(cursor="earliest")
        assert await reader.numbers(9000) == list(range(9000))


async def test_a_half_open_peer_is_found_out(tmp_path: Path) -> None:
    """A peer that is connected, says nothing and answers no ping is let go once events wait for it."""
    async with (
        live(tmp_path, stall_limit=0.5, heartbeat_seconds=0.1) as node,
        peer(node, "sse", receive_buffer=4096) as gone,
    ):
        await gone.subscribe()
        gone.client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for first in range(0, 1000, 100):
            await node.happen(*range(first, first + 100), filling=4000)
        await eventually(lambda: node.store.hub.statistics().subscriptions == 0)


async def test_everything_at_once_leaves_nothing(node: Live) -> None:
    staff = node.staff_token()

    async def come_and_go(number: int) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            async with peer(node, DOORS[number % 2]) as one:
                await one.subscribe(cursor="earliest" if number % 3 else "")
                if number % 4 == 0:
                    one.reset()
                else:
                    await one.numbers(3)

    async with node.socket(f"/v1/ws/events?token={staff}") as keeper:
        await keeper.ask("subscribe", topics=["#"])
        crowd = [asyncio.create_task(come_and_go(number)) for number in range(60)]
        for number in range(50):
            await node.happen(number)
        assert await keeper.numbers(50) == list(range(50))
        while not all(task.done() for task in crowd):
            await node.happen(0)
            await asyncio.wait(crowd, timeout=0.05)
        await asyncio.gather(*crowd)
    await node.empty()


@pytest.mark.parametrize("door", DOORS)
async def test_a_drain_does_not_wait_for_a_reader_that_stands_still(tmp_path: Path, door: str) -> None:
    async with live(tmp_path, stall_limit=1000) as node, peer(node, door, receive_buffer=4096) as stalled:
        await stalled.subscribe()
        for first in range(0, 2000, 100):
            await node.happen(*range(first, first + 100), filling=4000)
        (held,) = node.server.server_state.connections
        await eventually(lambda: held.transport.get_write_buffer_size() > 65536)
        await node.drain()
        await eventually(lambda: not len(node.sessions))
        await node.empty()


class _Broken:
    """A rate limiter with an error that nobody foresaw."""

    async def hit(self, *_: object) -> Allowance:
        raise ZeroDivisionError

    async def hit_both(self, *_: object) -> tuple[Allowance, Allowance]:
        raise ZeroDivisionError


async def test_an_internal_error_is_told_1011(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with live(tmp_path, requests_per_minute=9) as node:
        node.store.limiter = _Broken()
        async with node.socket() as socket:
            assert await socket.end() == (1011, [])
        assert "a WebSocket failed" in caplog.text
