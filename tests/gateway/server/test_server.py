"""How the server begins and ends."""

import asyncio
import errno
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from gateway.server.listening import listen, socket_port
from gateway.server.server import Server, ServerOptions
from protocols.http.connection import connection_of
from tests.gateway.server.serving import CLOSE, connected, nothing, serving, with_lifespan
from tests.http_clients import http_client
from tests.waiting import TIMEOUT_SECONDS, eventually, within

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


@asynccontextmanager
async def endless(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A process that serves an endless stream; see endless.py."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.gateway.server.endless",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield process, int(await within(process.stdout.readline()))
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_endless_streams_with_their_farewell_and_code_0(number: signal.Signals) -> None:
    async with endless() as (process, port), connected(port) as client:
        client.send(GET)
        await client.read_head()
        assert await within(client.reader.readuntil(b"event\n"))
        process.send_signal(number)
        assert (await client.read_to_end()).endswith(b"farewell\n\r\n0\r\n\r\n")
        output, errors = await within(process.communicate())
        assert (output.decode().split(), errors.decode()) == (["drained", "stream", "lifespan", "after"], "")
        assert process.returncode == 0


async def test_a_second_signal_does_not_wait_for_the_drain() -> None:
    async with endless("stuck") as (process, port), connected(port) as client:
        client.send(GET)
        await client.read_head()
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert await within(process.stdout.readline()) == b"drained\n"
        process.send_signal(signal.SIGTERM)
        await client.read_to_end()
        output, _ = await within(process.communicate())
        assert output.decode().split() == ["stream", "lifespan", "after"]
        assert process.returncode == 0


async def test_what_outlives_the_drain_is_cut_off_before_the_application_shuts_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        order.append("lifespan")

    starlette = Starlette(lifespan=lifespan)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await starlette(scope, receive, send)
            return
        try:
            if scope["type"] == "websocket":
                await send({"type": "websocket.accept"})
            else:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                while connection_of(scope).writable:
                    connection_of(scope).write(b"x" * 60_000)
                    await asyncio.sleep(0)
            await asyncio.Event().wait()
        finally:
            order.append(scope["type"])

    server = Server(app, ServerOptions(drain_limit=0.2), on_drain=nothing)
    sockets = listen("127.0.0.1", 0)
    port = socket_port(sockets)
    serve = asyncio.create_task(server.serve(sockets))
    async with connected(port, receive_buffer=8192) as stalled, connected(port) as client:
        stalled.send(GET)
        await client.upgrade()
        await eventually(lambda: len(server.server_state.tasks) == 2)
        server.stop()
        opcode, payload = await client.read_frame()
        assert (opcode, payload[:2]) == (CLOSE, (1001).to_bytes(2))
        await within(serve)
        assert sorted(order[:2]) == ["http", "websocket"]
        assert order[2:] == ["lifespan"]
        assert [record.getMessage() for record in caplog.records] == [
            "cancelled 2 calls that outlived their connections"
        ]


async def test_a_cancelled_server_drops_its_connections() -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    server = Server(with_lifespan(call), ServerOptions(), on_drain=nothing)
    sockets = listen("127.0.0.1", 0)
    port = socket_port(sockets)
    serve = asyncio.create_task(server.serve(sockets))
    async with connected(port) as client:
        await client.upgrade()
        serve.cancel()
        assert await client.read_to_end() == b""
        await asyncio.wait((serve,), timeout=TIMEOUT_SECONDS)
        assert serve.cancelled()


@pytest.mark.parametrize(
    ("trusted", "host", "lines", "seen"),
    [
        ((), "127.0.0.1", ("192.0.2.7",), "127.0.0.1"),
        (("127.0.0.1",), "127.0.0.1", ("192.0.2.7",), "192.0.2.7"),
        (("127.0.0.1",), "127.0.0.1", ("192.0.2.7:4711",), "192.0.2.7"),
        (("127.0.0.1",), "127.0.0.1", ("198.51.100.1", "192.0.2.7", "127.0.0.1"), "192.0.2.7"),
        (("127.0.0.1",), "127.0.0.1", ("",), "127.0.0.1"),
        (("*", "10.0.0.1"), "127.0.0.1", ("192.0.2.7",), "192.0.2.7"),
        (("127.0.0.0/8",), "::", ("192.0.2.7",), "192.0.2.7"),
    ],
)
async def test_only_a_trusted_proxy_may_name_the_client(
    trusted: tuple[str, ...], host: str, lines: tuple[str, ...], seen: str
) -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["client"][0].encode()})

    server = Server(with_lifespan(call), ServerOptions(trusted_proxies=trusted), on_drain=nothing)
    try:
        sockets = listen(host, 0)
    except OSError as error:
        pytest.skip(f"this machine has no such address: {error}")
    serve = asyncio.create_task(server.serve(sockets))
    async with http_client() as client:
        forwarded = [("X-Forwarded-For", line) for line in lines]
        answer = await client.get(f"http://127.0.0.1:{socket_port(sockets)}/", headers=forwarded)
    assert answer.text == seen
    server.stop()
    await within(serve)


