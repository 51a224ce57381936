"""The gRPC port on a running node, and grpcio's own clients of it."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from google.protobuf.any_pb2 import Any as Packed
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode, aio

from core.kernel.caller import Caller
from core.kernel.ids import TenantId
from gateway.health import Health
from gateway.server.grpc_server import GrpcOptions, GrpcServer, reserve
from protocols.grpc._generated.petstore.v1 import events_pb2
from protocols.grpc._generated.petstore.v1.advisor_pb2_grpc import AdvisorServiceStub
from protocols.grpc._generated.petstore.v1.api_keys_pb2_grpc import ApiKeyServiceStub
from protocols.grpc._generated.petstore.v1.chats_pb2_grpc import ChatServiceStub
from protocols.grpc._generated.petstore.v1.devices_pb2_grpc import DeviceServiceStub
from protocols.grpc._generated.petstore.v1.events_pb2_grpc import EventServiceStub
from protocols.grpc._generated.petstore.v1.inventory_pb2_grpc import InventoryServiceStub
from protocols.grpc._generated.petstore.v1.orders_pb2_grpc import OrderServiceStub
from protocols.grpc._generated.petstore.v1.pets_pb2_grpc import PetServiceStub
from protocols.grpc._generated.petstore.v1.tenants_pb2_grpc import TenantServiceStub
from protocols.grpc._generated.petstore.v1.users_pb2_grpc import UserServiceStub
from protocols.grpc.adapter import GrpcDoor
from protocols.grpc.rpc import Rpc
from tests.protocols.live import Live, live
from tests.waiting import TIMEOUT_SECONDS, eventually, within

Metadata = tuple[tuple[str, str], ...]
#: What fields are called in JSON; not what somebody is quoted with.
_JSON_NAME = re.compile(r"(?<!')\b[a-z]+[A-Z]")


@dataclass
class Refusal:
    """What a client is told of an error: the status and its details."""

    code: StatusCode
    text: str
    trailing: dict[str, str | bytes]
    info: error_details_pb2.ErrorInfo
    retry: error_details_pb2.RetryInfo | None = None
    violations: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, error: aio.AioRpcError) -> "Refusal":
        """Read one."""
        trailing = dict(error.trailing_metadata() or ())
        status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
        assert (status.code, status.message) == (error.code().value[0], error.details())
        details = list(status.details)
        info = _unpacked(details, error_details_pb2.ErrorInfo)
        assert info is not None
        assert info.domain == "petstoreapi.com"
        violations = _unpacked(details, error_details_pb2.BadRequest)
        violations = [] if violations is None else list(violations.field_violations)
        for text in (error.details() or "", *(one.description for one in violations)):
            assert not _JSON_NAME.search(text), f"a name that is not this door's: {text}"
        told = [(one.field, one.reason) for one in violations]
        retry = _unpacked(details, error_details_pb2.RetryInfo)
        return cls(error.code(), error.details() or "", trailing, info, retry, told)


def _unpacked(details: list[Packed], kind: Any) -> Any:
    for packed in details:
        if packed.Is(kind.DESCRIPTOR):
            found = kind()
            packed.Unpack(found)
            return found
    return None


async def refused(call: Awaitable[Any]) -> Refusal:
    """Await a call that must fail, and give what it says."""
    try:
        answer = await call
    except aio.AioRpcError as error:
        return Refusal.of(error)
    raise AssertionError(f"answered: {answer}")


class Client:
    """A client on one connection: the stubs, and the metadata that its calls carry."""

    def __init__(self, channel: aio.Channel, metadata: Metadata) -> None:
        self.channel = channel
        self.metadata = metadata
        self.pets = PetServiceStub(channel)
        self.orders = OrderServiceStub(channel)
        self.users = UserServiceStub(channel)
        self.inventory = InventoryServiceStub(channel)
        self.chats = ChatServiceStub(channel)
        self.events = EventServiceStub(channel)
        self.advisor = AdvisorServiceStub(channel)
        self.api_keys = ApiKeyServiceStub(channel)
        self.devices = DeviceServiceStub(channel)
        self.tenants = TenantServiceStub(channel)

    async def call(
        self, method: Any, request: Any, *more: tuple[str, str], timeout: float = TIMEOUT_SECONDS
    ) -> Any:
        """One answer."""
        return await method(request, metadata=(*self.metadata, *more), timeout=timeout)

    async def refused(self, method: Any, request: Any, *more: tuple[str, str]) -> Refusal:
        """One refusal."""
        return await refused(self.call(method, request, *more))

    @contextlib.asynccontextmanager
    async def subscribed(
        self, *topics: str, cursor: str = "", timeout: float | None = None
    ) -> AsyncIterator["Events"]:
        """A subscriber who is registered."""
        request = events_pb2.SubscribeRequest(topics=topics, cursor=cursor)
        call = self.events.Subscribe(request, metadata=self.metadata, timeout=timeout)
        try:
            events = Events(call)
            events.initial = dict(await within(call.initial_metadata()))
            yield events
        finally:
            call.cancel()


class Events:
    """A subscription."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.initial: dict[str, Any] = {}
        self.cursor = ""
        self._waiting: list[Any] = []

    async def batch(self) -> Any:
        """The next message."""
        batch: Any = await within(self.call.read())
        if batch is aio.EOF:
            raise EOFError
        return batch

    async def event(self) -> Any:
        """The next event."""
        while not self._waiting:
            self._waiting = list((await self.batch()).events)
        event = self._waiting.pop(0)
        self.cursor = event.cursor or self.cursor
        return event

    async def numbers(self, count: int) -> list[int]:
        """What the next events tell."""
        return [int((await self.event()).data["number"]) for _ in range(count)]

    async def end(self) -> Refusal:
        """How the store ended it; what still came is passed over."""
        try:
            while True:
                await self.batch()
        except aio.AioRpcError as error:
            return Refusal.of(error)


