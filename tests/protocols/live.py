"""A node with its live doors on a real server, and what tests do to it."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from core.auth.callers import access_claims
from core.kernel.caller import CUSTOMER_SCOPES, STAFF_SCOPES, Caller, Role
from core.kernel.errors import Close, CloseReason
from core.kernel.events import PUBLIC, STAFF_ONLY, EventKind, visible_to
from core.kernel.ids import SHARED_TENANT, TenantId, new_id
from core.kernel.limits import Limits
from core.live.sessions import Sessions
from core.ports.language_model import LanguageModel
from core.store.store import Store
from gateway.server.listening import listen, socket_port
from gateway.server.server import Server, ServerOptions
from protocols.advisor.adapter import AdvisorDoor
from protocols.graphql.adapter import GraphqlDoor
from protocols.graphql.door import Door
from protocols.graphql.socket import GraphqlSocket
from protocols.mcp.adapter import McpDoor
from protocols.rest.adapter import RestDoor
from protocols.rest.pages import Pages
from protocols.socketio.adapter import SocketIoDoor
from protocols.sse.adapter import SseDoor
from protocols.websocket.adapter import WebSocketDoor
from tests.clock import clock_of_loop
from tests.core.stores import Shop, open_store
from tests.gateway.server.serving import Client, connected, with_lifespan
from tests.http_clients import http_client
from tests.waiting import TIMEOUT_SECONDS, eventually, within


class Thing(BaseModel):
    """What a test's event tells."""

    number: int
    filling: str = ""


THING = EventKind("thing.happened", ("pets/{id}",), Thing, "Something happened.", public=True)
SECRET = EventKind(
    "secret.happened", ("orders/{id}/status",), Thing, "Something happened that is not for all."
)


