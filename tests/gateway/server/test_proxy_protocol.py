"""Who connects through a proxy that speaks the PROXY protocol is known by their own address, under TLS too."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.kernel.addresses import TrustedProxies
from gateway.server import proxy_protocol
from gateway.server.listening import listen, socket_port
from gateway.server.proxy_protocol import SIGNATURE
from gateway.server.tcp import Receiver, TcpConnection, TcpServer
from tests.gateway.server.test_tls import certificate
from tests.waiting import eventually, within

IPV4 = socket.inet_aton("192.0.2.7") + socket.inet_aton("10.0.0.1") + b"\x12\x34\x07\x5b"


def ipv6(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, address) * 2 + b"\x12\x34\x07\x5b"


def header(content: bytes = IPV4, *, command: int = 0x21, protocol: int = 0x11) -> bytes:
    return SIGNATURE + bytes((command, protocol)) + len(content).to_bytes(2) + content


@dataclass
class Echo:
    """What takes the bytes of one connection: they go back behind the address it came from."""

    connection: TcpConnection
    address: str

    def data_received(self, data: bytes) -> None:
        self.connection.write(f"{self.address}|".encode() + data)

    def ended(self) -> None:
        """Nothing is left to do."""


@dataclass
class Running:
    port: int
    server: TcpServer
    trust: ssl.SSLContext | None
    met: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def client(
        self, source: str = "127.0.0.1"
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def ask(self, first: bytes, source: str = "127.0.0.1") -> bytes:
        """The answer to ``ping`` behind some first bytes."""
        async with self.client(source) as (reader, writer):
            writer.write(first)
            if self.trust is None:
                writer.write(b"ping")
            else:
                await writer.start_tls(self.trust, server_hostname="127.0.0.1")
                writer.write(b"ping")
            return await within(reader.readuntil(b"ping"))


@contextlib.asynccontextmanager
async def running(tls: Path | None = None) -> AsyncIterator[Running]:
    """A server that trusts 127.0.0.1 alone."""
    sockets, context, trust = listen("127.0.0.1", 0), None, None
    if tls is not None:
        file, key = certificate(tls)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file, key)
        trust = ssl.create_default_context(cafile=file)

    def connect(connection: TcpConnection, address: str) -> Receiver:
        made.met.append(address)
        return Echo(connection, address)

    server = TcpServer(connect, stall_limit=30, proxies=TrustedProxies(("127.0.0.1",)))
    made = Running(socket_port(sockets), server, trust)
    plain, encrypted = (sockets, []) if context is None else ([], sockets)
    async with server.serving(plain, encrypted, context):
        yield made


@pytest.mark.parametrize(
    ("first", "address"),
    [
        (header(), "192.0.2.7"),
        (header(IPV4 + b"\x04\x00\x02xx" + b"\xea\x00\x01y"), "192.0.2.7"),
        (header(ipv6("2001:db8::7"), protocol=0x21), "2001:db8::7"),
        (header(ipv6("::ffff:192.0.2.7"), protocol=0x21), "192.0.2.7"),
        (header(b"", command=0x20, protocol=0), "127.0.0.1"),
        (header(IPV4, command=0x20), "127.0.0.1"),
        (header(b"any", protocol=0), "127.0.0.1"),
        (header(IPV4, protocol=0x12), "127.0.0.1"),
        (header(bytes(216), protocol=0x31), "127.0.0.1"),
    ],
    ids=[
        "TCP4", "more beside it", "TCP6", "TCP4 within TCP6", "LOCAL", "LOCAL with addresses", "UNSPEC", "UDP4",
        "UNIX",
    ],
)  # fmt: skip
async def test_a_trusted_proxy_names_its_client(first: bytes, address: str) -> None:
    async with running() as server:
        assert await server.ask(first) == f"{address}|ping".encode()


async def test_the_header_comes_before_tls(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        assert await server.ask(header()) == b"192.0.2.7|ping"
        assert await server.ask(b"", source="127.0.0.9") == b"127.0.0.9|ping"
        async with server.client() as (reader, writer):
            writer.write(header() + b"no TLS")
            await within(reader.read())
        await eventually(lambda: not server.server.connections)


async def test_nobody_else_names_a_client() -> None:
    async with running() as server:
        answer = await server.ask(header(), source="127.0.0.9")
    assert answer == b"127.0.0.9|" + header() + b"ping"


async def test_a_header_may_come_in_pieces_and_takes_nothing_of_what_follows() -> None:
    async with running() as server, server.client() as (reader, writer):
        for byte in header():
            writer.write(bytes((byte,)))
            await writer.drain()
        assert server.met == []
        writer.write(b"pong")
        assert await within(reader.readexactly(14)) == b"192.0.2.7|pong"


@pytest.mark.parametrize(
    "first",
    [
        b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 1883\r\n",
        header(command=0x11),
        header(command=0x22),
        header(protocol=0x41),
        header(protocol=0x13),
        header(IPV4[:-1]),
        header(IPV4, protocol=0x21),
        header(bytes(0xFFFF)),
    ],
    ids=[
        "none", "version 1", "another version", "no such command", "no such family", "no such transport", "short",
        "short for its family", "long",
    ],
)  # fmt: skip
async def test_what_is_no_header_ends_the_connection_with_one_line_in_the_log(
    first: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as server:
        async with server.client() as (reader, writer):
            writer.write(first.ljust(16))
            with contextlib.suppress(ConnectionResetError):
                assert await within(reader.read()) == b""
        assert server.met == []
        assert await server.ask(header()) == b"192.0.2.7|ping"
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("dropped a connection of the proxy 127.0.0.1: ")


async def test_half_a_header_is_not_waited_for(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as server:
        async with server.client() as (reader, writer):
            writer.write(header()[:20])
            writer.write_eof()
            assert await within(reader.read()) == b""
        monkeypatch.setattr(proxy_protocol, "_HEADER_SECONDS", 0.05)
        async with server.client() as (reader, writer):
            writer.write(header()[:-1])
            assert await within(reader.read()) == b""
        assert server.met == []
    lines = [record.getMessage().rpartition(": ")[2] for record in caplog.records]
    assert lines == ["the end within a PROXY protocol header", "no whole header within 0.05 s"]


async def test_who_looks_whether_the_port_is_open_leaves_no_line(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as server, server.client() as (reader, writer):
        writer.write_eof()
        assert await within(reader.read()) == b""
    assert not caplog.records


async def test_a_server_that_stops_lets_nobody_else_in_and_waits_for_no_header() -> None:
    async with running() as server, server.client() as (reader, writer):
        writer.write(header()[:8])
        assert await server.ask(header()) == b"192.0.2.7|ping"
        server.server.stop_accepting()
        assert await within(reader.read()) == b""

        async def refused() -> bool:
            try:
                async with server.client():
                    return False
            except ConnectionRefusedError:
                return True

        await eventually(refused)
