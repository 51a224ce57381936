"""The HTTP protocol as clients meet it over real sockets."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from core.live.connection import ClientConnection
from gateway.server.request_head import MAX_HEAD_BYTES
from protocols.http.connection import connection_of
from tests.clock import skip
from tests.gateway.server.serving import Client, buffered, connected, serving
from tests.http_clients import http_client
from tests.waiting import TIMEOUT_SECONDS, eventually, within

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


async def start(send: Send, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})


async def finish(send: Send, body: bytes = b"") -> None:
    await send({"type": "http.response.body", "body": body})


class Streams:
    """An application that starts a stream for each request and shows its connection to the test."""

    def __init__(self) -> None:
        self.opened: list[ClientConnection] = []
        self.over = asyncio.Event()
        self.disconnected = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        self.opened.append(connection_of(scope))
        await receive()
        if (await self._first(receive))["type"] == "http.disconnect":
            self.disconnected.set()
        else:
            await finish(send)

    async def _first(self, receive: Receive) -> Message:
        """What the client did, or an empty request part when the stream was over before."""

        async def wait_for_the_end() -> Message:
            await self.over.wait()
            return {"type": "http.request"}

        async def wait_for_the_client() -> Message:
            return await receive()

        waits = [asyncio.create_task(wait_for_the_end()), asyncio.create_task(wait_for_the_client())]
        done, open_ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in open_:
            task.cancel()
        return done.pop().result()

    async def connection(self) -> ClientConnection:
        return (await eventually(lambda: self.opened))[0]


async def fill(connection: ClientConnection) -> int:
    """Write until the peer's window and our buffer are full, and give the number of bytes."""
    sent = 0
    while connection.writable:
        connection.write(b"x" * 60_000)
        sent += 60_000
        await asyncio.sleep(0)
    return sent


async def read_chunks(client: Client, size: int) -> bytes:
    """Read chunks until `size` bytes of body have come."""
    body = b""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while len(body) < size:
            length = int(await client.reader.readuntil(b"\r\n"), 16)
            body += await client.reader.readexactly(length)
            assert await client.reader.readexactly(2) == b"\r\n"
    return body


async def test_direct_writes_and_sends_make_one_body_and_the_connection_serves_on() -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        connection = connection_of(scope)
        for number in range(500):
            connection.write(b"%d," % number)
            connection.write(b"")
            await send({"type": "http.response.body", "body": b"%d;" % number, "more_body": True})
        await finish(send, b"end")
        connection.write(b"too late")

    async with serving(call) as running, http_client() as client:
        expected = "".join(f"{n},{n};" for n in range(500)) + "end"
        for _ in range(3):
            response = await client.get(f"http://127.0.0.1:{running.port}/")
            assert response.text == expected
            assert "server" not in response.headers
        assert running.connections() == 1


async def test_writing_before_the_response_or_beside_its_length_is_a_clear_error() -> None:
    errors: list[str] = []

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(RuntimeError) as caught:
            connection_of(scope).write(b"x")
        errors.append(str(caught.value))
        await start(send, (b"content-length", b"2"))
        with pytest.raises(RuntimeError) as caught:
            connection_of(scope).write(b"x")
        errors.append(str(caught.value))
        await finish(send, b"ok")

    async with serving(call) as running, http_client() as client:
        assert (await client.get(f"http://127.0.0.1:{running.port}/")).text == "ok"
    assert errors == [
        "the response has not been started yet",
        "a response of announced length takes no direct writes",
    ]


