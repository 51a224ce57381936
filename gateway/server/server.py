"""The HTTP and WebSocket server: uvicorn with a shutdown of its own."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Collection, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from core.kernel.addresses import TrustedProxies
from core.kernel.turns import Slices
from gateway.server.forwarded import ForwardedClients
from gateway.server.http_protocol import HttpProtocol
from gateway.server.listening import BACKLOG
from gateway.server.monitor import ConnectionMonitor, MonitoredConnection
from gateway.server.open_connections import OpenConnections
from gateway.server.websocket_protocol import WebSocketProtocol

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.02

#: How long a step of the cut after the drain may take.
_FLUSH_SECONDS = 1.0
_CLEANUP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How connections are served. Times are in seconds, sizes in bytes."""

    #: PEM files; both or neither.
    certificate: Path | None = None
    certificate_key: Path | None = None
    #: Addresses or networks whose ``X-Forwarded-For`` is believed.
    trusted_proxies: tuple[str, ...] = ()
    #: Connections that a network may hold, trusted proxies aside; 0 is any number.
    most_of_network: int = 0
    #: From the signal to stop until what is left is cut off.
    drain_limit: float = 25.0
    #: How long a peer may read nothing while data waits for it.
    stall_limit: float = 30.0
    #: How long a request head may take, and each part of a body.
    silence_limit: float = 30.0
    #: How long an idle connection is kept; longer than proxies keep theirs.
    keep_alive: float = 75.0
    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    #: A WebSocket message of a client; a larger one ends the connection with 1009.
    max_message_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """Open connections now, and those dropped so far for reading nothing or for not finishing a request; those refused
    since their network has too many."""

    connections: int
    stalled: int
    silent: int
    refused: int


@contextlib.contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at each SIGTERM and SIGINT while the block runs; for the loop of the main thread."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


class Server(uvicorn.Server):
    """Serves one ASGI application on sockets that already listen.

    `on_drain` is awaited once when the server stops, after the last connection was accepted: it ends the
    streams, each with its farewell. What is open when it and `ServerOptions.drain_limit` are over is cut off.

    uvicorn's own ending is replaced, not configured, because it waits for endless streams before it tells
    anybody, closes WebSockets all at once, shuts the application down while cancelled requests still run,
    cannot be rid of a peer that reads nothing, and raises the signal again, so that nothing after `serve`
    would run.
    """

    def __init__(
        self, app: ASGIApp, options: ServerOptions, *, on_drain: Callable[[], Awaitable[None]]
    ) -> None:
        self._open = OpenConnections(options.most_of_network, TrustedProxies(options.trusted_proxies))
        super().__init__(_config(app, options, self._open))
        self._options = options
        self._on_drain = on_drain
        self._hurry = asyncio.Event()
        connections = cast("set[MonitoredConnection]", self.server_state.connections)
        self._monitor = ConnectionMonitor(
            connections,
            stall_limit=options.stall_limit,
            silence_limit=options.silence_limit,
            idle_limit=options.keep_alive,
        )

    def statistics(self) -> ServerStatistics:
        """Count connections."""
        return ServerStatistics(
            len(self.server_state.connections),
            self._monitor.stalled,
            self._monitor.silent,
            self._open.refused,
        )

    def stop(self) -> None:
        """Begin to drain; called again, cut everything off."""
        if self.should_exit:
            self._hurry.set()
        self.should_exit = True

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on `sockets` until `stop`, then drain and return. Signals are the caller's business.

        Cancelled, it drops everything at once. The sockets are closed in any case. RuntimeError when the
        application's lifespan fails to start.
        """
        if not sockets:
            raise ValueError("no sockets to serve on")
        for listener in sockets:
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # Inherited by the accepted sockets.
                limit = int(self._options.stall_limit * 1000)
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit)
        monitoring = asyncio.create_task(self._monitor.run(), name="connection monitor")
        try:
            await super().serve(sockets)
        except SystemExit as error:
            # uvicorn's way to say it; the cause is in the log.
            raise RuntimeError("the application failed to start") from error
        finally:
            monitoring.cancel()
            for server in getattr(self, "servers", []):  # Not there before the start.
                server.close()
            for listener in sockets:
                listener.close()
            for connection in list(self.server_state.connections):
                cast(MonitoredConnection, connection).abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, drain, cut off what is left, and only then shut the application down."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            if isinstance(connection, HttpProtocol):
                connection.shutdown()  # Ends idle connections; a busy one becomes its response's last.
        drain = asyncio.create_task(self._drain())
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait(
            (drain, hurry), timeout=self._options.drain_limit, return_when=asyncio.FIRST_COMPLETED
        )
        drain.cancel()
        hurry.cancel()
        await asyncio.wait((drain, hurry), timeout=_CLEANUP_SECONDS)
        await self._cut_off()
        try:
            await asyncio.wait_for(self.lifespan.shutdown(), _CLEANUP_SECONDS)
        except TimeoutError:
            logger.error("the application did not shut down within %g s", _CLEANUP_SECONDS)

    async def _drain(self) -> None:
        try:
            await self._on_drain()
        except Exception:  # The application's hook; the server ends all the same.
            logger.exception("draining failed")
        await _emptied(None, self.server_state.connections, self.server_state.tasks)

    async def _cut_off(self) -> None:
        state = self.server_state
        for connection in list(state.connections):
            if isinstance(connection, WebSocketProtocol):
                connection.shutdown()
            else:
                cast(HttpProtocol, connection).abort()
        await _emptied(_FLUSH_SECONDS, state.connections)
        for connection in list(state.connections):
            cast(MonitoredConnection, connection).abort()
        # Its disconnected client ends a call in order; cancelling is for those that do not listen.
        await _emptied(_FLUSH_SECONDS, state.tasks)
        if state.tasks:
            logger.warning("cancelled %d calls that outlived their connections", len(state.tasks))
            with _cancellations_unlogged():
                for task in list(state.tasks):
                    task.cancel()
                await _emptied(_CLEANUP_SECONDS, state.tasks)


@contextlib.contextmanager
def _cancellations_unlogged() -> Iterator[None]:
    """Spare the log one traceback for each call, by which uvicorn reports cancellation as an error."""

    def wanted(record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))

    log = logging.getLogger("uvicorn.error")
    log.addFilter(wanted)
    try:
        yield
    finally:
        log.removeFilter(wanted)


async def _emptied(limit: float | None, *collections: Collection[object]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit):
            while any(collections):  # noqa: ASYNC110 - uvicorn's sets tell nobody when they change
                await asyncio.sleep(_POLL_SECONDS)


def _config(app: ASGIApp, options: ServerOptions, open_connections: OpenConnections) -> uvicorn.Config:
    if options.trusted_proxies:
        app = ForwardedClients(app, TrustedProxies(options.trusted_proxies))
    slices = Slices()
    return uvicorn.Config(
        cast(Any, app),  # Starlette's and uvicorn's types for the same thing do not match.
        http=cast(Any, partial(HttpProtocol, open_connections=open_connections, slices=slices)),
        ws=cast(Any, partial(WebSocketProtocol, slices=slices)),
        interface="asgi3",
        lifespan="on",
        ws_max_size=options.max_message_bytes,
        ws_ping_interval=options.ping_interval,
        ws_ping_timeout=options.ping_timeout,
        ws_per_message_deflate=False,
        # Both logs of uvicorn print query strings, and tokens with them: the access log, and below WARNING
        # the other one as well.
        access_log=False,
        log_config=None,
        log_level=logging.WARNING,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        ssl_certfile=options.certificate,
        ssl_keyfile=options.certificate_key,
    )
