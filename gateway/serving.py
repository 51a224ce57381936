"""One process that serves: from its sockets to its drain."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from core.kernel.errors import Close, CloseReason
from gateway.app import build_app, build_grpc, build_mqtt
from gateway.demo import open_demo
from gateway.garbage import sparing_what_stays
from gateway.maintenance import LogStatistics, maintain, repeat
from gateway.node import Node, open_node
from gateway.observability.access_log import AccessLog
from gateway.secret import renew_keys
from gateway.security.remote_keys import REFRESH_SECONDS
from gateway.security.tokens import KeySigner
from gateway.server.grpc_server import GrpcServer, reserve
from gateway.server.listening import ListenAddress, listen, socket_port
from gateway.server.server import Server, ServerOptions, stopped_by_signals
from gateway.server.tcp import TcpServer
from gateway.settings import Settings
from gateway.startup_errors import CannotStart

log = logging.getLogger(__name__)

#: Streams that are ended in a second, which is how fast their clients reach other nodes.
_FAREWELLS_PER_SECOND = 1000
#: How late the clients of logins that have ended are told so where the clock was set.
_CLOCK_WATCH_SECONDS = 1.0
#: How often MQTT sessions are saved: what a crash may repeat to their clients.
_SESSION_SAVE_SECONDS = 2.0
#: How often the files with signing keys are read again.
_KEY_READ_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class BoundPorts:
    """The ports of this process and its workers, taken before anything else is opened.

    ``sockets`` listen for HTTP; ``grpc_hold`` keeps the gRPC port, on which each server listens by itself.
    MQTT with TLS has a port only where there is a certificate.
    """

    http: ListenAddress
    sockets: list[socket.socket]
    grpc: ListenAddress
    grpc_hold: socket.socket
    mqtt: ListenAddress
    mqtt_sockets: list[socket.socket]
    mqtts: ListenAddress | None
    mqtts_sockets: list[socket.socket]


def bind(settings: Settings) -> BoundPorts:
    """Take every port.

    Raises:
        CannotStart: one is taken, the address is not ours, or the TLS files are no good.
    """
    tls = settings.tls_certificate is not None and settings.tls_key is not None
    if tls:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                str(settings.tls_certificate), str(settings.tls_key)
            )
        except OSError as error:
            raise CannotStart(f"PETSTORE_TLS_CERTIFICATE and PETSTORE_TLS_KEY: {error}") from None
    sockets = _listen(settings, "port")
    mqtt_sockets = _listen(settings, "mqtt_port")
    mqtts_sockets = _listen(settings, "mqtt_tls_port") if tls else []
    try:
        grpc_hold, grpc_port = reserve(settings.host, settings.grpc_port)
    except OSError as error:
        raise CannotStart(f"{error.strerror} (PETSTORE_HOST, PETSTORE_GRPC_PORT)") from None
    return BoundPorts(
        http=ListenAddress(settings.host, socket_port(sockets), tls),
        sockets=sockets,
        grpc=ListenAddress(settings.host, grpc_port, tls),
        grpc_hold=grpc_hold,
        mqtt=ListenAddress(settings.host, socket_port(mqtt_sockets), tls=False),
        mqtt_sockets=mqtt_sockets,
        mqtts=ListenAddress(settings.host, socket_port(mqtts_sockets), tls=True) if mqtts_sockets else None,
        mqtts_sockets=mqtts_sockets,
    )


def _listen(settings: Settings, name: str) -> list[socket.socket]:
    try:
        return listen(settings.host, getattr(settings, name))
    except OSError as error:
        raise CannotStart(f"{error.strerror} (PETSTORE_HOST, PETSTORE_{name.upper()})") from None


async def serve(
    settings: Settings, ports: BoundPorts, access: AccessLog, announce: Callable[[], None]
) -> None:
    """Serve on migrated tables until a signal says to stop, then drain.

    ``announce`` is called when clients may come.
    """
    async with open_node(settings, listening_at=ports.http.url()) as node:
        if settings.demo:
            await open_demo(node.store)
        grpc = build_grpc(node, access)
        mqtt = build_mqtt(node, access)
        server = Server(
            build_app(node, access), _options(settings), on_drain=lambda: _drain(node, grpc, mqtt)
        )
        node.metrics.observe("server", server.statistics)
        async with (
            _maintained(node),
            _listening(grpc, ports.grpc),
            mqtt.serving(ports.mqtt_sockets, ports.mqtts_sockets, _tls(settings)),
        ):
            for name in ("http", "grpc", "mqtt", "mqtts"):
                if (address := getattr(ports, name)) is not None:
                    node.health.doors[name] = f"{address.host}:{address.port}"
            with stopped_by_signals(Stop(node, server)), sparing_what_stays():
                announce()
                await server.serve(ports.sockets)


class Stop:
    """Called at each signal: first be unready for a while, so that proxies look elsewhere; then drain; then cut off."""

    def __init__(self, node: Node, server: Server) -> None:
        self._node = node
        self._server = server

    def __call__(self) -> None:
        """Go one step on."""
        health, notice = self._node.health, self._node.settings.drain_notice_seconds
        if health.draining or not notice:
            self._server.stop()
        else:
            asyncio.get_running_loop().call_later(notice, self._end_notice)
        health.draining = True

    def _end_notice(self) -> None:
        if not self._server.should_exit:
            self._server.stop()


async def _drain(node: Node, grpc: GrpcServer, mqtt: TcpServer) -> None:
    """Take no more work, end every stream with its last cursor, and wait for what other ports serve."""
    mqtt.stop_accepting()
    log.info("draining", extra={"sessions": len(node.sessions)})
    await grpc.refuse_work()
    node.store.draining = True
    close = Close(CloseReason.DRAINING, "This node is shutting down: come back and resume.")
    count = len(node.sessions)
    spread = min(count / _FAREWELLS_PER_SECOND, node.settings.drain_seconds / 2)
    node.sessions.close_all(close, spread=spread if count > 1 else 0.0)
    leaving = [node.webhooks.stop(), node.advised_chats.stop()]
    if node.bridge is not None:
        leaving.append(node.bridge.stop())
    await asyncio.gather(grpc.stop(node.settings.drain_seconds), mqtt.emptied(), *leaving)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    return context


@contextlib.asynccontextmanager
async def _listening(grpc: GrpcServer, address: ListenAddress) -> AsyncIterator[None]:
    await grpc.start(address.host, address.port)
    try:
        yield
    finally:
        await grpc.stop(0)


@contextlib.asynccontextmanager
async def _maintained(node: Node) -> AsyncIterator[None]:
    figures, swept = LogStatistics(), Counter[str]()
    node.metrics.count_by("swept", "What was removed since nobody needs it.", "what", lambda: swept)
    node.metrics.observe("log", lambda: figures)
    consumers = [node.webhooks.consumer.name]
    if node.bridge is not None:
        consumers.append(node.bridge.consumer.name)
    node.webhooks.start()
    node.advised_chats.start()
    async with asyncio.TaskGroup() as group:
        chores = [
            group.create_task(
                maintain(node.store, node.settings, consumers=consumers, figures=figures, swept=swept),
                name="maintenance",
            ),
            group.create_task(
                repeat("keeping MQTT sessions", node.mqtt.session_keeper.save_changes, _SESSION_SAVE_SECONDS),
                name="MQTT sessions",
            ),
            group.create_task(
                repeat("watching the clock", node.sessions.watch_clock, _CLOCK_WATCH_SECONDS), name="clock"
            ),
        ]
        chores += [
            group.create_task(
                repeat(f"reading the keys of {issuer}", keys.refresh, REFRESH_SECONDS), name=issuer
            )
            for issuer, keys in ({} if node.issuers is None else node.issuers.keys).items()
        ]
        if isinstance(signer := node.signer, KeySigner):
            chores.append(
                group.create_task(
                    repeat(
                        "reading the signing keys",
                        lambda: renew_keys(node.settings, signer),
                        _KEY_READ_SECONDS,
                    ),
                    name="signing keys",
                )
            )
        if node.bridge is not None:
            node.bridge.start()
        try:
            yield
        finally:
            await node.webhooks.stop()
            await node.advised_chats.stop()
            if node.bridge is not None:
                await node.bridge.stop()
            for chore in chores:
                chore.cancel()


def _options(settings: Settings) -> ServerOptions:
    return ServerOptions(
        certificate=settings.tls_certificate,
        certificate_key=settings.tls_key,
        trusted_proxies=settings.trusted_proxies,
        most_of_network=settings.limits.network_sockets if settings.rate_limit else 0,
        drain_limit=settings.drain_seconds,
        stall_limit=settings.stall_seconds,
        ping_interval=settings.ping_seconds,
        max_message_bytes=settings.frame_bytes,
    )
