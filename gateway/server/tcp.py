"""Plain TCP and TLS for doors that are no HTTP: the sockets' side, without a word of any protocol."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol, cast

from core.kernel.addresses import TrustedProxies
from gateway.server.open_connections import OpenConnections
from gateway.server.progress import PeerProgress
from gateway.server.proxy_protocol import ProxiedListener

log = logging.getLogger(__name__)

#: Checks per stall limit, so that a peer is dropped at most an eighth of it late.
_CHECKS_PER_LIMIT = 8
#: Silence after which the kernel asks whether a peer is still there.
_KEEPALIVE_IDLE_SECONDS = 60
#: How long a connection that was closed still reads.
_LINGER_SECONDS = 1.0
#: Time between two checks whether all connections have ended.
_POLL_SECONDS = 0.02
#: How long a connection may take to end when it is dropped.
_FLUSH_SECONDS = 1.0


class Receiver(Protocol):
    """What takes the bytes of one connection."""

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""

    def ended(self) -> None:
        """The connection is no more; nothing else comes."""


@dataclass(frozen=True, slots=True)
class TcpStatistics:
    """Open connections now, those dropped so far for reading nothing, and those refused since their network has too
    many."""

    connections: int
    stalled: int
    refused: int


class TcpConnection(asyncio.Protocol):
    """One connection, as the port `core.live.connection.ClientConnection` has it, with an end in order and pauses."""

    def __init__(self, server: "TcpServer", client: str | None = None) -> None:
        self.on_writable: Callable[[], None] | None = None
        self._server = server
        self._client = client
        self._transport: asyncio.Transport
        self._progress: PeerProgress
        self._receiver: Receiver
        self._paused = False
        self._ended = False
        self._changed: asyncio.Future[None] | None = None
        self._linger: asyncio.TimerHandle | None = None

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._progress = PeerProgress(self._transport)
        if self._client is None:
            peer = transport.get_extra_info("peername")
            self._client = str(peer[0]) if peer else "unknown"
        self._server.connections.add(self)
        if not self._server.open.admits(transport, self._client):
            self._transport.abort()
        self._receiver = self._server.connect(self, self._client)

    def data_received(self, data: bytes) -> None:
        """Hand on what came."""
        if self._linger is None:
            self._receiver.data_received(data)

    def pause_writing(self) -> None:
        """More waits for the peer than should."""
        self._paused = True

    def resume_writing(self) -> None:
        """The peer has read enough."""
        self._paused = False
        self._tell()
        if self.on_writable is not None and not self._ended:
            self.on_writable()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """End."""
        self._ended = True
        if self._linger is not None:
            self._linger.cancel()
        self._server.connections.discard(self)
        self._tell()
        self._receiver.ended()

    def _tell(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    # --- for the door ---

    @property
    def writable(self) -> bool:
        """Whether less waits for the peer than should."""
        return not self._paused and not self._ended

    def write(self, data: bytes) -> None:
        """Hand over data, behind all that was written before; nothing happens once the connection is closing."""
        if self._linger is None and not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until ``writable``; ConnectionResetError when the connection has ended instead."""
        while not self.writable:
            if self._ended:
                raise ConnectionResetError("the connection has ended")
            if self._changed is None or self._changed.done():
                self._changed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._changed)

    def close(self) -> None:
        """End the connection behind what was written.

        What still comes is read for a while and not looked at: closing a socket with unread data resets the
        connection, and a reset takes the farewell away from a peer that is still sending.
        """
        if self._linger is not None or self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._transport.resume_reading()
            self._linger = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.close)
        else:  # TLS has an end of its own.
            self._transport.close()

    def abort(self) -> None:
        """Drop the connection and its unsent data now."""
        self._transport.abort()

    def pause_reading(self) -> None:
        """Take nothing more for now."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on; nothing happens if nothing was paused."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def stalled_for(self) -> float:
        """Seconds for which the peer has taken nothing though data waits for it."""
        return self._progress.stalled_for()


def _enable_keepalive(listener: socket.socket, limit: float) -> None:
    """Let the kernel drop peers that have vanished: ``limit`` seconds after they should have said that they are there.

    Nothing else tells of a peer that never sends and to which nothing is sent. The accepted sockets inherit it.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", max(1, int(limit / _CHECKS_PER_LIMIT))),
        ("TCP_USER_TIMEOUT", int(limit * 1000)),
    ):
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class TcpServer:
    """Accepts connections on sockets that already listen, and drops those that stall.

    ``connect`` is called with each connection and its address, and gives what takes its bytes. ``proxies``: peers that
    must name their client by the PROXY protocol. ``most_of_network``: connections that a network may hold; 0 is any
    number.
    """

    def __init__(
        self,
        connect: Callable[[TcpConnection, str], Receiver],
        *,
        stall_limit: float,
        proxies: TrustedProxies | None = None,
        most_of_network: int = 0,
    ) -> None:
        self.connect = connect
        self.open = OpenConnections(most_of_network)
        self.connections: set[TcpConnection] = set()
        self._stall_limit = stall_limit
        self._stalled = 0
        self._proxies = proxies
        self._servers: list[asyncio.Server | ProxiedListener] = []

    def statistics(self) -> TcpStatistics:
        """Count connections."""
        return TcpStatistics(len(self.connections), self._stalled, self.open.refused)

    @contextlib.asynccontextmanager
    async def serving(
        self, plain: list[socket.socket], encrypted: list[socket.socket], tls: ssl.SSLContext | None
    ) -> AsyncIterator[None]:
        """Accept connections while the block runs; at its end whatever is open is dropped."""
        loop = asyncio.get_running_loop()
        check = asyncio.create_task(self._drop_stalled(), name="TCP stall check")
        try:
            for sockets, context in ((plain, None), (encrypted, tls)):
                for listener in sockets:
                    _enable_keepalive(listener, self._stall_limit)
                    self._servers.append(
                        await loop.create_server(lambda: TcpConnection(self), sock=listener, ssl=context)
                        if self._proxies is None
                        else ProxiedListener(
                            listener, self._proxies, lambda client: TcpConnection(self, client), context
                        )
                    )
            yield
        finally:
            check.cancel()
            self.stop_accepting()
            for connection in list(self.connections):
                connection.abort()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self.emptied()

    async def _drop_stalled(self) -> None:
        """Drop the connections whose peers read nothing; how long they may be silent is for the door to say."""
        while True:
            await asyncio.sleep(self._stall_limit / _CHECKS_PER_LIMIT)
            for connection in list(self.connections):
                if connection.stalled_for() >= self._stall_limit:
                    self._stalled += 1
                    log.info("dropped a connection: its peer read nothing for %g s", self._stall_limit)
                    connection.abort()

    def stop_accepting(self) -> None:
        """Accept no more connections."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def emptied(self) -> None:
        """Wait until every connection has ended."""
        while self.connections:  # noqa: ASYNC110 - for the end of a process; no connection need tell anybody
            await asyncio.sleep(_POLL_SECONDS)
