"""WebSocket, with websockets: domain events at one socket, chats at the other."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any, Protocol

import websockets
from websockets.asyncio.client import ClientConnection

from tests.conformance.door import Ability, Conversation, Driver, End, OnFrame, Refused, Stream
from tests.conformance.doors.rest import error_of_response
from tests.conformance.people import headers_of
from tests.conformance.shapes import compact
from tests.waiting import within

EVENTS, CHAT = "/v1/ws/events", "/v1/ws/chat"
#: Close codes, as the errors that they are.
_CLOSES = {
    1001: "service-unavailable",
    1003: "bad-request",
    1009: "payload-too-large",
    1011: "internal-server-error",
    4401: "unauthorized",
    4403: "forbidden",
    4408: "unauthorized",
    4429: "rate-limit-exceeded",
}
#: Called with the name, the data and the chat of each message that is no answer.
Tell = Callable[[str, Any, str | None], None]


class Asks(Protocol):
    """A connection that messages of the live vocabulary can be sent through, each of which is answered."""

    async def ask(self, name: str, chat_id: str | None = None, **data: Any) -> dict[str, Any]:
        """Send a message; the data of its acknowledgement.

        Raises:
            Refused: it was refused, or the connection was ended instead.
        """


class Line:
    """A connection: what is asked has a mark, by which its answer is found; all else is told."""

    def __init__(self, socket: ClientConnection, channel: str, on_frame: OnFrame, tell: Tell) -> None:
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._socket = socket
        self._channel = channel
        self._on_frame = on_frame
        self._tell = tell
        self._marks = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def ask(self, name: str, chat_id: str | None = None, **data: Any) -> dict[str, Any]:
        """Send a message with a mark, and wait for the answer to it."""
        mark = next(self._marks)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[mark] = answer
        frame: dict[str, Any] = {"type": name, "id": mark, "data": compact(data)}
        if chat_id is not None:
            frame["chatId"] = chat_id
        with contextlib.suppress(websockets.ConnectionClosed):  # The reader knows why.
            await self._socket.send(json.dumps(frame))
        return await within(answer)

    async def read(self, reading: asyncio.Event) -> End:
        """Read to the end while ``reading`` is set, and say how it ended."""
        farewell: dict[str, Any] = {}
        try:
            while True:
                await reading.wait()
                frame = json.loads(await self._socket.recv())
                self._on_frame("websocket", self._channel, frame)
                farewell = self._take(frame) or farewell
        except websockets.ConnectionClosed:
            code = self._socket.close_code or 0
            farewell.setdefault("code", _CLOSES.get(code, f"close code {code}"))
        for waiting in self._answers.values():
            waiting.set_exception(error_of(farewell))
        if not self.greeted.done():
            self.greeted.set_exception(error_of(farewell))
            self.greeted.exception()  # Most don't wait for it.
        return End(farewell["code"], farewell.get("cursor"), farewell.get("oldestCursor"))

    def _take(self, frame: dict[str, Any]) -> dict[str, Any] | None:
        """Deal with one message; gives what a farewell says."""
        name, data, mark = frame["type"], frame["data"], frame.get("replyTo")
        if mark is not None and name in ("ack", "pong"):
            self._answers.pop(mark).set_result(data)
        elif mark is not None and name == "error":
            self._answers.pop(mark).set_exception(error_of(data))
        elif name == "error":
            return {**data}
        elif name == "cursorExpired":
            return {"code": "cursor-expired", **data}
        else:
            if name == "connected" and not self.greeted.done():
                self.greeted.set_result(None)
            self._tell(name, data, frame.get("chatId"))
        return None


class SocketStream(Stream):
    """A stream that knows its connection."""

    line: Asks


class SocketConversation(Conversation):
    """Somebody who chats in the live vocabulary."""

    line: Asks

    async def join(self, chat_id: str | None = None, subject: str | None = None) -> dict[str, Any]:
        joined = await self.line.ask("joinChat", chat_id, subject=subject)
        chat: dict[str, Any] = joined["chat"]
        return chat

    async def leave(self, chat_id: str) -> None:
        await self.line.ask("leaveChat", chat_id)

    async def say(self, chat_id: str, text: str, client_message_id: str | None = None) -> dict[str, Any]:
        said = await self.line.ask("chatMessage", chat_id, text=text, clientMessageId=client_message_id)
        message: dict[str, Any] = said["message"]
        return message

    async def typing(self, chat_id: str, started: bool) -> None:
        await self.line.ask("typingStarted" if started else "typingStopped", chat_id)

    async def read(self, chat_id: str, message_id: str) -> None:
        await self.line.ask("messageRead", chat_id, messageId=message_id)


class WebSocketDriver(Driver):
    """Somebody who speaks JSON frames."""

    abilities = frozenset({Ability.FOLLOW, Ability.RESUME, Ability.CONVERSE, Ability.RENEW})

    @contextlib.asynccontextmanager
    async def follow(self, *topics: str, cursor: str | None = None) -> AsyncIterator[Stream]:
        stream = SocketStream()

        def tell(name: str, data: Any, _: str | None) -> None:
            if name == "event":
                stream.put(data)

        async with self._line(EVENTS, tell, stream) as line:
            stream.line = line
            stream.cursor = (await line.ask("subscribe", topics=list(topics), cursor=cursor))["cursor"]
            yield stream

    @contextlib.asynccontextmanager
    async def converse(self) -> AsyncIterator[Conversation]:
        conversation = SocketConversation()

        def tell(name: str, data: Any, chat_id: str | None) -> None:
            conversation.tell(name, data if chat_id is None else {**data, "chatId": chat_id})

        async with self._line(CHAT, tell, Stream()) as line:
            conversation.line = line
            if self.person.token is not None:
                await within(line.greeted)
            yield conversation

    async def renew(self, stream: Stream, token: str) -> None:
        assert isinstance(stream, SocketStream)
        await stream.line.ask("authenticate", token=token)

    @contextlib.asynccontextmanager
    async def _line(self, path: str, tell: Tell, stream: Stream) -> AsyncIterator[Line]:
        # Without pings of the client's own, which would end the connection of one that reads nothing.
        connecting = websockets.connect(
            self.node.url.replace("http", "ws", 1) + path,
            additional_headers=headers_of(self.person),
            ping_interval=None,
            proxy=None,
        )
        try:
            socket = await connecting
        except websockets.InvalidStatus as refused:
            raise error_of_response(json.loads(refused.response.body or b"")) from None
        line = Line(socket, path, self.on_frame, tell)

        async def read() -> None:
            stream.end(await line.read(stream.reading))

        reader = asyncio.create_task(read())
        try:
            yield line
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
            if not stream.reading.is_set():
                socket.transport.abort()  # Who reads nothing won't read the farewell either.
            await socket.close()


def error_of(data: dict[str, Any]) -> Refused:
    """What the data of an error message says."""
    return Refused(
        data["code"],
        fields=[(violation["field"], violation["code"]) for violation in data.get("errors", ())],
        oldest_cursor=data.get("oldestCursor"),
        retry_after=data.get("retryAfter"),
    )
