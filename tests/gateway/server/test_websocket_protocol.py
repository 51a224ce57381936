"""The WebSocket protocol as clients meet it over real sockets."""

import asyncio
import contextlib
import logging
import socket
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from core.live.connection import ClientConnection
from gateway.server.websocket_protocol import WebSocketProtocol
from protocols.http.connection import connection_of
from protocols.http.sockets import NO_MESSAGE
from tests.gateway.server.serving import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Serving,
    buffered,
    connected,
    frame,
    masked,
    serving,
)
from tests.waiting import eventually, within


class Calls:
    """An application that accepts each WebSocket, shows its connection to the test, and waits for the end."""

    def __init__(self, *, reads: bool = True) -> None:
        self.reads = reads
        self.opened: list[ClientConnection] = []
        self.received: list[Any] = []
        self.over = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        self.opened.append(connection_of(scope))
        if not self.reads:
            await self.over.wait()
            return
        assert (await receive())["type"] == "websocket.connect"
        while True:
            self.received.append(dict(message := await receive()))
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") == "close me":
                await send({"type": "websocket.close", "code": 4401})

    async def connection(self) -> ClientConnection:
        return (await eventually(lambda: self.opened))[0]

    def texts(self) -> list[str]:
        """The texts that were received."""
        return [message["text"] for message in self.received if "text" in message]

    async def end(self) -> dict[str, Any]:
        """The message that told of the end."""
        return await eventually(
            lambda: next((m for m in self.received if m["type"] == "websocket.disconnect"), {})
        )


def protocol_of(running: Serving) -> WebSocketProtocol:
    (protocol,) = running.server.server_state.connections
    assert isinstance(protocol, WebSocketProtocol)
    return protocol


async def pinged_again(protocol: WebSocketProtocol) -> None:
    before = protocol.ping_sent_at
    await eventually(lambda: protocol.ping_sent_at > before)


async def test_direct_writes_arrive_whole_and_in_order_among_pongs() -> None:
    calls = Calls()
    async with serving(calls) as running, connect(f"ws://127.0.0.1:{running.port}/") as client:
        connection = await calls.connection()

        async def push() -> None:
            for start in range(0, 3000, 10):
                while not connection.writable:
                    await connection.drain()
                connection.write(b"".join(frame(b"%d" % n + b"." * 500) for n in range(start, start + 10)))
                await asyncio.sleep(0)

        async def ping() -> int:
            pongs = 0
            while not pushing.done():
                await (await client.ping())
                pongs += 1
            return pongs

        pushing = asyncio.create_task(push())
        pinging = asyncio.create_task(ping())
        for number in range(3000):
            message = await within(client.recv())
            assert message == f"{number}" + "." * 500
        assert await within(pinging) > 0


async def test_pongs_and_closes_go_behind_what_was_written_before() -> None:
    calls = Calls()
    async with serving(calls) as running, connected(running.port) as client:
        await client.upgrade()
        connection = await calls.connection()
        connection.write(frame(b"first"))
        client.send(masked(b"are you there", PING))
        assert await client.read_frame() == (TEXT, b"first")
        assert await client.read_frame() == (PONG, b"are you there")
        connection.write(frame(b"last"))
        client.send(masked(b"close me"))
        assert await client.read_frame() == (TEXT, b"last")
        opcode, payload = await client.read_frame()
        assert (opcode, payload[:2]) == (CLOSE, (4401).to_bytes(2))


async def test_a_frame_written_after_the_close_goes_nowhere() -> None:
    calls = Calls()
    async with serving(calls) as running, connected(running.port) as client:
        await client.upgrade()
        connection, protocol = await calls.connection(), protocol_of(running)
        client.send(masked(b"close me"))
        assert (await client.read_frame())[0] == CLOSE
        assert not connection.writable
        connection.write(frame(b"too late"))
        with pytest.raises(ConnectionResetError):
            await connection.drain()
        client.send(masked((4401).to_bytes(2), CLOSE))
        assert await client.read_to_end() == b""
        connection.write(frame(b"later still"))
        assert buffered(protocol) == 0
        assert protocol.stalled_for() == 0


async def test_writing_before_the_handshake_is_a_clear_error() -> None:
    errors: list[str] = []

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(RuntimeError) as caught:
            connection_of(scope).write(frame(b"too early"))
        errors.append(str(caught.value))
        await send({"type": "websocket.accept"})

    async with serving(call) as running, connected(running.port) as client:
        await client.upgrade()
        assert errors == ["the WebSocket handshake is not accepted yet"]


