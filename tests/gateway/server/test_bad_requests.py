"""Requests that break the rules of HTTP, and clients of its older version."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from core.kernel.validation import MAX_VALUES
from gateway.server.request_head import MAX_HEAD_BYTES, MAX_HEADER_FIELDS
from protocols.http.connection import connection_of
from protocols.http.cors import NO_PAGES
from protocols.http.exchange import Exchange
from protocols.http.response import Response
from tests.gateway.server.serving import Client, connected, serving
from tests.waiting import eventually, within

MIB = 1024 * 1024


class Echo:
    """Answers with the body, and keeps the header fields of each request as they were when it was answered."""

    def __init__(self) -> None:
        self.asked: list[list[tuple[bytes, bytes]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Exchange(scope, receive, send, NO_PAGES).run(self._answer)

    async def _answer(self, exchange: Exchange) -> Response:
        body = await exchange.body(MIB)
        self.asked.append(list(exchange.scope["headers"]))
        return Response(200, body, b"text/plain")


async def answer_of(client: Client) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, header fields and body of the next response."""
    first, *lines = (await client.read_head()).split(b"\r\n")[:-2]
    fields = dict(line.split(b": ", 1) for line in lines)
    assert len(fields) == len(lines)
    body = await within(client.reader.readexactly(int(fields[b"content-length"])))
    return int(first.split()[1]), fields, body


async def problem_of(client: Client) -> dict[str, Any]:
    """The problem document of the next response, which is the connection's last."""
    status, fields, body = await answer_of(client)
    problem: dict[str, Any] = json.loads(body)
    assert (problem["status"], fields[b"content-type"]) == (status, b"application/problem+json")
    assert fields[b"connection"] == b"close"
    assert fields[b"x-request-id"]
    assert await client.read_to_end() == b""
    return problem


def chunked(*trailers: bytes, body: bytes = b"a body") -> bytes:
    """A request in one chunk, with fields behind it."""
    return (
        b"POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n%b\r\n0\r\n" % (len(body), body)
        + b"".join(trailer + b"\r\n" for trailer in trailers)
        + b"\r\n"
    )


async def test_fields_behind_a_body_are_dropped() -> None:
    echo = Echo()
    async with serving(echo) as running, connected(running.port) as client:
        for _ in range(2):
            client.send(chunked(b"X-API-Key: special-key", b"X-Forwarded-For: 192.0.2.7", b"Host: other"))
            assert (await answer_of(client))[::2] == (200, b"a body")
    assert [[name for name, _ in fields] for fields in echo.asked] == [[b"host", b"transfer-encoding"]] * 2


