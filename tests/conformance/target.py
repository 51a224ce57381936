"""The gateways that the scenarios run against: one node, two nodes, or one that is there already."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.process import Gateway
from tests.servers import MosquittoServer, PostgresServer, RedisServer, free_port

SECRET = "a secret that only these nodes know"


@dataclass(frozen=True)
class Node:
    """Where a node can be found: ``url`` of its HTTP port, ``grpc`` and ``mqtt`` as host:port.

    ``gateway`` is its process, when it is ours to stop.
    """

    url: str
    grpc: str
    mqtt: str
    gateway: Gateway | None = None


@dataclass(frozen=True)
class Target:
    """The nodes of one store: people come to the first, and others to the last. ``broker`` is fed beside them."""

    name: str
    nodes: tuple[Node, ...]
    broker: str | None = None

    @property
    def first(self) -> Node:
        """Where things are done."""
        return self.nodes[0]

    @property
    def last(self) -> Node:
        """Where they are followed."""
        return self.nodes[-1]

    @property
    def own(self) -> bool:
        """Whether they were started here."""
        return all(node.gateway is not None for node in self.nodes)


def given(url: str, grpc: str | None, mqtt: str | None) -> Target:
    """A gateway that is there already; without more, gRPC and MQTT are at their usual ports of its host."""
    host = urlsplit(url).hostname
    assert host is not None, f"not a base URL: {url}"
    return Target("given", (Node(url.rstrip("/"), grpc or f"{host}:50051", mqtt or f"{host}:1883"),))


@contextlib.contextmanager
def one_node(directory: Path, **settings: str) -> Iterator[Target]:
    """A node on embedded parts."""
    node = _node(directory / "node", jwt_secret=SECRET, **settings)
    assert node.gateway is not None
    with node.gateway:
        yield Target("one-node", (node,))


@contextlib.contextmanager
def two_nodes(directory: Path, database: PostgresServer, **settings: str) -> Iterator[Target]:
    """Two nodes over PostgreSQL, Redis, and an external broker that is fed beside them."""
    name = database.create_database()
    directory.mkdir(parents=True, exist_ok=True)
    with RedisServer(directory) as redis, MosquittoServer(directory) as broker:
        shared = {
            "database_url": database.url(name),
            "redis_url": redis.url,
            "mqtt_broker_url": broker.url,
            "jwt_secret": SECRET,
            "data_dir": str(directory / "shared"),
            **settings,
        }
        nodes = tuple(_node(directory / which, **shared) for which in ("a", "b"))
        gateways = [node.gateway for node in nodes if node.gateway is not None]
        try:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(Gateway.start, gateways))
            yield Target("two-nodes", nodes, broker.url)
        finally:
            for gateway in gateways:
                gateway.stop()
    database.drop_database(name)


def _node(directory: Path, **settings: str) -> Node:
    grpc, mqtt = free_port(), free_port()
    # Readers stand still for as long as a scenario takes, which on a busy machine is long; and a Socket.IO client that
    # reads no ping gives up a little after it was due.
    patient = {"stall_seconds": "600", "ping_seconds": "600"}
    # The endpoints of webhooks are on this machine; and what answers in chats is not a demo alone.
    local = {"allow_private_webhooks": "true", "advisor_in_chats": "true"}
    settings = {"grpc_port": str(grpc), "mqtt_port": str(mqtt), **patient, **local, **settings}
    gateway = Gateway(directory, **settings)
    return Node(gateway.url, f"127.0.0.1:{grpc}", f"127.0.0.1:{mqtt}", gateway)