class Doors:
    """The live doors, and REST for the paths that none of them has."""

    def __init__(self, sessions: Sessions, limits: Limits, origins: tuple[str, ...]) -> None:
        self._rest = RestDoor(sessions.store, Pages({}), origins=origins)
        self.socketio = SocketIoDoor(sessions, limits, origins=origins)
        self.mcp = McpDoor(sessions, origins=origins)
        self._advisor = AdvisorDoor(sessions, origins=origins)
        self._paths: dict[str, ASGIApp] = {
            **dict.fromkeys(AdvisorDoor.paths, self._advisor),
            "/v1/events": SseDoor(sessions, limits, origins=origins),
            "/v1/ws/events": WebSocketDoor(sessions, limits, chat=False),
            "/v1/ws/chat": WebSocketDoor(sessions, limits, chat=True),
            "/socket.io/": self.socketio,
            **dict.fromkeys(McpDoor.paths, self.mcp),
        }
        self.graphql = Door(sessions, limits)
        self._graphql: dict[str, ASGIApp] = {
            "http": GraphqlDoor(self.graphql, origins=origins),
            "websocket": GraphqlSocket(self.graphql),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        other: ASGIApp = self._advisor if path.startswith(AdvisorDoor.prefix) else self._rest
        serve = self._graphql[scope["type"]] if path == "/v1/graphql" else self._paths.get(path, other)
        await serve(scope, receive, send)


@dataclass
class Live:
    """A running node."""

    store: Store
    sessions: Sessions
    limits: Limits
    port: int
    server: Server
    tasks: frozenset["asyncio.Task[Any]"]
    graphql: Door
    socketio: SocketIoDoor

    # -- who

    def member(
        self, role: Role = Role.CUSTOMER, tenant: TenantId = SHARED_TENANT, *, lasts: float = 3600
    ) -> Caller:
        """Somebody with an account."""
        user_id, session_id = new_id(), new_id()
        return Caller(
            tenant,
            role,
            f"user:{user_id}",
            STAFF_SCOPES if role is Role.STAFF else CUSTOMER_SCOPES,
            user_id=user_id,
            session_id=session_id,
            username=f"{role.value.lower()}-{user_id[-4:]}",
            expires_at=self.store.clock() + timedelta(seconds=lasts),
            subjects=(f"user:{user_id}", f"session:{session_id}"),
        )

    def token(self, caller: Caller) -> str:
        """An access token."""
        return self.store.signer.sign(
            access_claims(caller, new_id(), self.store.clock(), self.store.public_url)
        )

    def staff_token(self, tenant: TenantId = SHARED_TENANT) -> str:
        """An access token of a member of the staff."""
        return self.token(self.member(Role.STAFF, tenant))

    # -- what happens

    async def happen(
        self, *numbers: int, tenant: TenantId = SHARED_TENANT, topic: str = "one", filling: int = 0
    ) -> None:
        """Let public events happen, all in one commit."""
        async with Shop(self.store, tenant).context() as context:
            for number in numbers:
                context.emit(THING, Thing(number=number, filling="x" * filling), PUBLIC, id=topic)

    async def happen_to(self, owner: Caller | None, number: int, order_id: str = "1") -> None:
        """Let an event happen that only the staff, and the owner, may see."""
        audience = STAFF_ONLY if owner is None else visible_to(owner.user_id)
        async with Shop(self.store, SHARED_TENANT).context() as context:
            context.emit(SECRET, Thing(number=number), audience, id=order_id)

    async def drain(self) -> None:
        """Begin to drain, as the composition root does."""
        self.store.draining = True
        self.sessions.close_all(
            Close(CloseReason.DRAINING, "This node is shutting down: come back and resume.")
        )

    async def empty(self) -> None:
        """Wait until nothing is left of any client."""
        test = asyncio.current_task()

        def leftovers() -> list[object]:
            watchers = {task for task in asyncio.all_tasks() if "_shutdown_watcher" in str(task.get_coro())}
            running = asyncio.all_tasks() - self.tasks - watchers - {test, asyncio.current_task()}
            found: list[object] = [str(task) for task in running]
            statistics = self.store.hub.statistics()
            if statistics.subscriptions or statistics.rings or statistics.selections:
                found.append(statistics)
            found += [
                *self.sessions,
                *self.sessions.connections,
                *self.sessions.presence,
                *self.store.agents.agents(SHARED_TENANT),
            ]
            found += ["turn"] * self.store.model_turns.held
            return [*found, *self.held_by_doors()]

        try:
            await eventually(lambda: not leftovers())
        except AssertionError:
            raise AssertionError(f"left behind: {leftovers()}") from None

    def held_by_doors(self) -> list[object]:
        """What the doors themselves hold of clients, beside their sessions."""
        return [*self.graphql.shared_executions]

    # -- clients

    @contextlib.asynccontextmanager
    async def socket(self, path: str = "/v1/ws/events", **options: Any) -> AsyncIterator["Socket"]:
        """A WebSocket client."""
        options = {
            "compression": None,
            "max_queue": None,
            **options,
        }  # A full queue would keep it from closing.
        async with connect(f"ws://127.0.0.1:{self.port}{path}", **options) as connection:
            yield Socket(connection)

    @contextlib.asynccontextmanager
    async def chat(self, caller: Caller) -> AsyncIterator["Socket"]:
        """Somebody at the chat socket."""
        async with self.socket(f"/v1/ws/chat?token={self.token(caller)}") as socket:
            await socket.until("connected")
            yield socket

    @contextlib.asynccontextmanager
    async def stream(self, topics: str = "#", **more: Any) -> AsyncIterator["EventStream"]:
        """An SSE client; ``more`` are query parameters, and ``headers``."""
        headers = more.pop("headers", {})
        async with (
            http_client(base_url=f"http://127.0.0.1:{self.port}") as client,
            client.stream(
                "GET", "/v1/events", params={"topics": topics, **more}, headers=headers
            ) as response,
        ):
            yield EventStream(response)

    async def get(self, url: str = "/v1/events", method: str = "GET", **more: Any) -> httpx.Response:
        """One answer that ends."""
        async with http_client(base_url=f"http://127.0.0.1:{self.port}") as client:
            return await client.request(method, url, **more)

    @contextlib.asynccontextmanager
    async def raw(self, *, receive_buffer: int | None = None) -> AsyncIterator[Client]:
        """A TCP connection."""
        async with connected(self.port, receive_buffer=receive_buffer) as client:
            yield client


@contextlib.asynccontextmanager
async def live(
    folder: Path,
    *,
    url: str = "memory://",
    origins: tuple[str, ...] = (),
    stall_limit: float = 30.0,
    language_model: LanguageModel | None = None,
    **limits: Any,
) -> AsyncIterator[Live]:
    """Run a node; nothing of any client may be left at the end."""
    bounds = Limits(**{"requests_per_minute": 0, "stall_seconds": stall_limit, **limits})
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_store(folder, url, limits=bounds, clock=clock_of_loop(), language_model=language_model)
        )
        sessions = Sessions(store)
        doors = Doors(sessions, bounds, origins)
        await stack.enter_async_context(doors.mcp.running())
        app = with_lifespan(doors)

        async def drain() -> None:
            await node.drain()

        server = Server(app, ServerOptions(drain_limit=3, stall_limit=stall_limit), on_drain=drain)
        sockets = listen("127.0.0.1", 0)
        running = asyncio.create_task(server.serve(sockets))
        await eventually(lambda: server.started)
        tasks = frozenset(asyncio.all_tasks())
        port = socket_port(sockets)
        node = Live(store, sessions, bounds, port, server, tasks, doors.graphql, doors.socketio)
        try:
            yield node
            await node.empty()
        finally:
            server.stop()
            await within(running)