async def test_who_has_left_is_not_accepted() -> None:
    disconnected: list[bool] = []

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        connection_of(scope).abort()
        with pytest.raises(ClientDisconnected) as caught:
            await send({"type": "websocket.accept"})
        disconnected.append(True)
        raise caught.value

    async with serving(call) as running, connected(running.port) as client:
        client.send(_HANDSHAKE)
        await eventually(lambda: disconnected == [True])


async def test_the_callback_tells_when_writing_may_resume() -> None:
    calls = Calls()
    async with serving(calls) as running, connected(running.port, receive_buffer=8192) as client:
        await client.upgrade()
        connection = await calls.connection()
        resumed: list[bool] = []
        connection.on_writable = lambda: resumed.append(connection.writable)
        sent = 0
        while connection.writable:
            connection.write(frame(b"x" * 60000))
            sent += 1
            await asyncio.sleep(0)
        assert buffered(protocol_of(running)) > 0
        assert resumed == []
        for _ in range(sent):
            assert await client.read_frame() == (TEXT, b"x" * 60000)
        await eventually(lambda: resumed)
        assert resumed == [True]
        assert buffered(protocol_of(running)) == 0


async def test_a_peer_that_reads_nothing_is_dropped() -> None:
    calls = Calls()
    async with (
        serving(calls, stall_limit=0.4, drain_limit=5.0) as running,
        connected(running.port, receive_buffer=8192) as client,
    ):
        await client.upgrade()
        connection = await calls.connection()
        while connection.writable:
            connection.write(frame(b"x" * 60000))
            await asyncio.sleep(0)
        with pytest.raises(ConnectionResetError):
            await within(connection.drain())
        assert running.server.statistics().stalled == 1
        assert (await calls.end())["code"] == 1005
        assert running.connections() == 0


async def test_the_kernel_drops_stalled_peers_too_after_the_same_time() -> None:
    calls = Calls()
    async with (
        serving(calls, stall_limit=7.0, kernel_drops=True) as running,
        connected(running.port) as client,
    ):
        await client.upgrade()
        accepted = protocol_of(running).transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000


async def test_an_application_may_abort_a_stalled_peer_itself() -> None:
    calls = Calls()
    async with serving(calls) as running, connected(running.port, receive_buffer=8192) as client:
        await client.upgrade()
        connection = await calls.connection()
        while connection.writable:
            connection.write(frame(b"x" * 60000))
            await asyncio.sleep(0)
        await eventually(lambda: protocol_of(running).stalled_for() > 0.05)
        connection.abort()
        await eventually(lambda: running.connections() == 0)


async def test_a_slow_reader_outlives_its_unanswered_pings() -> None:
    calls = Calls()
    async with (
        serving(calls, ping_interval=0.1, ping_timeout=0.1, stall_limit=60) as running,
        connected(running.port, receive_buffer=16384) as client,
    ):
        await client.upgrade()
        connection = await calls.connection()
        protocol = protocol_of(running)
        connection.write(frame(b"x" * 3_000_000))
        rest = 3_000_010
        for _ in range(8):
            await pinged_again(protocol)
            rest -= len(await client.reader.readexactly(60_000))
        assert connection.writable is False
        await within(client.reader.readexactly(rest))
        assert (await client.read_frame())[0] == PING
        assert running.connections() == 1


async def test_a_push_only_application_keeps_clients_that_talk() -> None:
    calls = Calls(reads=False)
    async with (
        serving(calls, ping_interval=0.05, ping_timeout=0.05) as running,
        connected(running.port) as client,
    ):
        await client.upgrade()
        connection = await calls.connection()
        client.send(masked(b"") * 1500)  # More than is read ahead.
        await eventually(lambda: protocol_of(running).read_paused)
        for _ in range(6):  # The pongs stay unread behind these messages.
            opcode, payload = await client.read_frame()
            assert opcode == PING
            client.send(masked(payload, PONG))
        connection.write(frame(b"still here"))
        while (answer := await client.read_frame())[0] == PING:
            pass
        assert answer == (TEXT, b"still here")
        calls.over.set()


async def test_pings_are_answered_however_slowly_messages_are_taken() -> None:
    calls = Calls(reads=False)
    async with serving(calls) as running, connected(running.port) as client:
        await client.upgrade()
        await calls.connection()
        client.send(masked(b"a message of a backlog, which the application takes in its own time") * 500)
        client.send(masked(b"there?", PING))
        assert await client.read_frame() == (PONG, b"there?")
        calls.over.set()


