"""A server in this process, and clients that speak to it byte by byte."""

import asyncio
import base64
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.server.listening import listen, socket_port
from gateway.server.server import Server, ServerOptions
from protocols.http.connection import REFUSAL
from protocols.http.no_door import refuse
from tests.waiting import TIMEOUT_SECONDS, within

CONTINUATION, TEXT, CLOSE, PING, PONG = 0x0, 0x1, 0x8, 0x9, 0xA

Drain = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """Drain an application that has no streams."""


@dataclass(frozen=True)
class Serving:
    """A running server. `stopped` ends when `serve` has returned."""

    server: Server
    port: int
    stopped: "asyncio.Task[None]"

    def connections(self) -> int:
        return self.server.statistics().connections

    def only_connection(self) -> Any:
        """The protocol of the one connection that is open."""
        (connection,) = self.server.server_state.connections
        return connection


def buffered(connection: Any) -> int:
    """Bytes that wait in this process for the peer of a protocol."""
    size: int = connection.transport.get_write_buffer_size()
    return size


def with_lifespan(call: ASGIApp) -> ASGIApp:
    """Leave the lifespan to Starlette, and what the server refuses to who answers that."""
    lifespan = Starlette()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(scope, receive, send)
        else:
            await (refuse if REFUSAL in scope["state"] else call)(scope, receive, send)

    return app


@contextlib.asynccontextmanager
async def serving(
    call: ASGIApp,
    *,
    on_drain: Drain = nothing,
    kernel_drops: bool = False,
    whole: bool = False,
    **options: Any,
) -> AsyncIterator[Serving]:
    """Serve `call` on a free port of the loopback address; `whole`: it needs no help with what is for no door.

    Unless `kernel_drops`, the kernel's own time-out is off, so that it is the gateway that drops stalled
    peers.
    """
    options = {"drain_limit": 0.5, **options}
    server = Server(call if whole else with_lifespan(call), ServerOptions(**options), on_drain=on_drain)
    sockets = listen("127.0.0.1", 0)
    stopped = asyncio.create_task(server.serve(sockets))
    await asyncio.sleep(0)
    if not kernel_drops:
        sockets[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)
    try:
        yield Serving(server, socket_port(sockets), stopped)
    finally:
        server.stop()
        await within(stopped)


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """An unmasked frame, as a server sends it (RFC 6455, section 5.2)."""
    first = 0x80 | opcode
    if len(payload) < 126:
        return bytes((first, len(payload))) + payload
    if len(payload) < 1 << 16:
        return struct.pack("!BBH", first, 126, len(payload)) + payload
    return struct.pack("!BBQ", first, 127, len(payload)) + payload


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """The same as a client sends it, with the mask zero."""
    plain = frame(payload, opcode)
    head = len(plain) - len(payload)
    return bytes((plain[0], plain[1] | 0x80)) + plain[2:head] + bytes(4) + payload


class Client:
    """A TCP client that reads only when it is told to, and answers nothing by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read_head(self) -> bytes:
        return await within(self.reader.readuntil(b"\r\n\r\n"))

    async def read_frame(self) -> tuple[int, bytes]:
        """Read the next frame, and give its opcode and payload."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            first, size = await self.reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(size)

    async def read_to_end(self) -> bytes:
        """Read until the server closes or resets the connection."""
        received = b""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            with contextlib.suppress(ConnectionResetError):
                while part := await self.reader.read(65536):
                    received += part
        return received

    async def upgrade(self, target: str = "/") -> None:
        """Become a WebSocket."""
        key = base64.b64encode(os.urandom(16)).decode()
        self.send(
            f"GET {target} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert (await self.read_head()).startswith(b"HTTP/1.1 101 ")


@contextlib.asynccontextmanager
async def connected(port: int, *, receive_buffer: int | None = None) -> AsyncIterator[Client]:
    """Connect. A small `receive_buffer`, in bytes, makes a client that stops reading felt at once."""
    plain = socket.socket()
    plain.setblocking(False)
    if receive_buffer is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=4096)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