class Socket:
    """A WebSocket client that speaks the live vocabulary."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._count = 0

    async def say(
        self, name: str, mark: str | int | None = None, chat_id: str | None = None, **data: Any
    ) -> None:
        """Send a message."""
        message = {"type": name, "id": mark, "chatId": chat_id, "data": data}
        await self.raw(json.dumps({key: value for key, value in message.items() if value is not None}))

    async def raw(self, frame: str | bytes) -> None:
        """Send a frame as it is."""
        await self.connection.send(frame)

    async def hear(self) -> dict[str, Any]:
        """The next message."""
        message: dict[str, Any] = json.loads(await within(self.connection.recv()))
        return message

    async def until(self, *names: str) -> dict[str, Any]:
        """The next message of these kinds; others are passed over."""
        while (message := await self.hear())["type"] not in names:
            pass
        return message

    async def ask(self, name: str, chat_id: str | None = None, **data: Any) -> dict[str, Any]:
        """Send a command, and give its answer's data; it must be no error."""
        answer = await self.reply(name, chat_id, **data)
        assert answer["type"] != "error", answer
        found: dict[str, Any] = answer["data"]
        return found

    async def refusal(self, name: str, chat_id: str | None = None, **data: Any) -> dict[str, Any]:
        """Send a command, and give the data of the error that it gets."""
        answer = await self.reply(name, chat_id, **data)
        assert answer["type"] == "error", answer
        found: dict[str, Any] = answer["data"]
        return found

    async def reply(self, name: str, chat_id: str | None = None, **data: Any) -> dict[str, Any]:
        """Send a command, and give the answer to it."""
        self._count += 1
        await self.say(name, self._count, chat_id, **data)
        while True:
            message = await self.hear()
            if message.get("replyTo") == self._count and message["type"] != "connected":
                return message

    async def numbers(self, count: int) -> list[int]:
        """What the next events tell."""
        return [(await self.until("event"))["data"]["data"]["number"] for _ in range(count)]

    async def end(self) -> tuple[int, list[dict[str, Any]]]:
        """The close code, and what came before it."""
        messages = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                messages.append(await self.hear())
        return self.connection.close_code or 0, messages


class EventStream:
    """The blocks of an event stream, read as the HTML standard has it (section 9.2.6)."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()
        self.last_id = ""

    async def block(self) -> dict[str, str]:
        """The next block, field by field."""
        block: dict[str, str] = {}
        async with asyncio.timeout(TIMEOUT_SECONDS):
            async for line in self._lines:
                if not line:
                    self.last_id = block.get("id", self.last_id)
                    return block
                name, _, value = line.partition(":")
                block[name] = value.removeprefix(" ")
        raise EOFError

    async def event(self) -> dict[str, Any]:
        """The data of the next block that tells of more than the stream's cursor."""
        while "data" not in (block := await self.block()) or block.get("event") == "cursor":
            pass
        data: dict[str, Any] = json.loads(block["data"])
        return data

    async def numbers(self, count: int) -> list[int]:
        """What the next events tell."""
        return [(await self.event())["data"]["number"] for _ in range(count)]


def new_tenant() -> TenantId:
    """A private tenant."""
    return TenantId(str(uuid.uuid4()))
