"""The gRPC port: grpc.aio with health, reflection, limits, and a shutdown of its own."""

import asyncio
import contextlib
import logging
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc import aio
from grpc._cython.cygrpc import ExecuteBatchError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from gateway.health import Health
from gateway.server.grpc_standard import ListedHealth, add_reflection
from gateway.server.listening import listen, socket_port
from protocols.grpc.adapter import GrpcDoor

#: How often a client may ask whether the connection lives; one that asks more often is disconnected.
_MIN_PING_SECONDS = 10.0
_PING_TIMEOUT_SECONDS = 20.0
#: Calls at once on one connection, which may be a proxy's.
_MAX_CALLS = 1000
#: What calls under way get at the end. Not more, since a health watch ends only when its client goes.
_STOP_SECONDS = 2.0
#: Time between two checks whether this node should get work.
_HEALTH_CHECK_SECONDS = 1.0

_GRPC_LOG = logging.getLogger("grpc._cython.cygrpc")

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@dataclass(frozen=True, slots=True)
class GrpcOptions:
    """How connections are served. Times are in seconds, sizes in bytes."""

    #: PEM files; both or neither.
    certificate: Path | None = None
    certificate_key: Path | None = None
    ping_interval: float = 25.0
    max_message_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class GrpcStatistics:
    """Calls that are being served now."""

    calls: int


def reserve(host: str, port: int) -> tuple[socket.socket, int]:
    """Take a port, with port 0 any free one, for servers of this process and its workers: they share it.

    grpc opens its sockets itself, and lets several servers share a port without a word. So whether somebody else has
    it is found out by listening there for a moment. The socket returned holds it and is never listened on.

    Raises:
        OSError: the port is taken or may not be used; the text is one line.
    """
    listeners = listen(host, port)
    number, family, address = socket_port(listeners), listeners[0].family, listeners[0].getsockname()
    for listener in listeners:
        listener.close()
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
    except BaseException:
        held.close()
        raise
    return held, number


class _Unregistered:
    """The server as generated code may see it: methods are looked up when they are called.

    That code also registers each method with the server, which makes every call of any method dearer: grpc.aio then
    has a task for each of them, and looks at all with every call.
    """

    def __init__(self, server: aio.Server) -> None:
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Do nothing."""


class GrpcServer:
    """Serves the door on a port that was reserved, beside the standard services for health and reflection."""

    def __init__(self, door: GrpcDoor, options: GrpcOptions, state: Health) -> None:
        self._door = door
        self._options = options
        self._state = state
        self._services = ("", *door.services)
        self._health = ListedHealth(self._services)
        self._server = aio.server(options=_channel_options(options))
        self._server.add_generic_rpc_handlers((door,))
        _GRPC_LOG.addFilter(_is_news)
        standard: Any = _Unregistered(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, standard)
        add_reflection(self._server, standard, (*door.services, health.SERVICE_NAME))
        self._health_task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Lock()

    async def start(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            RuntimeError: the port cannot be used.
        """
        address = f"[{host}]:{port}" if ":" in host else f"{host or '[::]'}:{port}"
        chain, key = self._options.certificate, self._options.certificate_key
        if chain is None or key is None:
            self._server.add_insecure_port(address)
        else:
            credentials = grpc.ssl_server_credentials([(key.read_bytes(), chain.read_bytes())])
            self._server.add_secure_port(address, credentials)
        await self._set_serving(serving=True)
        await self._server.start()
        self._health_task = asyncio.create_task(self._publish_health(), name="grpc health")

    def statistics(self) -> GrpcStatistics:
        """Count calls."""
        return GrpcStatistics(self._door.open)

    async def refuse_work(self) -> None:
        """Tell whoever asks for this node's health to go elsewhere, for good."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace: float) -> None:
        """Wait for the streams, which must have been told to end, at most for ``grace`` seconds; then close.

        It may be called again, after it was cancelled, too.
        """
        await self.refuse_work()
        if self._health_task is not None:
            self._health_task.cancel()
        # One at a time: a second call of grpc's own stop that runs beside the first one crashes the process.
        async with self._stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._door.streams_ended(), grace)
            await self._server.stop(min(grace, _STOP_SECONDS))

    async def _set_serving(self, *, serving: bool) -> None:
        status = _SERVING if serving else _NOT_SERVING
        for service in self._services:
            await self._health.set(service, status)

    async def _publish_health(self) -> None:
        published = True
        while True:
            await asyncio.sleep(_HEALTH_CHECK_SECONDS)
            serving = (await self._state.readiness()).status == "ready"
            if serving is not published:
                published = serving
                await self._set_serving(serving=serving)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether what grpc logs is more than that a client went while something was being written to it."""
    return record.exc_info is None or not isinstance(record.exc_info[1], ExecuteBatchError)


def _channel_options(options: GrpcOptions) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.max_receive_message_length", options.max_message_bytes),
        ("grpc.max_concurrent_streams", _MAX_CALLS),
        ("grpc.keepalive_time_ms", int(options.ping_interval * 1000)),
        ("grpc.keepalive_timeout_ms", int(_PING_TIMEOUT_SECONDS * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", int(_MIN_PING_SECONDS * 1000)),
        ("grpc.so_reuseport", 1),
    )
