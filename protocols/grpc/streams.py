"""Streams: events as they happen, and conversations. Each client is a `core.live.client.Client`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from core.kernel.errors import (
    BadRequest,
    Close,
    Closed,
    CloseReason,
    CursorExpired,
    PayloadTooLarge,
    StoreError,
    ValidationFailed,
)
from core.kernel.validation import check_params
from core.live.client import Client, InteractiveClient, Taken
from core.live.commands import Subscribe
from core.live.delivery import FrameDelivery
from core.live.session import Session
from protocols.grpc._generated.petstore.v1 import chats_pb2, events_pb2
from protocols.grpc.buffer import WriteBuffer
from protocols.grpc.errors import text_of
from protocols.grpc.rpc import CallContext, Context, Rpc, parse
from protocols.grpc.wire import (
    EventBatches,
    LiveMessages,
    camel,
    length_prefixed,
    place_batch,
    read,
    snake,
    split_batch,
    split_messages,
    write,
)

_BATCHES = EventBatches()
_MESSAGES = LiveMessages()


class Carrier:
    """Carries to one client what waits in its bounded ``sink``: what the door says and what it is due.

    ``split`` takes apart what waited. How a stream ends is said by its status, so there is no farewell.
    """

    def __init__(
        self, context: Context, split: Callable[[bytes], Iterable[bytes]], stall_seconds: float
    ) -> None:
        self.sink = WriteBuffer()
        self._context = context
        self._split = split
        self._stall_seconds = stall_seconds

    async def carry(self, stalled: Callable[[], None]) -> None:
        """Write until the end; ``stalled`` is called when the client reads nothing for too long.

        When the client leaves, the call is cancelled.
        """
        try:
            while data := await self.sink.taken():
                for message in self._split(data):
                    async with asyncio.timeout(self._stall_seconds):
                        await self._context.write(message)
        except TimeoutError:
            stalled()

    def farewell(self, close: Close, cursor: str | None) -> bytes:  # noqa: ARG002 see the class
        """See `core.live.client.Peer`."""
        return b""

    def disconnect(self, _: Close) -> None:
        """Take nothing more; what waits may still be written. See `core.live.client.Peer`."""
        self.sink.end()


def _end(rpc: Rpc, client: Client[Any]) -> None:
    """Put the place up to which the client was served behind the stream, and tell why the store ends it, if it does.

    Raises:
        Closed: it does.
    """
    closed, cursor = client.session.closed, client.cursor
    close = closed.result() if closed.done() else None
    # A client that reads nothing has not got all that was handed over.
    if cursor is not None and (close is None or close.reason is not CloseReason.STALLED):
        rpc.trailing = (*rpc.trailing, ("x-cursor", cursor))
    if close is not None:
        raise Closed(close)


class EventStreams:
    """``EventService.Subscribe``."""

    def __init__(self, calls: CallContext) -> None:
        self._calls = calls

    async def answer(self, data: bytes, context: Context) -> None:
        """Serve one subscriber until it goes or the store ends it."""
        calls = self._calls
        async with Rpc(calls, "EventService/Subscribe", context, streams=True) as rpc:
            caller = await calls.admit(rpc)
            _check_size(data, calls.limits.frame_bytes)
            request = rpc.read(events_pb2.SubscribeRequest, data)
            session = calls.sessions.open(rpc.credentials, caller)
            peer = EventStream(context, split_batch, calls.limits.stall_seconds)
            client = Client(session, peer, FrameDelivery(peer.sink, _BATCHES, session.close))
            try:
                cursor = await session.follow(check_params(Subscribe, read(request)))
                # Clients take the stream for open when this has come.
                await context.send_initial_metadata((("x-request-id", rpc.request_id), ("x-cursor", cursor)))
                client.start_heartbeat(calls.limits.heartbeat_seconds)
                await peer.carry(client.stalled)
                _end(rpc, client)
            finally:
                client.release()


class EventStream(Carrier):
    """One subscriber."""

    def heartbeat(self, cursor: str | None) -> bytes:
        """See `core.live.client.Peer`."""
        return b"" if cursor is None else place_batch(cursor)


class Conversations:
    """``ChatService.Converse``."""

    def __init__(self, calls: CallContext) -> None:
        self._calls = calls

    async def answer(self, _: AsyncIterator[bytes], context: Context) -> None:
        """Serve one client until it has said all, goes, or the store ends it."""
        calls = self._calls
        async with Rpc(calls, "ChatService/Converse", context, streams=True) as rpc:
            caller = await calls.admit(rpc, cost=1 if rpc.is_known else 0)
            session = calls.sessions.open(rpc.credentials, caller, admitted=rpc.is_known, login_required=True)
            conversation = Conversation(calls, rpc, session, context)
            try:
                await context.send_initial_metadata((("x-request-id", rpc.request_id),))
                await conversation.run()
                _end(rpc, conversation.client)
            finally:
                conversation.client.release()


class Conversation(Carrier):
    """One client that talks: its commands are carried out one after the other, and answered."""

    def __init__(self, calls: CallContext, rpc: Rpc, session: Session, context: Context) -> None:
        limits = calls.limits
        super().__init__(context, split_messages, limits.stall_seconds)
        self.client = InteractiveClient(
            calls.sessions, session, self, _MESSAGES, heartbeat_seconds=limits.ping_seconds
        )
        self._rpc = rpc
        self._frame_bytes = limits.frame_bytes
        #: Why the client is not let in.
        self._refused: StoreError | None = None
        self._busy = False
        self._over = False

    async def run(self) -> None:
        """Read and write until either ends.

        Raises:
            StoreError: the client was refused, or has sent what cannot be read.
        """
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self.carry(self.client.stalled))
        try:
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                self.client.stop()
                self.sink.end()
                await writer
                reader.result()
            else:
                writer.result()
        finally:
            self._over = True
            if not self._busy:
                reader.cancel()
            writer.cancel()
            # A command that was begun is carried out; nothing of the session may be freed before.
            await asyncio.gather(reader, writer, return_exceptions=True)

    async def _read(self) -> None:
        if self.client.session.admitted:
            self.client.greet()
            await self._greeted()
        rate = self.client.session.rate
        while not self._over:
            await rate.ready()
            data: object = await self._context.read()
            if not isinstance(data, bytes):  # grpc.aio.EOF: the client has said all.
                return
            rate.count()
            _check_size(data, self._frame_bytes)
            self._busy = True
            try:
                await self._take(data)
            finally:
                self._busy = False

    async def _greeted(self) -> None:
        self._rpc.caller = self.client.session.caller
        await self.client.chats.offer()

    async def _take(self, data: bytes) -> None:
        """Carry out one command and answer it.

        Raises:
            StoreError: it was refused, and the client has not been let in.
        """
        mark = ""
        try:
            request = parse(chats_pb2.ConverseRequest, data)
            mark = request.id
            command = request.WhichOneof("command")
            if command is None:
                raise BadRequest("The request holds no command.")
        except BadRequest as error:
            self.client.reject(error, mark)
        else:
            given = read(getattr(request, command))
            if await self.client.take(camel(command), given, mark) is Taken.GREETED:
                await self._greeted()
        if self._refused is not None:
            raise self._refused

    # --- what the client is shown ---

    def greeting(self, content: dict[str, Any]) -> bytes:
        """See `core.live.client.InteractivePeer`."""
        return _message("connected", {"sessionId": content["sessionId"], "user": content.get("user")})

    def reply(
        self, command: str, content: dict[str, Any], mark: str, greeting: dict[str, Any] | None
    ) -> bytes:
        """See `core.live.client.InteractivePeer`: the greeting comes last."""
        shown = _message("pong" if command == "ping" else "ack", content, mark)
        return shown if greeting is None else shown + self.greeting(greeting)

    def refusal(self, error: StoreError, mark: str) -> bytes:
        """See `core.live.client.InteractivePeer`: a client that is not let in is told by the status."""
        if not self.client.session.admitted:
            self._refused = error
            return b""
        return _message("error", error_data(error), mark)

    def heartbeat(self, cursor: str | None) -> bytes:
        """See `core.live.client.Peer`."""
        return b"" if cursor is None else _message("pong", {"cursor": cursor})


def _message(name: str, data: object, reply_to: str = "") -> bytes:
    response = chats_pb2.ConverseResponse(reply_to=reply_to)
    part = getattr(response, name)
    part.SetInParent()
    write(part, data)
    return length_prefixed(response)


def error_data(error: StoreError) -> dict[str, object]:
    """An error as the message ``Error`` has it."""
    data: dict[str, object] = {"code": error.code.value, "message": error.detail}
    match error:
        case ValidationFailed() | BadRequest(violations=(_, *_)):
            violations = [(snake(one.field), one.message, one.code.value) for one in error.violations]
            data["message"] = text_of((field, message) for field, message, _ in violations)
            data["errors"] = [
                {"field": field, "message": message, "code": code} for field, message, code in violations
            ]
        case CursorExpired():
            data["oldestCursor"] = error.oldest_cursor
        case StoreError(retry_after=int(seconds)):
            data["retryAfter"] = seconds
        case _:
            pass
    return data


def _check_size(data: bytes, largest: int) -> None:
    if len(data) > largest:
        raise PayloadTooLarge(f"Messages on a stream have at most {largest} bytes.")