async def test_what_is_no_message_is_told_and_an_answered_ping_is_not() -> None:
    calls = Calls()
    async with (
        serving(calls, ping_interval=0.05, ping_timeout=60) as running,
        connected(running.port) as client,
    ):
        await client.upgrade()
        opcode, payload = await client.read_frame()
        assert opcode == PING
        client.send(masked(payload, PONG) + masked(b"last"))
        await eventually(calls.texts)
        assert NO_MESSAGE not in calls.received
        empty = bytes((CONTINUATION, 0x80)) + bytes(4)
        client.send(bytes((TEXT, 0x80)) + bytes(4) + empty * 3 + masked(b"behind", CONTINUATION))
        client.send(masked(b"nobody asked", PONG) + masked(b"", PING))
        await eventually(lambda: calls.received.count(NO_MESSAGE) == 6)
        assert calls.texts() == ["last", "behind"]


async def test_tiny_frames_do_not_hold_the_loop() -> None:
    calls = Calls(reads=False)
    async with serving(calls) as running, connected(running.port) as client:
        await client.upgrade()
        await calls.connection()
        protocol = protocol_of(running)
        protocol.data_received(masked(b"") * 40_000)
        assert protocol.queue.qsize() < 1500
        calls.over.set()


async def test_all_that_was_sent_is_taken_behind_a_pause() -> None:
    calls = Calls()
    async with serving(calls) as running, connected(running.port) as client:
        await client.upgrade()
        numbers = [str(number) for number in range(20_000)]
        client.send(b"".join(masked(number.encode()) for number in numbers))
        await eventually(lambda: len(calls.received) == len(numbers))
        assert calls.texts() == numbers


async def test_a_close_frame_is_found_behind_what_is_never_taken() -> None:
    calls = Calls(reads=False)
    async with serving(calls) as running, connected(running.port) as client:
        await client.upgrade()
        await calls.connection()
        client.send(masked(b"") * 5000 + masked((4000).to_bytes(2), CLOSE))
        await eventually(lambda: protocol_of(running).read_paused)
        calls.over.set()
        assert await client.read_to_end() == b""


async def test_a_close_frame_amid_a_fragmented_message_gets_its_own_code() -> None:
    calls = Calls()
    async with serving(calls) as running, connected(running.port) as client:
        await client.upgrade()
        first = masked(b"to be continued")
        client.send(bytes((TEXT,)) + first[1:] + masked((4000).to_bytes(2) + b"enough", CLOSE))
        assert await client.read_frame() == (CLOSE, (4000).to_bytes(2) + b"enough")
        assert (await calls.end())["code"] == 4000


async def test_pings_whose_pongs_are_not_read_do_not_pile_up() -> None:
    calls = Calls()
    count = 40_000
    async with serving(calls) as running, connected(running.port, receive_buffer=8192) as client:
        await client.upgrade()
        await calls.connection()
        client.send(masked(b"p" * 100, PING) * count + masked(b"a message"))
        await eventually(lambda: protocol_of(running).read_paused)
        assert buffered(protocol_of(running)) < 1_000_000
        for _ in range(count):
            assert await client.read_frame() == (PONG, b"p" * 100)
        await eventually(lambda: calls.texts() == ["a message"])
        assert calls.received.count(NO_MESSAGE) == count


async def test_a_peer_that_answers_no_ping_is_closed() -> None:
    calls = Calls()
    async with (
        serving(calls, ping_interval=0.05, ping_timeout=0.05) as running,
        connected(running.port) as client,
    ):
        await client.upgrade()
        while (answer := await client.read_frame())[0] == PING:
            pass
        assert (answer[0], answer[1][:2]) == (CLOSE, (1011).to_bytes(2))
        await eventually(lambda: running.connections() == 0)


@pytest.mark.parametrize(("subprotocol", "pinged"), [("mqtt", False), ("other", True)])
async def test_mqtt_is_not_pinged(subprotocol: str, pinged: bool) -> None:
    calls = Calls()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def chosen(message: Any) -> None:
            await send({**message, "subprotocol": subprotocol} if "accept" in message["type"] else message)

        await calls(scope, receive, chosen)

    async with (
        serving(app) as running,
        connect(f"ws://127.0.0.1:{running.port}/", subprotocols=[Subprotocol(subprotocol)]) as client,
    ):
        assert client.subprotocol == subprotocol
        assert (protocol_of(running).ping_timer is not None) is pinged