async def test_an_answer_to_head_has_no_body() -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        connection_of(scope).write(b"not wanted")
        await finish(send)

    async with serving(call) as running, connected(running.port) as client:
        client.send(b"HEAD / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert (await client.read_to_end()).endswith(b"\r\n\r\n")


async def test_pipelined_requests_each_have_their_own_connection() -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        connection_of(scope).write(scope["path"].encode())
        await asyncio.sleep(0)
        await finish(send)

    async with serving(call) as running, connected(running.port) as client:
        client.send(b"GET /one HTTP/1.1\r\nHost: test\r\n\r\n")
        client.send(b"GET /two HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        answers = await client.read_to_end()
        assert [answers.count(p) for p in (b"4\r\n/one\r\n0\r\n\r\n", b"4\r\n/two\r\n0\r\n\r\n")] == [1, 1]


async def test_a_stream_whose_peer_reads_nothing_is_dropped() -> None:
    streams = Streams()
    async with (
        serving(streams, stall_limit=0.4) as running,
        connected(running.port, receive_buffer=8192) as client,
    ):
        client.send(GET)
        connection = await streams.connection()
        await fill(connection)
        with pytest.raises(ConnectionResetError):
            await within(connection.drain())
        await within(streams.disconnected.wait())
        assert running.server.statistics().stalled == 1
        assert running.connections() == 0


@pytest.mark.own_clock
async def test_a_stream_that_waits_for_events_is_left_alone() -> None:
    streams = Streams()
    async with (
        serving(streams, stall_limit=30, silence_limit=30) as running,
        connected(running.port) as quiet,
        connected(running.port) as witness,
    ):
        quiet.send(GET)
        connection = await streams.connection()
        skip(30)
        assert await witness.read_to_end() == b""  # Dropped for its silence; it came later.
        connection.write(b"an event")
        await quiet.read_head()
        assert await read_chunks(quiet, 8) == b"an event"


async def test_the_callback_tells_when_writing_may_resume_and_ends_with_the_response() -> None:
    streams = Streams()
    async with serving(streams) as running, connected(running.port, receive_buffer=8192) as client:
        client.send(GET)
        connection = await streams.connection()
        resumed: list[bool] = []
        connection.on_writable = lambda: resumed.append(connection.writable)
        sent = await fill(connection)
        assert (buffered(running.only_connection()) > 0, resumed) == (True, [])
        await client.read_head()
        assert await read_chunks(client, sent) == b"x" * sent
        await eventually(lambda: resumed)
        assert resumed == [True]
        streams.over.set()
        assert await client.reader.readexactly(5) == b"0\r\n\r\n"
        (same,) = streams.opened
        assert same.on_writable is None
        assert not same.writable


async def test_an_aborted_stream_is_gone_at_once() -> None:
    streams = Streams()
    async with serving(streams) as running, connected(running.port, receive_buffer=8192) as client:
        client.send(GET)
        connection = await streams.connection()
        await fill(connection)
        connection.abort()
        await eventually(lambda: running.connections() == 0)
        await within(streams.disconnected.wait())


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: te",
        b"\r\n",
        b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf",
    ],
    ids=["nothing", "half a head", "an empty line", "half a body"],
)
async def test_a_request_that_does_not_end_is_dropped(part: bytes) -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if not message["more_body"]:
                await start(send, (b"content-length", b"0"))
                await finish(send)
                return

    async with serving(call, silence_limit=0.2, keep_alive=60) as running, connected(running.port) as client:
        client.send(part)
        await client.read_to_end()
        assert running.server.statistics().silent == 1
        await eventually(lambda: not running.server.server_state.tasks)


async def test_an_empty_line_after_a_request_does_not_keep_the_connection() -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send, (b"content-length", b"0"))
        await finish(send)

    async with serving(call, silence_limit=2, keep_alive=60) as running, connected(running.port) as client:
        client.send(GET)
        await client.read_head()
        client.send(b"\r\n")
        assert await client.read_to_end() == b""
        assert running.server.statistics().silent == 1


async def test_a_head_sent_in_drops_gains_no_time() -> None:
    async with serving(Streams(), silence_limit=0.3) as running, connected(running.port) as client:

        def drip() -> bool:
            if running.server.statistics().silent:
                return True
            client.send(b"x")
            return False

        client.send(b"GET / HTTP/1.1\r\nX: ")
        await eventually(drip)


