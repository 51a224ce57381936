"""A node with its MQTT door on TCP and on WebSocket, and an event stream beside it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from core.kernel.ids import SHARED_TENANT, TenantId
from core.kernel.limits import Limits
from core.live.sessions import Sessions
from core.models.devices import NewDevice
from core.models.pets import Pet
from core.services.devices import CREATE_DEVICE
from core.services.pets import CREATE_PET
from core.store.store import Store
from gateway.server.listening import listen, socket_port
from gateway.server.server import Server, ServerOptions
from gateway.server.tcp import TcpServer
from protocols.mqtt.adapter import MqttDoor
from protocols.mqtt.server import MqttServer
from protocols.mqtt.socket import MqttSocketDoor
from protocols.sse.adapter import SseDoor
from tests.clock import clock_of_loop
from tests.core.stores import Shop, open_store
from tests.gateway.server.serving import with_lifespan
from tests.protocols.live import Live
from tests.protocols.mqtt.raw import Raw
from tests.waiting import eventually, within


class Doors:
    """The HTTP port."""

    def __init__(self, sessions: Sessions, limits: Limits, mqtt: MqttServer) -> None:
        self._paths: dict[str, ASGIApp] = {
            "/v1/events": SseDoor(sessions, limits),
            "/mqtt": MqttSocketDoor(mqtt),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._paths[scope["path"]](scope, receive, send)


class MqttNode(Live):
    """A running node with an MQTT door and an event stream, and none of the other doors."""

    def __init__(self, store: Store, mqtt: MqttServer, tcp: TcpServer, server: Server) -> None:
        self.store = store
        self.sessions = mqtt.sessions
        self.limits = store.limits
        self.server = server
        self.tasks = frozenset(asyncio.all_tasks())
        self.mqtt = mqtt
        self.tcp = tcp
        self.port = 0
        self.mqtt_port = 0

    def held_by_doors(self) -> list[object]:
        """What the door itself holds of clients, beside their sessions."""
        held = self.mqtt.statistics()
        return [held] if held.clients or held.groups or held.kept_sessions else []

    @contextlib.asynccontextmanager
    async def client(self, client_id: str = "", **connect: Any) -> AsyncIterator[Raw]:
        """A client of version 5 that was accepted, packet by packet; ``connect`` are members of CONNECT."""
        async with self.raw_client() as client:
            await client.connect(client_id, **connect)
            yield client

    @contextlib.asynccontextmanager
    async def raw_client(self) -> AsyncIterator[Raw]:
        """A TCP connection to the door."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.mqtt_port)
        try:
            yield Raw(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def pet(self, tenant: TenantId = SHARED_TENANT, **changes: Any) -> Pet:
        """A new pet."""
        body = {"name": "Biscuit", "species": "DOG", "ageMonths": 12, "price": "75.00", **changes}
        found: Pet = await Shop(self.store, tenant).call(CREATE_PET, body=body)
        return found

    async def device(self, tenant: TenantId = SHARED_TENANT, **given: Any) -> NewDevice:
        """A new device with its password."""
        found: NewDevice = await Shop(self.store, tenant).call(
            CREATE_DEVICE, body={"name": "collar", **given}
        )
        return found


@contextlib.asynccontextmanager
async def mqtt_node(
    folder: Path, *, url: str = "memory://", stall_limit: float = 30.0, **limits: Any
) -> AsyncIterator[MqttNode]:
    """Run a node; nothing of any client may be left at the end."""
    bounds = Limits(**{"requests_per_minute": 0, "stall_seconds": stall_limit, **limits})
    async with open_store(folder, url, limits=bounds, clock=clock_of_loop()) as store:
        sessions = Sessions(store)
        mqtt = MqttServer(sessions, bounds)
        tcp = TcpServer(MqttDoor(mqtt).connect, stall_limit=stall_limit)
        app = with_lifespan(Doors(sessions, bounds, mqtt))

        async def drain() -> None:
            await node.drain()

        server = Server(app, ServerOptions(drain_limit=3, stall_limit=stall_limit), on_drain=drain)
        http, plain = listen("127.0.0.1", 0), listen("127.0.0.1", 0)
        port, mqtt_port = socket_port(http), socket_port(plain)
        running = asyncio.create_task(server.serve(http))
        async with tcp.serving(plain, [], None):
            await eventually(lambda: server.started)
            node = MqttNode(store, mqtt, tcp, server)
            node.port, node.mqtt_port = port, mqtt_port
            try:
                yield node
                await node.empty()
            finally:
                server.stop()
                await within(running)
        await mqtt.finished()