@dataclass
class Node:
    """A node with its HTTP doors and the gRPC port."""

    live: Live
    server: GrpcServer
    door: GrpcDoor
    port: int
    state: Health
    ended: list[tuple[str, StatusCode]]

    @contextlib.asynccontextmanager
    async def client(
        self,
        caller: Caller | None = None,
        *,
        tenant: TenantId | None = None,
        port: int | None = None,
        **options: Any,
    ) -> AsyncIterator[Client]:
        """Somebody who connects, by another port if one is given; ``options`` are the channel's, with underscores for
        dots."""
        metadata: list[tuple[str, str]] = []
        if caller is not None:
            metadata.append(("authorization", f"Bearer {self.live.token(caller)}"))
        if tenant is not None:
            metadata.append(("x-tenant-id", tenant))
        # Channels to one address share a connection, unless they are told not to.
        arguments = [
            ("grpc.use_local_subchannel_pool", 1),
            *((f"grpc.{name}", value) for name, value in options.items()),
        ]
        async with aio.insecure_channel(f"127.0.0.1:{port or self.port}", options=arguments) as channel:
            yield Client(channel, tuple(metadata))

    async def idle(self) -> None:
        """Wait until no call is served."""
        await eventually(lambda: not self.door.open)


class Wire:
    """A line to a port of this machine, which can be cut."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self._there = port
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Let both ends find the connection broken."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, other = await asyncio.open_connection("127.0.0.1", self._there)
        self._writers += (writer, other)
        await asyncio.gather(_pump(reader, other), _pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def node_with_grpc(
    folder: Path, *, options: GrpcOptions | None = None, **more: Any
) -> AsyncIterator[Node]:
    """Run a node; at the end nothing may be left of any client."""
    proxies = more.pop("proxies", ())
    async with live(folder, **more) as running:
        ended: list[tuple[str, StatusCode]] = []

        def on_end(rpc: Rpc, status: int) -> None:
            ended.append((rpc.method, next(code for code in StatusCode if code.value[0] == status)))

        async def well() -> None:
            pass

        door = GrpcDoor(running.sessions, running.limits, on_end=on_end, proxies=proxies)
        state = Health({"database": well}, doors={"grpc": "here"})
        server = GrpcServer(door, options or GrpcOptions(), state)
        hold, port = reserve("127.0.0.1", 0)
        with hold:
            await server.start("127.0.0.1", port)
            try:
                yield Node(running, server, door, port, state, ended)
            finally:
                await server.stop(0)