@pytest.mark.parametrize(
    "endless",
    [b"0\r\n" + b"X: y\r\n" * 20_000, b"0\r\nX: " + b"y" * 100_000, b"1;x=" + b"y" * 100_000],
    ids=["many trailers", "a long trailer", "a chunk's extension"],
)
async def test_what_is_no_body_is_bounded_within_one_too(endless: bytes) -> None:
    echo = Echo()
    async with serving(echo) as running, connected(running.port) as client:
        client.send(b"POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(endless), 20_000):
            client.send(endless[start : start + 20_000])
            await client.writer.drain()
            await asyncio.sleep(0)
        problem = await problem_of(client)
    assert problem["type"] == "https://petstoreapi.com/errors/request-header-fields-too-large"
    assert (problem["status"], problem["instance"], echo.asked) == (431, "/x", [])


async def test_empty_lines_are_bounded() -> None:
    async with serving(Echo()) as running, connected(running.port) as client:
        for _ in range(MAX_HEAD_BYTES // 1024 + 1):
            client.send(b"\r\n" * 512)
        assert (await problem_of(client))["status"] == 431


async def test_the_parts_of_a_query_are_counted() -> None:
    async with serving(Echo()) as running, connected(running.port) as client:
        query = b"a=b&" * (MAX_VALUES - 1)
        client.send(b"GET /x?%ba=b HTTP/1.1\r\nHost: test\r\n\r\n" % query)
        assert (await answer_of(client))[0] == 200
        client.send(b"GET /x?%ba=b&a=b HTTP/1.1\r\nHost: test\r\n\r\n" % query)
        problem = await problem_of(client)
        assert (problem["status"], problem["instance"]) == (400, "/x")


async def test_header_fields_are_counted() -> None:
    async with serving(Echo()) as running, connected(running.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\n" + b"A: b\r\n" * (MAX_HEADER_FIELDS - 1) + b"\r\n")
        assert (await answer_of(client))[0] == 200
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\n" + b"A: b\r\n" * MAX_HEADER_FIELDS + b"\r\n")
        assert (await problem_of(client))["status"] == 431


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /x HTTP/1.1\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: a/x\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: user@a\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: a:port\r\n\r\n", 400),
        (b"GET /x HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (
            b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (
            b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12", 400),
        (b"GET /x HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nA: \x01\r\n\r\n", 400),
        (b"GET /x HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"BREW /x HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"get /x HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01", 501),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
)
async def test_a_request_that_is_none_is_answered_with_a_problem(request_: bytes, status: int) -> None:
    echo = Echo()
    async with serving(echo) as running, connected(running.port) as client:
        client.send(request_)
        assert (await problem_of(client))["status"] == status
        await eventually(lambda: running.connections() == 0)
        assert not running.server.server_state.tasks
    assert not echo.asked


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: \r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost:pets.example:\r\n\r\n",
        b"GET http://pets.example HTTP/1.1\r\nHost: pets_1.example\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx",
    ],
)
async def test_what_is_unusual_is_answered_and_the_next_request_too(request_: bytes) -> None:
    async with serving(Echo()) as running, connected(running.port) as client:
        client.send(request_ * 3)
        for _ in range(3):
            assert (await answer_of(client))[0] == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Host: a\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n", 400),
        (b"Host: a\r\nSec-WebSocket-Version: 13\r\n", 400),
        (b"Host: a\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n", 400),
        (b"Host: a\r\nSec-WebSocket-Version: 13\r\nX: " + b"x" * 10_000 + b"\r\n", 431),
        (b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n", 400),
        (
            b"Host: a\r\nHost: b\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n",
            400,
        ),
    ],
)
async def test_a_handshake_that_is_none_is_answered_with_a_problem(fields: bytes, status: int) -> None:
    async with serving(Echo()) as running, connected(running.port) as client:
        client.send(b"GET /x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + fields + b"\r\n")
        head = await client.read_head()
        problem = json.loads(await client.read_to_end())
        assert (problem["status"], problem["instance"]) == (status, "/x")
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert b"application/problem+json" in head
        assert (b"\r\nSec-WebSocket-Version: 13\r\n" in head) == (
            b"Host: a" in fields and b"Host: b" not in fields
        )


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (b"BREW /x/y?a=b HTTP/1.1\r\nHost: a\r\n\r\n", "/x/y"),
        (b"\r\nBREW /x HTTP/1.1\r\nHost: a\r\n\r\n", "/x"),
        (b"get http://a/x%20y HTTP/1.1\r\nHost: a\r\n\r\n", "/x%20y"),
        (b"BREW /x\xff HTTP/1.1\r\nHost: a\r\n\r\n", "/x"),
        (b"BREW", "/"),
        (b"BREW ", "/"),
        (b"BREW x HTTP/1.1\r\n\r\n", "/"),
    ],
)
async def test_a_request_of_an_unknown_method_is_told_its_path(request_: bytes, path: str) -> None:
    async with serving(Echo()) as running, connected(running.port) as client:
        client.send(request_)
        problem = await problem_of(client)
    assert (problem["status"], problem["instance"]) == (501, path)