@pytest.mark.own_clock
async def test_a_body_is_given_time_as_long_as_it_comes_or_we_do_not_listen() -> None:
    listening = asyncio.Event()

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await listening.wait()
        body = b""
        while (message := await receive())["more_body"]:
            body += message["body"]
        await start(send)
        await finish(send, b"%d" % len(body + message["body"]))

    async with (
        serving(call, silence_limit=30) as running,
        connected(running.port) as client,
        connected(running.port) as witness,
    ):
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4000000\r\nConnection: close\r\n\r\n")
        client.send(b"x" * 4_000_000)
        await eventually(lambda: running.server.server_state.tasks)
        skip(30)
        await witness.read_to_end()
        listening.set()
        assert (await client.read_to_end()).endswith(b"7\r\n4000000\r\n0\r\n\r\n")


async def test_a_head_that_grows_without_end_is_refused() -> None:
    async with serving(Streams()) as running, connected(running.port) as client:
        head = b"GET / HTTP/1.1\r\nX: "
        client.send(head.ljust(MAX_HEAD_BYTES + 1, b"x"))
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 431 ")
        await eventually(lambda: running.connections() == 0)


class Numbers:
    """An application that tells of each request the number in its path, and waits before the first answer."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.over.wait()
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        await start(send, (b"content-length", b"6"))
        await finish(send, b"%06d" % (int(scope["path"][1:]) + len(body)))


def numbered(number: int, body: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return b"POST /%d HTTP/1.1\r\nHost: test\r\n%b\r\n%b" % (number, length, body)


async def answered_in_order(client: Client, count: int) -> None:
    for number in range(count):
        assert (await client.read_head()).startswith(b"HTTP/1.1 200 ")
        assert int(await within(client.reader.readexactly(6))) == number


async def test_requests_behind_others_are_not_even_parsed() -> None:
    app = Numbers()
    async with serving(app) as running, connected(running.port) as client:
        client.send(b"".join(numbered(number) for number in range(20_000)))
        await eventually(lambda: running.connections())
        connection = running.only_connection()
        await eventually(lambda: connection.pipeline)
        await asyncio.sleep(0)
        assert len(connection.pipeline) < 200
        app.over.set()
        await answered_in_order(client, 20_000)
        assert not connection.pipeline


@pytest.mark.parametrize("turn_seconds", [0.0, 1.0])
async def test_pipelined_requests_are_answered_in_order_however_they_are_parsed(
    monkeypatch: pytest.MonkeyPatch, turn_seconds: float
) -> None:
    monkeypatch.setattr("core.kernel.turns._TURN_SECONDS", turn_seconds)
    app = Numbers()
    app.over.set()
    # Each body counts for its path, so that one that is cut off or read twice is found out.
    requests = b"".join(
        numbered(number - size, b"x" * size)
        for number in range(300)
        for size in (min(number, number * 37 % 5_000),)
    )
    async with serving(app) as running, connected(running.port) as client:
        client.send(requests)
        client.writer.write_eof()  # The end stands behind what is not parsed yet.
        await answered_in_order(client, 300)
        assert await client.read_to_end() == b""


async def test_others_are_let_in_while_a_burst_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.kernel.turns._TURN_SECONDS", 0.0)
    app = Numbers()
    async with serving(app) as running, connected(running.port) as client:
        client.send(numbered(0, b"x")[:-1])
        await eventually(lambda: running.connections())
        connection = running.only_connection()
        await eventually(lambda: connection._in_body)
        turns: list[int] = []

        async def come() -> None:
            while connection._unparsed:
                turns.append(len(connection._unparsed))
                await asyncio.sleep(0)

        connection.data_received(b"x" + b"\r\n" * 30_000)
        await come()
        assert len(turns) >= 10
        app.over.set()


async def test_a_refused_peer_that_is_still_sending_gets_the_answer() -> None:
    async with serving(Numbers()) as running, connected(running.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
        assert (await client.read_head()).startswith(b"HTTP/1.1 400 ")
        for _ in range(100):
            client.send(b"more " * 10_000)
            await client.writer.drain()  # Not reset.
        client.writer.write_eof()
        await client.read_to_end()
        await eventually(lambda: running.connections() == 0)
