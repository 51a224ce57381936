"""Streams: events as they happen, and conversations. Each is a Session of the store."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Self

from core.hub import WireFormat
from core.kernel.errors import (
    BadRequest,
    Close,
    Closed,
    CloseReason,
    CursorExpired,
    PayloadTooLarge,
    RateLimited,
    StoreError,
    Unavailable,
    ValidationFailed,
)
from core.kernel.validation import check_params
from core.live.commands import Subscribe
from core.live.delivery import Outlet
from core.live.session import Session
from protocols.grpc._generated.petstore.v1 import chats_pb2, events_pb2
from protocols.grpc.buffer import WriteBuffer
from protocols.grpc.rpc import CallContext, Context, Rpc, parse
from protocols.grpc.wire import (
    EventBatches,
    LiveMessages,
    camel,
    framed,
    place_batch,
    read,
    snake,
    split_batch,
    split_messages,
    write,
)

Beat = Callable[[str], bytes]

_BATCHES = EventBatches()
_MESSAGES = LiveMessages()


class Carrier:
    """Writes to one client what is due to him, until the stream ends; a context manager that leaves nothing behind.

    What the door says and what the outlet moves waits in one bounded sink. A client who is slow makes the outlet stop,
    and later read the log for him; one who reads nothing at all for too long is sent off. ``split`` takes apart what
    waited.
    """

    def __init__(
        self,
        calls: CallContext,
        session: Session,
        context: Context,
        wire_format: WireFormat,
        split: Callable[[bytes], Iterable[bytes]],
    ) -> None:
        self._patience = calls.limits.stall_seconds
        self._session = session
        self._context = context
        self._split = split
        self._sink = WriteBuffer()
        self._timer: asyncio.TimerHandle | None = None
        self._outlet = Outlet(session, self._sink, wire_format)

    def __enter__(self) -> Self:
        self._session.closed.add_done_callback(self._on_closed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.closed.remove_done_callback(self._on_closed)
        self.end()

    def say(self, data: bytes) -> None:
        """Write something of the door's own, behind all that was written."""
        self._sink.write(data)

    def beat(self, make: Beat, seconds: float) -> None:
        """From now on tell a subscriber his place again and again, so that a quiet one's does not grow old."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self._beat, make, seconds)

    def _beat(self, make: Beat, seconds: float) -> None:
        self.beat(make, seconds)
        subscription = self._session.subscription
        if subscription is not None and self._sink.writable:
            self._sink.write(make(subscription.cursor))

    async def run(self) -> None:
        """Write until the end. When the client leaves, the call is cancelled."""
        try:
            while data := await self._sink.taken():
                for message in self._split(data):
                    async with asyncio.timeout(self._patience):
                        await self._context.write(message)
        except TimeoutError:
            self._session.close(Close(CloseReason.STALLED, "Nothing was read for too long."))

    def end(self) -> None:
        """Take nothing more, so that the subscription's cursor stands still; what waits may still be written."""
        self._outlet.close()
        self._sink.end()
        if self._timer is not None:
            self._timer.cancel()

    def _on_closed(self, _: "asyncio.Future[Close]") -> None:
        self.end()


def _end(rpc: Rpc, session: Session) -> None:
    """Put the place up to which the client was served behind the stream, and tell why the store ends it, if it does.

    Raises:
        Closed: it does.
    """
    close = session.closed.result() if session.closed.done() else None
    # Who reads nothing has not got all that was handed over.
    if session.subscription is not None and (close is None or close.reason is not CloseReason.STALLED):
        rpc.trailing = (*rpc.trailing, ("x-cursor", session.subscription.cursor))
    if close is not None:
        raise Closed(close)


class EventStreams:
    """``EventService.Subscribe``."""

    def __init__(self, calls: CallContext) -> None:
        self._calls = calls

    async def answer(self, data: bytes, context: Context) -> None:
        """Serve one subscriber until he goes or the store ends it."""
        calls = self._calls
        async with Rpc(calls, "EventService/Subscribe", context, streams=True) as rpc:
            caller = rpc.take(await calls.store.admit(rpc.credentials))
            _check_size(data, calls.limits.frame_bytes)
            request = rpc.read(events_pb2.SubscribeRequest, data)
            session = calls.sessions.open(rpc.credentials, caller)
            try:
                await session.follow(check_params(Subscribe, read(request)))
                assert session.subscription is not None
                # Clients take the stream for open when this has come.
                place = ("x-cursor", session.subscription.cursor)
                await context.send_initial_metadata((("x-request-id", rpc.request_id), place))
                with Carrier(calls, session, context, _BATCHES, split_batch) as carrier:
                    carrier.beat(place_batch, calls.limits.heartbeat_seconds)
                    await carrier.run()
                _end(rpc, session)
            finally:
                session.leave()