async def test_the_path_of_an_unknown_method_is_told_behind_other_requests() -> None:
    async with serving(Echo()) as running, connected(running.port) as client:
        client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await answer_of(client))[0] == 200
        client.send(b"BREW /y HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await problem_of(client))["instance"] == "/y"


async def test_the_first_of_several_faults_is_told_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Echo()) as running, connected(running.port) as client:
        client.send(b"GET /x HTTP/1.1\r\nHost: a b\r\n\r\n" + b"\x00 no HTTP\r\n\r\n")
        assert (await problem_of(client))["status"] == 400
        await eventually(lambda: running.connections() == 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_an_upgrade_of_another_method_is_ignored() -> None:
    async with serving(Echo()) as running, connected(running.port) as client:
        client.send(
            b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx"
        )
        assert (await answer_of(client))[::2] == (200, b"x")


async def test_a_fault_waits_for_the_answers_before_it() -> None:
    answering = asyncio.Event()

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"on", "more_body": True})
        await answering.wait()
        await send({"type": "http.response.body", "body": b"ce"})

    async with serving(call) as running, connected(running.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.read_head()
        client.send(b"nonsense\r\n\r\n" * 10_000)
        assert await within(client.reader.readexactly(2)) == b"on"
        answering.set()
        assert await within(client.reader.readexactly(2)) == b"ce"
        assert (await problem_of(client))["status"] == 400


async def test_a_body_that_breaks_off_in_nonsense_is_told() -> None:
    echo = Echo()
    async with serving(echo) as running, connected(running.port) as client:
        client.send(b"POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        await eventually(lambda: running.server.server_state.tasks)
        client.send(b"1\r\nnonsense")
        assert (await problem_of(client))["status"] == 400
    assert not echo.asked


async def test_who_waits_for_the_client_to_leave_is_told_of_nonsense_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def answer(exchange: Exchange) -> None:
        while (await exchange.receive())["type"] != "http.disconnect":
            pass

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await Exchange(scope, receive, send, NO_PAGES).run(answer)

    async with serving(call) as running, connected(running.port) as client:
        client.send(b"POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await eventually(lambda: running.server.server_state.tasks)
        client.send(b"nonsense")
        assert (await problem_of(client))["status"] == 400
    assert not caplog.records


async def test_a_client_that_sends_no_more_gets_the_answers() -> None:
    echo, waiting = Echo(), asyncio.Event()

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await waiting.wait()
        await echo(scope, receive, send)

    async with serving(call) as running, connected(running.port) as client:
        client.send(chunked(body=b"one"))
        client.writer.write_eof()
        await eventually(lambda: running.only_connection().peer_ended)
        waiting.set()
        status, fields, body = await answer_of(client)
        assert (status, fields[b"connection"], body) == (200, b"close", b"one")
        assert await client.read_to_end() == b""
        await eventually(lambda: running.connections() == 0)
    async with serving(call) as running, connected(running.port) as client:
        client.send(chunked(body=b"one") + chunked(body=b"two") + b"GET /half")
        client.writer.write_eof()
        assert [(await answer_of(client))[2] for _ in range(2)] == [b"one", b"two"]
        assert await client.read_to_end() == b""
        await eventually(lambda: running.connections() == 0)


async def test_a_client_that_waits_for_events_and_sends_no_more_has_left() -> None:
    left = asyncio.Event()

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        connection_of(scope).write(b"event")
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    for early in (False, True):
        left.clear()
        async with serving(call) as running, connected(running.port) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            if not early:
                await client.read_head()
            client.writer.write_eof()
            await within(left.wait())
            await client.read_to_end()
            await eventually(lambda: running.connections() == 0)


async def test_a_body_that_drips_is_not_waited_for() -> None:
    async with (
        serving(Echo(), silence_limit=0.3, keep_alive=60) as running,
        connected(running.port) as client,
    ):
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n")

        def drip() -> bool:
            if running.server.statistics().silent:
                return True
            client.send(b"x")
            return False

        await eventually(drip)


@pytest.mark.parametrize("fields", [b"", b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n"])
async def test_an_older_client_gets_an_answer_that_it_can_read(fields: bytes) -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one,", "more_body": True})
        connection_of(scope).write(b"two,")
        connection_of(scope).write(b"")
        await send({"type": "http.response.body", "body": b"three"})

    async with serving(call) as running, connected(running.port) as client:
        client.send(b"POST / HTTP/1.0\r\n" + fields + b"Content-Length: 1\r\n\r\nx")
        head, _, body = (await client.read_to_end()).partition(b"\r\n\r\n")
        assert body == b"one,two,three"
        assert head.startswith(b"HTTP/1.1 200 ")
        assert head.lower().count(b"\r\nconnection: close") == head.lower().count(b"\r\nconnection:") == 1
        assert b"transfer-encoding" not in head.lower()


async def test_an_older_client_gets_lengths_where_they_are_known() -> None:
    async with serving(Echo()) as running, connected(running.port) as client:
        client.send(b"POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody")
        assert (await answer_of(client))[2] == b"body"
        assert await client.read_to_end() == b""


@pytest.mark.parametrize("pipelined", [1, 3])
async def test_a_client_who_leaves_before_the_answer_is_no_error(
    pipelined: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        connection_of(scope).abort()
        for _ in range(2):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"too late"})
            await asyncio.sleep(0)

    async with serving(call) as running, connected(running.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * pipelined)
        assert await client.read_to_end() == b""
        await eventually(lambda: not running.server.server_state.tasks)
    assert not caplog.records
