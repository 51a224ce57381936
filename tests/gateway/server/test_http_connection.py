"""How responses are written, byte for byte."""

import asyncio
import gc
import weakref

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from protocols.http.connection import connection_of
from tests.gateway.server.serving import connected, serving
from tests.waiting import eventually

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
LAST_GET = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


def answers(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> ASGIApp:
    """An application that answers every request alike."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body})

    return call


async def exchange(app: ASGIApp, request: bytes) -> tuple[list[bytes], bytes]:
    """What a server of `app` sends until it closes: the lines of the head without the date, and the rest."""
    async with serving(app) as running, connected(running.port) as client:
        client.send(request)
        head, _, body = (await client.read_to_end()).partition(b"\r\n\r\n")
        return [line for line in head.split(b"\r\n") if not line.startswith(b"date: ")], body


async def test_a_body_of_announced_length_follows_its_head() -> None:
    app = answers(200, b"pet", (b"Content-Length", b"3"), (b"x-text", b"a\tb \xe9"), (b"x-text", b"2"))
    head, body = await exchange(app, LAST_GET)
    assert head == [
        b"HTTP/1.1 200 OK",
        b"content-length: 3",
        b"x-text: a\tb \xe9",
        b"x-text: 2",
        b"connection: close",
    ]
    assert body == b"pet"


async def test_a_body_without_a_length_is_sent_in_chunks() -> None:
    head, body = await exchange(answers(201, b"pet"), LAST_GET)
    assert head == [b"HTTP/1.1 201 Created", b"connection: close", b"transfer-encoding: chunked"]
    assert body == b"3\r\npet\r\n0\r\n\r\n"


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_that_has_no_body_announces_none(status: int) -> None:
    head, body = await exchange(answers(status, b""), LAST_GET)
    assert (head[1:], body) == ([b"connection: close"], b"")


async def test_an_answer_to_head_keeps_the_length_and_loses_the_body() -> None:
    app = answers(200, b"pet", (b"content-length", b"3"))
    head, body = await exchange(app, b"HEAD / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    assert (head[1:], body) == ([b"content-length: 3", b"connection: close"], b"")


async def test_the_application_may_close_the_connection() -> None:
    app = answers(200, b"", (b"content-length", b"0"), (b"connection", b"x, Close"))
    head, _ = await exchange(app, GET + GET)
    assert head == [b"HTTP/1.1 200 OK", b"content-length: 0", b"connection: x, Close"]


async def test_a_client_of_http_1_0_gets_one_answer() -> None:
    head, body = await exchange(answers(200, b"pet", (b"content-length", b"3")), b"GET / HTTP/1.0\r\n\r\n")
    assert head == [b"HTTP/1.1 200 OK", b"content-length: 3", b"connection: close"]
    assert body == b"pet"


@pytest.mark.parametrize(
    "header",
    [
        (b"x-text", b"a\r\nset-cookie: mine"),
        (b"x-text", b"a\nset-cookie: mine"),
        (b"x-text", b"a\rb"),
        (b"x-text", b"a\0b"),
        (b"x-text", b"a\x1fb"),
        (b"x-text", b"a\x7fb"),
        (b"x-te\r\nxt", b"a"),
        (b"x text", b"a"),
        (b"x:", b"a"),
    ],
)
async def test_a_header_that_would_break_the_head_ends_the_connection(
    header: tuple[bytes, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    assert await exchange(answers(200, b"pet", (b"content-length", b"3"), header), GET) == ([b""], b"")
    assert "Invalid HTTP header" in caplog.text


@pytest.mark.parametrize(("announced", "sent"), [(b"2", b""), (b"4", b"pet")], ids=["too long", "too short"])
async def test_a_body_of_another_length_than_announced_ends_the_connection(
    announced: bytes, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    _, body = await exchange(answers(200, b"pet", (b"content-length", announced)), GET)
    assert body == sent
    assert "than Content-Length" in caplog.text


async def test_messages_out_of_order_are_a_clear_error(caplog: pytest.LogCaptureFixture) -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(RuntimeError, match=r"http\.response\.body"):
            await send({"type": "http.response.body", "body": b""})
        await answers(200, b"", (b"content-length", b"0"))(scope, receive, send)
        with pytest.raises(RuntimeError, match=r"http\.response\.body"):
            await send({"type": "http.response.body", "body": b""})

    assert (await exchange(call, LAST_GET))[0][0] == b"HTTP/1.1 200 OK"
    assert caplog.text == ""


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        body = scope["path"].encode()
        await answers(200, body, (b"content-length", b"%d" % len(body)))(scope, receive, send)

    async with serving(call) as running, connected(running.port) as client:
        paths = [b"/%d" % number for number in range(20)]
        client.send(b"".join(b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n" % path for path in paths[:-1]))
        client.send(b"GET %b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" % paths[-1])
        parts = (await client.read_to_end()).split(b"HTTP/1.1 200 OK")[1:]
        assert [part.rpartition(b"\r\n\r\n")[2] for part in parts] == paths


async def test_a_client_that_waits_for_100_gets_it_when_its_body_is_wanted() -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        await answers(200, body, (b"content-length", b"%d" % len(body)))(scope, receive, send)

    async with serving(call) as running, connected(running.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert await client.read_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"pet")
        assert (await client.read_head()).startswith(b"HTTP/1.1 200 OK\r\n")
        assert await client.reader.readexactly(3) == b"pet"


async def test_the_head_does_not_wait_for_a_body_that_waits_for_the_client() -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": (await receive())["body"]})

    async with serving(call) as running, connected(running.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.read_head()).startswith(b"HTTP/1.1 200 OK\r\n")
        client.send(b"pet")
        assert await client.reader.readexactly(3) == b"pet"


async def test_what_served_a_request_is_gone_without_the_garbage_collector() -> None:
    served: list[weakref.ref[object]] = []

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        served.append(weakref.ref(connection_of(scope)))
        await answers(200, b"", (b"content-length", b"0"))(scope, receive, send)

    gc.disable()
    try:
        async with serving(call) as running, connected(running.port) as client:
            for number in range(1, 4):
                client.send(GET)
                await client.read_head()
                await eventually(lambda: not running.server.server_state.tasks)
                assert [ref() is None for ref in served] == [True] * (number - 1) + [False]
    finally:
        gc.enable()


async def test_an_idle_connection_is_ended_and_a_busy_one_is_not() -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/wait":
            await receive()
            await receive()
        else:
            await answers(200, b"", (b"content-length", b"0"))(scope, receive, send)

    async with (
        serving(call, keep_alive=0.2) as running,
        connected(running.port) as busy,
        connected(running.port) as idle,
    ):
        busy.send(b"GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
        idle.send(GET)
        await idle.read_head()
        assert await idle.read_to_end() == b""
        assert running.connections() == 1
        assert running.server.statistics().silent == 0