async def test_a_draining_server_takes_no_new_connection_and_ends_idle_ones() -> None:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    draining = asyncio.Event()
    enough = asyncio.Event()

    async def on_drain() -> None:
        draining.set()
        await enough.wait()

    async with (
        serving(call, on_drain=on_drain, drain_limit=1000) as running,
        connected(running.port) as idle,
    ):
        idle.send(GET)
        assert (await idle.read_head()).startswith(b"HTTP/1.1 204 ")
        running.server.stop()
        await within(draining.wait())
        assert await idle.read_to_end() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", running.port)
        assert not running.stopped.done()
        enough.set()
        await within(running.stopped)


async def test_a_failing_drain_hook_is_logged_and_the_server_ends(caplog: pytest.LogCaptureFixture) -> None:
    async def on_drain() -> None:
        raise LookupError("no streams")

    async with serving(Starlette(), on_drain=on_drain) as running:
        running.server.stop()
        await within(running.stopped)
    assert "draining failed" in caplog.text


async def test_an_application_that_does_not_start_is_an_error_and_frees_the_port() -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if app.routes == []:
            raise LookupError("nothing to serve")
        yield

    sockets = listen("127.0.0.1", 0)
    port = socket_port(sockets)
    server = Server(Starlette(lifespan=lifespan), ServerOptions(), on_drain=nothing)
    with pytest.raises(RuntimeError, match="the application failed to start"):
        await server.serve(sockets)
    for listener in listen("127.0.0.1", port):
        listener.close()


def test_a_taken_port_is_one_clear_line() -> None:
    with listen("127.0.0.1", 0)[0] as taken:
        port = socket_port([taken])
        with pytest.raises(
            OSError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"
        ) as caught:
            listen("127.0.0.1", port)
        assert caught.value.errno == errno.EADDRINUSE
        assert "\n" not in str(caught.value)


def test_an_unknown_host_is_one_clear_line() -> None:
    with pytest.raises(OSError, match=r"cannot listen on host\.invalid: "):
        listen("host.invalid", 0)


def test_processes_may_share_a_port() -> None:
    with (
        listen("127.0.0.1", 0, reuse_port=True)[0] as first,
        listen("127.0.0.1", socket_port([first]), reuse_port=True)[0] as second,
    ):
        assert first.getsockname() == second.getsockname()


@pytest.mark.parametrize("host", ["localhost", "", "::1"])
def test_all_addresses_of_a_host_share_one_port(host: str) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("no IPv6 here")
    sockets = listen(host, 0)
    assert {listener.getsockname()[1] for listener in sockets} == {socket_port(sockets)}
    for listener in sockets:
        with socket.create_connection(listener.getsockname()[:2], timeout=TIMEOUT_SECONDS):
            pass
        listener.close()


def _has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        return probe.connect_ex(("::1", 9)) != errno.EADDRNOTAVAIL
