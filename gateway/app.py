"""The composition root: every door is named here, in a line. What they stand on is put together in `gateway.node`."""

from core.kernel.addresses import TrustedProxies
from gateway.contracts.documents import DOCUMENTS, classic_documents
from gateway.demo import APPLICATION_ID
from gateway.node import Node
from gateway.observability.access_log import PROBES, AccessLog
from gateway.observability.calls import CallRecorder
from gateway.probes import Probes
from gateway.router import Mount, Router
from gateway.server.grpc_server import GrpcOptions, GrpcServer
from gateway.server.tcp import TcpServer
from gateway.well_known import WellKnown
from protocols.advisor.adapter import AdvisorDoor
from protocols.classic.adapter import ClassicDoor
from protocols.graphql.adapter import GraphqlDoor
from protocols.graphql.door import Door as Graphql
from protocols.graphql.schema import schema_text
from protocols.graphql.socket import GraphqlSocket
from protocols.grpc.adapter import GrpcDoor
from protocols.grpc.archive import proto_archive
from protocols.http.cors import Cors
from protocols.http.downloads import Download
from protocols.http.no_door import WebSocketsOnly
from protocols.http.pages import Assets, Page, console
from protocols.mcp.adapter import McpDoor
from protocols.mqtt.adapter import MqttDoor
from protocols.mqtt.socket import MqttSocketDoor
from protocols.oauth.adapter import OauthDoor
from protocols.rest.adapter import RestDoor
from protocols.rest.pages import Pages
from protocols.socketio.adapter import SocketIoDoor
from protocols.sse.adapter import SseDoor
from protocols.websocket.adapter import WebSocketDoor


def build_app(node: Node, access: AccessLog) -> Router:
    """The ASGI application with every door of the HTTP port."""
    settings, store, sessions, metrics = node.settings, node.store, node.sessions, node.metrics
    limits, origins = settings.limits, settings.allowed_origins
    graphql = Graphql(sessions, limits)
    assets = Assets()
    sdl = Download(
        "/v1/schema.graphql", b"text/plain; charset=utf-8", lambda: schema_text().encode(), origins=origins
    )
    proto = Download("/v1/proto.zip", b"application/zip", proto_archive, origins=origins)
    # Workers take turns at one port, so that a session's polls would come to any of them.
    socketio = SocketIoDoor(sessions, limits, origins=origins, polling=settings.workers == 1)
    issuers = [trusted.issuer for trusted in settings.issuers]
    well_known = WellKnown(
        node.signer, store.public_url, issuers, parts=dict.fromkeys(McpDoor.paths, McpDoor.scopes)
    )
    probes = Probes(node.health, metrics, origins=origins, token=settings.metrics_token)
    oauth = OauthDoor(store, registration=settings.oauth_registration, origins=origins)
    advisor = Mount("advisor", AdvisorDoor(sessions, origins=origins))
    paths = {
        **dict.fromkeys(AdvisorDoor.paths, advisor),
        "/v1/events": Mount("sse", SseDoor(sessions, limits, origins=origins), lasting=True),
        "/v1/graphql": Mount("graphql", GraphqlDoor(graphql, origins=origins)),
        sdl.path: Mount("graphql", sdl),
        proto.path: Mount("grpc", proto),
        "/": Mount("pages", console(demo=settings.demo)),
        "/v1/asyncapi-ui.html": Mount("pages", Page("v1/asyncapi-ui.html")),
        **dict.fromkeys(McpDoor.paths, Mount("mcp", node.mcp)),
        **dict.fromkeys(assets.paths, Mount("pages", assets)),
        **dict.fromkeys(oauth.paths, Mount("oauth", oauth)),
        **dict.fromkeys(SocketIoDoor.paths, Mount("socketio", socketio, lasting=True)),
        **dict.fromkeys(well_known.paths, Mount("well-known", well_known)),
        **dict.fromkeys(Probes.paths, Mount(PROBES, probes)),
    }
    sockets = {
        "/v1/ws/events": Mount("websocket", WebSocketDoor(sessions, limits, chat=False)),
        "/v1/ws/chat": Mount("websocket", WebSocketDoor(sessions, limits, chat=True)),
        "/v1/graphql": Mount("graphql", GraphqlSocket(graphql)),
        **dict.fromkeys(SocketIoDoor.paths, Mount("socketio", socketio)),
        "/mqtt": Mount("mqtt", MqttSocketDoor(node.mqtt)),
    }
    only = WebSocketsOnly(store, origins=origins)
    classic = ClassicDoor(store, classic_documents(store.public_url))
    router = Router(
        Mount(
            "rest",
            RestDoor(
                store, Pages(DOCUMENTS, oauth_client=APPLICATION_ID if settings.demo else ""), origins=origins
            ),
        ),
        paths={path: mount._replace(serve=only) for path, mount in sockets.items()} | paths,
        sockets=sockets,
        trees={
            ClassicDoor.prefix: Mount("classic", classic, refuse=classic.refuse),
            AdvisorDoor.prefix: advisor,
        },
        metrics=metrics,
        access=access,
        slices=store.slices,
        pages=Cors(settings.socket_origins),
        resource_metadata=well_known.metadata_url,
    )
    metrics.observe("hub", store.hub.statistics)
    metrics.observe("cache", store.cache.statistics)
    metrics.observe("socketio", socketio.statistics)
    metrics.observe("graphql", graphql.shared_executions.statistics)
    metrics.observe_by("open", "Requests and live connections served now.", "door", lambda: router.open)
    metrics.observe_by("up", "Whether a part is well.", "part", lambda: {"bus": node.bus.healthy})
    return router


def build_grpc(node: Node, access: AccessLog) -> GrpcServer:
    """The server of the gRPC port; for a running event loop."""
    settings, recorder = node.settings, CallRecorder(node.metrics, access)
    door = GrpcDoor(node.sessions, settings.limits, on_end=recorder.grpc, proxies=settings.trusted_proxies)
    options = GrpcOptions(
        certificate=settings.tls_certificate,
        certificate_key=settings.tls_key,
        ping_interval=settings.ping_seconds,
        max_message_bytes=settings.limits.body_bytes,
    )
    server = GrpcServer(door, options, node.health)
    node.metrics.observe("grpc", server.statistics)
    return server


def build_mqtt(node: Node, access: AccessLog) -> TcpServer:
    """The server of the MQTT ports."""
    settings = node.settings
    door = MqttDoor(node.mqtt, CallRecorder(node.metrics, access).mqtt)
    proxies = TrustedProxies(settings.trusted_proxies) if settings.mqtt_proxy_protocol else None
    server = TcpServer(
        door.connect,
        stall_limit=settings.stall_seconds,
        proxies=proxies,
        most_of_network=settings.limits.network_sockets if settings.rate_limit else 0,
    )
    node.metrics.observe("mqtt", node.mqtt.statistics)
    node.metrics.observe("mqtt_tcp", server.statistics)
    return server
