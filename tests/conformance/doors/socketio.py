"""Socket.IO, with python-socketio's client, by WebSocket and by long-polling."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, ClassVar

import aiohttp
import engineio
import socketio

from tests.conformance.door import Ability, Conversation, Driver, End, OnFrame, Stream
from tests.conformance.doors.rest import error_of_response
from tests.conformance.doors.websocket import SocketConversation, SocketStream, error_of
from tests.conformance.people import Person
from tests.conformance.shapes import compact
from tests.waiting import TIMEOUT_SECONDS, within

CHANNEL = "/socket.io/"
#: Called with each event that the server sends.
Tell = Callable[[str, Any], None]


class _Engine(engineio.AsyncClient):  # type: ignore[misc]  # the library has no types
    """Reads no more while it may not; the library has no way to say so."""

    def __init__(self, reading: asyncio.Event, **options: Any) -> None:
        super().__init__(**options)
        self._reading = reading

    async def _receive_packet(self, packet: Any) -> None:
        await self._reading.wait()
        await super()._receive_packet(packet)


class _Client(socketio.AsyncClient):  # type: ignore[misc]
    def __init__(self, reading: asyncio.Event, http: aiohttp.ClientSession) -> None:
        self._reading = reading
        super().__init__(reconnection=False, handle_sigint=False, http_session=http)

    def _engineio_client_class(self) -> Any:
        return partial(_Engine, self._reading)


class Connection:
    """A client at the default namespace. ``over`` is called with the end, unless the client left by itself."""

    def __init__(self, client: _Client, on_frame: OnFrame, tell: Tell, over: Callable[[End], None]) -> None:
        self._client = client
        self._on_frame = on_frame
        self._tell = tell
        self._over = over
        self._refusal: Any = None
        self._farewell: dict[str, Any] = {}
        self._answers: set[asyncio.Future[Any]] = set()
        client.on("*", self._on_event)
        client.on("connect_error", self._on_refused)
        client.on("disconnect", self._on_end)

    async def open(self, url: str, transport: str, person: Person) -> None:
        """Connect.

        Raises:
            Refused: it was refused.
        """
        auth = compact({"token": person.token, "tenantId": person.tenant})
        try:
            await self._client.connect(url, transports=[transport], auth=auth, wait_timeout=TIMEOUT_SECONDS)
        except socketio.exceptions.ConnectionError:
            match self._refusal:
                case {"data": dict(data)}:
                    raise error_of(data) from None
                case {"type": _}:  # Refused before it came to a connection.
                    raise error_of_response(self._refusal) from None
            raise

    async def ask(self, name: str, chat_id: str | None = None, **data: Any) -> dict[str, Any]:
        """Send an event, and wait for its acknowledgement."""
        given = compact({"chatId": chat_id, **data})
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers.add(answer)
        try:
            await self._client.emit(name, given, callback=answer.set_result)
            told = await within(answer)
        finally:
            self._answers.discard(answer)
        self._on_frame("socketio", CHANNEL, {"ack": name, "data": told})
        if not told["ok"]:
            raise error_of(told["error"])
        found: dict[str, Any] = told["data"]
        return found

    def _on_event(self, name: str, data: Any) -> None:
        self._on_frame("socketio", CHANNEL, {"event": name, "data": data})
        if name == "error":
            self._farewell = data
        elif name == "cursorExpired":
            self._farewell = {"code": "cursor-expired", **data}
        else:
            self._tell(name, data)

    def _on_refused(self, data: Any) -> None:
        self._refusal = data

    def _on_end(self, reason: str) -> None:
        if reason == self._client.reason.CLIENT_DISCONNECT:
            return
        said = {"code": reason, **self._farewell}
        for answer in self._answers:
            answer.set_exception(error_of(said))
        self._over(End(said["code"], said.get("cursor"), said.get("oldestCursor")))


class SocketIoDriver(Driver):
    """Somebody who comes by WebSocket at once."""

    abilities = frozenset({Ability.FOLLOW, Ability.RESUME, Ability.CONVERSE, Ability.RENEW})
    transport: ClassVar[str] = "websocket"

    @contextlib.asynccontextmanager
    async def follow(self, *topics: str, cursor: str | None = None) -> AsyncIterator[Stream]:
        stream = SocketStream()

        def tell(name: str, data: Any) -> None:
            if name == "event":
                stream.put(data)

        async with self._connection(tell, stream) as connection:
            stream.line = connection
            stream.cursor = (await connection.ask("subscribe", topics=list(topics), cursor=cursor))["cursor"]
            yield stream

    @contextlib.asynccontextmanager
    async def converse(self) -> AsyncIterator[Conversation]:
        conversation = SocketConversation()
        async with self._connection(conversation.tell, Stream()) as connection:
            conversation.line = connection
            yield conversation

    async def renew(self, stream: Stream, token: str) -> None:
        assert isinstance(stream, SocketStream)
        await stream.line.ask("authenticate", token=token)

    @contextlib.asynccontextmanager
    async def _connection(self, tell: Tell, stream: Stream) -> AsyncIterator[Connection]:
        # The library does not close a session of its own in every case.
        async with aiohttp.ClientSession() as http:
            client = _Client(stream.reading, http)
            connection = Connection(client, self.on_frame, tell, stream.end)
            try:
                await connection.open(self.node.url, self.transport, self.person)
                yield connection
            finally:
                stream.reading.set()  # To the end, which the library waits for.
                if client.eio.state == "connected":
                    await client.disconnect()
                await client.eio.wait()


class SocketIoPollingDriver(SocketIoDriver):
    """Somebody who polls, and goes on polling."""

    transport = "polling"
