"""The servers that are measured, and how their clients subscribe."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from benchmarks.machine import NODE, client, nats_server
from benchmarks.machine import mosquitto as mosquitto_program
from benchmarks.process import Launch, free_port


@dataclass(frozen=True)
class Contender:
    """One server in the fan-out, through one of its doors. `subscribe` are options of client/subscribers.c."""

    name: str
    launch: Launch
    protocol: str
    subscribe: Mapping[str, str | float] = field(default_factory=dict)
    publishes: bool = True
    """Whether the server makes the messages itself; nats-server gets them from the client."""


def _python(module: str, *arguments: str) -> tuple[str | Path, ...]:
    return (sys.executable, "-m", f"benchmarks.{module}", *arguments)


def node(*arguments: str) -> Launch:
    """The Node broadcaster."""
    return Launch(("node", NODE / "broadcast.mjs", *arguments))


def node_socketio() -> Launch:
    """Node's Socket.IO server."""
    return Launch(("node", NODE / "broadcast_socketio.mjs"))


def nats() -> Launch:
    """nats-server with its defaults."""
    port = free_port()
    return Launch((nats_server(), "--addr", "127.0.0.1", "--port", str(port)), port=port)


def starlette() -> Launch:
    """Starlette with a queue for each client."""
    return Launch(_python("peers.broadcast_starlette"))


def sink(protocol: str, burst: int) -> Launch:
    """The server that only writes, in blocks of so many messages."""
    return Launch((client("sink"), "--protocol", protocol, "--burst", str(burst)))


def reads_starlette(body: Path) -> Launch:
    """Bare Starlette that answers with the file's bytes."""
    return Launch(_python("peers.reads_starlette", str(body)))


def reads_fastapi(body: Path) -> Launch:
    """FastAPI that answers with the file's pet."""
    return Launch(_python("peers.reads_fastapi", str(body)))


def gateway(data: Path) -> Launch:
    """The gateway with embedded parts and the demo store, its data in an empty folder.

    The rate limiter runs, with a budget that nobody uses up; requests are not logged, as on the peers.
    """
    environment = {
        "PETSTORE_DATA_DIR": str(data),
        "PETSTORE_DEMO": "true",
        "PETSTORE_RATE_LIMIT": "1000000000",
        "PETSTORE_CONNECTIONS_PER_CALLER": "1000000",
        "PETSTORE_NETWORK_CONNECTIONS": "0",
        "PETSTORE_LOG_LEVEL": "WARNING",
    }
    return Launch(_python("gateway_server"), environment)


def gateway_mqtt(data: Path) -> Launch:
    """The same gateway, reached on its MQTT port."""
    launch = gateway(data)
    return Launch((*launch.command, "--mqtt"), launch.environment)


def gateway_webhooks(data: Path) -> Launch:
    """The same gateway, which delivers to webhooks on this machine."""
    launch = gateway(data)
    allowed = {"PETSTORE_ALLOW_PRIVATE_WEBHOOKS": "true", "PETSTORE_NETWORK_REGISTRATIONS": "0"}
    return Launch((*launch.command, "--webhooks"), {**launch.environment, **allowed})


def webhooks_httpx(port: int, endpoints: int, body: Path) -> Launch:
    """The httpx loop, which posts the file's bytes."""
    return Launch(_python("peers.webhooks_httpx", str(port), str(endpoints), str(body)))


def gateway_grpc(data: Path) -> Launch:
    """The same gateway, reached on its gRPC port."""
    launch = gateway(data)
    return Launch((*launch.command, "--grpc"), launch.environment)


def grpc_aio(pet: Path) -> Launch:
    """Bare grpc.aio that answers with the file's bytes."""
    return Launch(_python("peers.grpc_aio", str(pet)))


def mosquitto(folder: Path) -> Launch:
    """Mosquitto as Debian has it: nothing on disk, nothing dropped because a client is behind, no log."""
    port = free_port()
    settings = (
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "persistence false",
        "max_queued_messages 0",
        "max_inflight_messages 0",
        "log_dest none",
        "set_tcp_nodelay true",
        "user root",
    )
    configuration = folder / "mosquitto.conf"
    configuration.write_text("\n".join(settings) + "\n")
    return Launch((mosquitto_program(), "-c", configuration), port=port)


def strawberry(pet: Path, *arguments: str) -> Launch:
    """Strawberry as it comes, on uvicorn; its pet is the file's."""
    return Launch(_python("peers.graphql_strawberry", str(pet), *arguments))


def sse_starlette(chunks: Path) -> Launch:
    """sse-starlette that streams the file's chunks to whoever asks for a completion."""
    return Launch(_python("peers.completions_sse_starlette", str(chunks)))


def mcp_sdk() -> Launch:
    """The official MCP SDK with a tool that gives back what it gets."""
    return Launch(_python("peers.mcp_echo"))


EVENTS_PATH = "/v1/ws/events"
STREAM_PATH = "/v1/events"


def subscribe_ws(topic: str) -> dict[str, str]:
    """Options for subscribers on the gateway's WebSocket door; they are ready when the subscription is acknowledged."""
    request = json.dumps({"type": "subscribe", "id": "1", "data": {"topics": [topic]}})
    return {"path": EVENTS_PATH, "send": request, "ready": '"type":"ack"'}


def subscribe_sse(topic: str) -> dict[str, str]:
    """Options for subscribers on the gateway's SSE door; they are ready when the first cursor arrives."""
    return {"path": f"{STREAM_PATH}?topics={quote(topic, safe='/')}", "ready": "id:"}


def subscribe_socketio(topic: str | None = None) -> dict[str, str]:
    """Options for Socket.IO clients; they are ready when they are connected, to the topic if one is given."""
    handshake = "40" if topic is None else "40" + json.dumps({"topics": [topic]})
    return {
        "path": "/socket.io/?EIO=4&transport=websocket",
        "send": handshake,
        "ready": '40{"sid"' if topic is None else '["connected"',
    }


GRAPHQL_PATH = "/v1/graphql"


def subscribe_graphql(topic: str) -> dict[str, str]:
    """Options for subscribers that speak graphql-transport-ws; they are ready when a ping behind it all is answered."""
    query = "subscription($t: [String!]!) { events(topics: $t) { id eventType timestamp topic cursor data } }"
    messages: list[dict[str, object]] = [
        {"type": "connection_init"},
        {"type": "subscribe", "id": "1", "payload": {"query": query, "variables": {"t": [topic]}}},
        {"type": "ping"},
    ]
    return {
        "path": GRAPHQL_PATH,
        "header": "Sec-WebSocket-Protocol: graphql-transport-ws",
        "send": "\n".join(json.dumps(message) for message in messages),
        "ready": "pong",
    }