class Conversations:
    """``ChatService.Converse``."""

    def __init__(self, calls: CallContext) -> None:
        self._calls = calls

    async def answer(self, _: AsyncIterator[bytes], context: Context) -> None:
        """Serve one client until he has said all, goes, or the store ends it."""
        calls = self._calls
        async with Rpc(calls, "ChatService/Converse", context, streams=True) as rpc:
            caller = rpc.take(await calls.store.admit(rpc.credentials, cost=1 if rpc.is_known else 0))
            session = calls.sessions.open(rpc.credentials, caller, admitted=rpc.is_known, login_required=True)
            try:
                await context.send_initial_metadata((("x-request-id", rpc.request_id),))
                with Carrier(calls, session, context, _MESSAGES, split_messages) as carrier:
                    carrier.beat(_pong, calls.limits.ping_seconds)
                    await Conversation(rpc, session, context, carrier, calls.limits.frame_bytes).run()
                _end(rpc, session)
            finally:
                session.leave()


class Conversation:
    """One client who talks: his commands are carried out one after the other, and answered."""

    __slots__ = ("_busy", "_carrier", "_context", "_largest", "_over", "_rpc", "_session")

    def __init__(self, rpc: Rpc, session: Session, context: Context, carrier: Carrier, largest: int) -> None:
        self._rpc = rpc
        self._session = session
        self._context = context
        self._carrier = carrier
        self._largest = largest
        self._busy = False
        self._over = False

    async def run(self) -> None:
        """Read and write until either ends.

        Raises:
            StoreError: the client was refused, or has sent what cannot be read.
        """
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._carrier.run())
        try:
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                self._carrier.end()
                await writer
                reader.result()
        finally:
            self._over = True
            if not self._busy:
                reader.cancel()
            writer.cancel()
            # A command that was begun is carried out; nothing of the session may be freed before.
            await asyncio.wait((reader, writer))

    async def _read(self) -> None:
        if self._session.admitted:
            await self._welcome()
        while not self._over:
            data: object = await self._context.read()
            if not isinstance(data, bytes):  # grpc.aio.EOF: the client has said all.
                return
            _check_size(data, self._largest)
            self._busy = True
            try:
                await self._take(data)
            finally:
                self._busy = False

    async def _welcome(self) -> None:
        session = self._session
        self._rpc.caller = session.caller
        self._say("connected", {"sessionId": session.id, "user": session.user})
        await session.chats.offer()

    async def _take(self, data: bytes) -> None:
        """Carry out one command and answer it; whoever is not let in by then goes."""
        session, mark = self._session, ""
        before = session.caller if session.admitted else None
        try:
            request = self._parse(data)
            mark = request.id
            command = request.WhichOneof("command")
            if command is None:
                session.spend()
                raise BadRequest("The request holds no command.")
            answer = await session.command(camel(command), read(getattr(request, command)))
        except StoreError as error:
            if not session.admitted:
                raise
            self._say("error", error_data(error), mark)
            return
        self._say("pong" if command == "ping" else "ack", answer, mark)
        if before is None or before.key != session.caller.key:
            await self._welcome()

    def _parse(self, data: bytes) -> chats_pb2.ConverseRequest:
        try:
            return parse(chats_pb2.ConverseRequest, data)
        except BadRequest:
            self._session.spend()
            raise

    def _say(self, name: str, data: object, reply_to: str = "") -> None:
        self._carrier.say(_message(name, data, reply_to))


def _message(name: str, data: object, reply_to: str = "") -> bytes:
    response = chats_pb2.ConverseResponse(reply_to=reply_to)
    part = getattr(response, name)
    part.SetInParent()
    write(part, data)
    return framed(response)


def _pong(cursor: str) -> bytes:
    return _message("pong", {"cursor": cursor})


def error_data(error: StoreError) -> dict[str, object]:
    """A fault as an ``Error`` has it."""
    data: dict[str, object] = {"code": error.code.value, "message": error.detail}
    match error:
        case ValidationFailed():
            data["errors"] = [
                {"field": snake(fault.field), "message": fault.message, "code": fault.code.value}
                for fault in error.violations
            ]
        case CursorExpired():
            data["oldestCursor"] = error.oldest_cursor
        case RateLimited() | Unavailable():
            data["retryAfter"] = error.retry_after
        case _:
            pass
    return data


def _check_size(data: bytes, largest: int) -> None:
    if len(data) > largest:
        raise PayloadTooLarge(f"Messages on a stream have at most {largest} bytes.")