@pytest.mark.parametrize("size", [64 * 1024 + 1, 8 * 1024 * 1024])
async def test_a_message_over_64_kib_is_told_1009(size: int) -> None:
    calls = Calls()
    async with serving(calls) as running, connect(f"ws://127.0.0.1:{running.port}/") as client:
        with contextlib.suppress(ConnectionClosed):
            await client.send("x" * size)
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009
        assert (await calls.end())["code"] == 1009


async def test_a_message_of_64_kib_is_taken_and_never_compressed() -> None:
    calls = Calls()
    async with serving(calls) as running, connect(f"ws://127.0.0.1:{running.port}/") as client:
        assert client.protocol.extensions == []
        await client.send("x" * 64 * 1024)
        await eventually(lambda: calls.received)
        assert len(calls.received[0]["text"]) == 64 * 1024


async def test_text_that_is_not_utf_8_is_told_1007(caplog: pytest.LogCaptureFixture) -> None:
    calls = Calls()
    async with serving(calls) as running, connected(running.port) as client:
        await client.upgrade()
        client.send(masked(b"\xff\xfe"))
        opcode, payload = await client.read_frame()
        assert (opcode, payload[:2]) == (CLOSE, (1007).to_bytes(2))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_handshake_with_a_header_too_long_is_answered() -> None:
    calls = Calls()
    async with serving(calls) as running, connected(running.port) as client:
        client.send(
            b"GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Authorization: Bearer " + b"x" * 10_000 + b"\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 431 ")
        assert running.connections() == 0


async def test_the_token_in_the_address_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    calls = Calls()
    async with serving(calls) as running, connected(running.port) as client:
        await client.upgrade("/?token=very-secret")
        await calls.connection()
    assert "very-secret" not in caplog.text


_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def test_messages_that_come_with_the_handshake_are_taken() -> None:
    calls = Calls()
    async with serving(calls) as running, connected(running.port) as client:
        client.send(_HANDSHAKE + masked(b"early") * 2 + masked(b"", PING))
        assert (await client.read_head()).startswith(b"HTTP/1.1 101 ")
        assert (await client.read_frame())[0] == PONG
        await eventually(lambda: [one.get("text") for one in calls.received[:2]] == ["early"] * 2)


@pytest.mark.parametrize("rest", [b"", masked(b"", PING)], ids=["alone", "with more behind"])
@pytest.mark.parametrize(
    ("broken", "code"), [(frame(b"no mask"), 1002), (masked(b"\xff"), 1007)], ids=["no mask", "no UTF-8"]
)
@pytest.mark.parametrize("early", [True, False], ids=["with the handshake", "later"])
async def test_what_breaks_the_rules_is_told_so_whenever_it_comes(
    caplog: pytest.LogCaptureFixture, early: bool, broken: bytes, code: int, rest: bytes
) -> None:
    async with serving(Calls()) as running, connected(running.port) as client:
        client.send(_HANDSHAKE + (broken + rest if early else b""))
        assert (await client.read_head()).startswith(b"HTTP/1.1 101 ")
        if not early:
            client.send(broken + rest)
        while (told := await client.read_frame())[0] == PONG:
            pass
        assert (told[0], int.from_bytes(told[1][:2], "big")) == (CLOSE, code)
        client.writer.close()
        await eventually(lambda: running.connections() == 0)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("turn_seconds", [0.0, 1.0])
async def test_a_burst_is_taken_in_order_however_it_is_parsed(
    monkeypatch: pytest.MonkeyPatch, turn_seconds: float
) -> None:
    monkeypatch.setattr("core.kernel.turns._TURN_SECONDS", turn_seconds)
    calls = Calls()
    async with serving(calls) as running, connected(running.port) as client:
        await client.upgrade()
        client.send(b"".join(masked(b"%d" % number) for number in range(20_000)))
        await eventually(lambda: len(calls.received) == 20_000)
        assert [message["text"] for message in calls.received] == [str(number) for number in range(20_000)]


async def test_a_burst_behind_the_end_lets_others_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.kernel.turns._TURN_SECONDS", 0.0)
    calls = Calls()
    async with serving(calls) as running, connected(running.port) as client:
        await client.upgrade()
        protocol = protocol_of(running)
        client.send(masked(b"close me"))
        assert (await client.read_frame())[0] == CLOSE
        protocol.data_received(masked(b"x") * 20_000)
        turns = 0
        while protocol._unparsed:
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 10
