"""The composition root: every adapter of the store is named here, in a line."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import perf_counter

from core.hub import Hub
from core.kernel.ids import new_id
from core.live.sessions import Sessions
from core.ports.coordination import Bus, RateLimiter
from core.store.parts import Adapters
from core.store.store import Store
from gateway.broker.bridge import Bridge
from gateway.bus import InProcessBus, RedisBus
from gateway.contracts.documents import DOCUMENTS
from gateway.health import Health
from gateway.images import FileImages
from gateway.observability.access_log import PROBES, AccessLog
from gateway.observability.metrics import Metrics
from gateway.payments import SimulatedProcessor
from gateway.probes import Probes
from gateway.rate_limits import InProcessRateLimiter, RedisRateLimiter
from gateway.router import Front
from gateway.secret import signing_secret
from gateway.security.passwords import Argon2Hasher
from gateway.security.tokens import HmacSigner
from gateway.server.grpc_server import GrpcOptions, GrpcServer
from gateway.server.tcp import TcpServer
from gateway.settings import Settings
from gateway.storage.opening import open_storage
from protocols.graphql.adapter import GraphqlDoor
from protocols.graphql.door import Door as Graphql
from protocols.graphql.pages import GraphqlPages
from protocols.graphql.socket import GraphqlSocket
from protocols.grpc.adapter import GrpcDoor
from protocols.grpc.rpc import Rpc
from protocols.mqtt.adapter import MqttDoor
from protocols.mqtt.connection import Connection as MqttConnection
from protocols.mqtt.server import MqttServer
from protocols.mqtt.socket import MqttSocketDoor
from protocols.rest.adapter import RestDoor
from protocols.rest.pages import Pages
from protocols.socketio.adapter import SocketIoDoor
from protocols.sse.adapter import SseDoor
from protocols.websocket.adapter import WebSocketDoor


@dataclass(frozen=True)
class Node:
    """One running store and what knows about it."""

    settings: Settings
    store: Store
    sessions: Sessions
    bus: Bus
    health: Health
    metrics: Metrics
    mqtt: MqttServer
    bridge: Bridge | None


@contextlib.asynccontextmanager
async def open_node(settings: Settings) -> AsyncIterator[Node]:
    """Put a store together on migrated tables, and take it apart at the end."""
    async with contextlib.AsyncExitStack() as stack:
        storage = open_storage(settings.storage_url)
        stack.push_async_callback(storage.close)
        metrics = Metrics()
        bus: Bus = InProcessBus()
        limiter: RateLimiter = InProcessRateLimiter()
        if settings.redis_url is not None:
            bus = redis_bus = RedisBus(settings.redis_url)
            metrics.observe("bus", lambda: redis_bus.counters)
            limiter = shared = RedisRateLimiter(settings.redis_url)
            stack.push_async_callback(shared.close)
        hasher = Argon2Hasher.insecure() if settings.insecure_password_hash else Argon2Hasher()
        stack.push_async_callback(asyncio.to_thread, hasher.close)
        adapters = Adapters(
            storage=storage,
            limiter=limiter,
            hasher=hasher,
            signer=HmacSigner(signing_secret(settings)),
            images=FileImages(settings.data_dir / "images"),
            processor=SimulatedProcessor(),
        )
        hub = Hub(storage, bus, node=new_id())
        store = Store(adapters, hub, epoch=await storage.epoch(), limits=settings.limits)
        await hub.start()
        stack.push_async_callback(hub.stop)
        stack.push_async_callback(store.finish)

        async def ask_redis() -> None:
            if not bus.healthy:
                raise ConnectionError

        checks = {"database": storage.ping}
        if settings.redis_url is not None:
            checks["redis"] = ask_redis
        bridge = None
        if settings.mqtt_broker is not None:
            bridge = Bridge(store, settings.mqtt_broker)
            checks["mqtt-broker"] = bridge.check
            metrics.observe("broker", bridge.statistics)
        sessions = Sessions(store)
        mqtt = MqttServer(sessions, settings.limits)
        stack.push_async_callback(mqtt.finished)
        yield Node(settings, store, sessions, bus, Health(checks), metrics, mqtt, bridge)


def build_grpc(node: Node, access: AccessLog) -> GrpcServer:
    """The server of the gRPC port; for a running event loop."""
    settings, metrics = node.settings, node.metrics

    def on_end(rpc: Rpc, status: int) -> None:
        seconds, caller = perf_counter() - rpc.started, rpc.caller
        metrics.count("grpc", "RPC", rpc.method, status, None if rpc.streams else seconds)
        if access.takes("grpc", status):
            state = {"request_id": rpc.request_id}
            if caller is not None:
                state |= {"caller": caller.key, "tenant": caller.tenant}
            access.write("grpc", "RPC", rpc.method, status, seconds, state)

    door = GrpcDoor(node.sessions, settings.limits, on_end=on_end, proxies=settings.trusted_proxies)
    options = GrpcOptions(
        certificate=settings.tls_certificate,
        certificate_key=settings.tls_key,
        ping_interval=settings.ping_seconds,
        largest_message=settings.limits.body_bytes,
    )
    server = GrpcServer(door, options, node.health)
    metrics.observe("grpc", server.statistics)
    return server


def build_mqtt(node: Node, access: AccessLog) -> TcpServer:
    """The server of the MQTT ports."""

    def on_end(connection: MqttConnection) -> None:
        seconds, session = perf_counter() - connection.started, connection.session
        node.metrics.count("mqtt", "MQTT", connection.protocol, connection.code, None)
        state = {} if session is None else {"caller": session.caller.key, "tenant": session.caller.tenant}
        access.write("mqtt", "MQTT", connection.protocol, connection.code, seconds, state)

    server = TcpServer(MqttDoor(node.mqtt, on_end).connect, stall_limit=node.settings.stall_seconds)
    node.metrics.observe("mqtt", node.mqtt.statistics)
    node.metrics.observe("mqtt_tcp", server.statistics)
    return server


def build_app(node: Node, access: AccessLog) -> Front:
    """The ASGI application with every door of the HTTP port."""
    store, sessions, limits = node.store, node.sessions, node.settings.limits
    origins = node.settings.allowed_origins
    probes = Probes(node.health, node.metrics)
    graphql, graphql_pages = Graphql(sessions, limits), GraphqlPages()
    # Workers take turns at one port, so that a session's polls would come to any of them.
    socketio = SocketIoDoor(sessions, limits, origins=origins, polling=node.settings.workers == 1)
    front = Front(
        rest=RestDoor(store, Pages(DOCUMENTS), origins=origins),
        paths={
            "/v1/events": ("sse", SseDoor(sessions, limits, origins=origins)),
            "/v1/graphql": ("graphql", GraphqlDoor(graphql, origins=origins)),
            **dict.fromkeys(graphql_pages.paths, ("graphql", graphql_pages)),
            **dict.fromkeys(SocketIoDoor.paths, ("socketio", socketio)),
            **dict.fromkeys(Probes.paths, (PROBES, probes)),
        },
        sockets={
            "/v1/ws/events": ("websocket", WebSocketDoor(sessions, limits, chat=False)),
            "/v1/ws/chat": ("websocket", WebSocketDoor(sessions, limits, chat=True)),
            "/v1/graphql": ("graphql", GraphqlSocket(graphql)),
            **dict.fromkeys(SocketIoDoor.paths, ("socketio", socketio)),
            "/mqtt": ("mqtt", MqttSocketDoor(node.mqtt)),
        },
        metrics=node.metrics,
        access=access,
    )
    node.metrics.observe("hub", store.hub.statistics)
    node.metrics.observe("cache", store.cache.statistics)
    node.metrics.observe("socketio", socketio.statistics)
    node.metrics.observe("graphql", graphql.sharing.statistics)
    node.metrics.observe_by("open", "Requests and live connections served now.", "door", lambda: front.open)
    node.metrics.observe_by("up", "Whether a part is well.", "part", lambda: {"bus": node.bus.healthy})
    return front
