"""Subscriptions as event streams: graphql-sse, in its mode of distinct connections."""

import asyncio
from typing import Any

from starlette.types import Receive, Scope, Send

from core.kernel.caller import Caller, Credentials
from core.kernel.errors import Close, CloseReason, CursorExpired, StoreError
from core.live.delivery import QueuedSink, Sink
from core.live.session import Session
from protocols.graphql.delivery import Delivery
from protocols.graphql.door import Door
from protocols.graphql.errors import close_entry, error_entry
from protocols.graphql.execution import Prepared, encode
from protocols.graphql.wire import COMPLETE_BLOCK, EVENT_STREAM, STREAM_WIRE, next_block, place_block
from protocols.http.headers import Header
from protocols.http.transport import Transport, transport_of

#: How long a peer may take to read our farewell before its connection is dropped, in seconds.
_FAREWELL = 2.0
_HEADERS: tuple[Header, ...] = (
    (b"content-type", EVENT_STREAM + b"; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


async def serve_answer(body: bytes, common: list[Header], send: Send) -> None:
    """One answer as a stream that ends."""
    await send({"type": "http.response.start", "status": 200, "headers": [*common, *_HEADERS]})
    await send({"type": "http.response.body", "body": next_block(body) + COMPLETE_BLOCK})


async def serve_stream(
    door: Door,
    prepared: Prepared,
    credentials: Credentials,
    caller: Caller,
    scope: Scope,
    common: list[Header],
    receive: Receive,
    send: Send,
) -> None:
    """Let a client follow a document until he goes or the store ends it.

    Raises:
        Refused: the variables are not what the document declares.
        Unavailable, RateLimited: he cannot be let in.
    """
    membership = None
    scope["state"]["follows"] = True
    session = door.sessions.open(credentials, caller)
    try:
        try:
            membership = door.sharing.join(prepared, caller)
            subscription = await session.open_stream(membership.command)
        except StoreError as error:
            await serve_answer(encode({"errors": [error_entry(error)]}), common, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [*common, *_HEADERS]})
        first = place_block(subscription.cursor)
        await send({"type": "http.response.body", "body": first, "more_body": True})
        stream = _Stream(door, session, transport_of(scope))
        delivery = Delivery(subscription, membership.shared, STREAM_WIRE, stream.sink, stream.on_end)
        await stream.serve(delivery, receive, send)
    finally:
        if membership is not None:
            membership.leave()
        session.leave()


class _Stream:
    """One client's stream after its beginning."""

    def __init__(self, door: Door, session: Session, transport: Transport | None) -> None:
        self.sink: Sink = transport or QueuedSink()
        self._limits = door.limits
        self._session = session
        self._transport = transport
        self._delivery: Delivery | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expired: CursorExpired | None = None

    def on_end(self, reason: CursorExpired | Close) -> None:
        """The subscription has ended."""
        if isinstance(reason, CursorExpired):
            self._expired = reason
            reason = Close(CloseReason.CURSOR_EXPIRED, reason.detail, reason.oldest_cursor)
        self._session.close(reason)

    async def serve(self, delivery: Delivery, receive: Receive, send: Send) -> None:
        """Carry what is due until the end."""
        self._delivery = delivery
        self.sink.on_writable = delivery.pump
        self._timer = asyncio.get_running_loop().call_later(self._limits.heartbeat_seconds, self._beat)
        tasks = [asyncio.create_task(_until_gone(receive))]
        if isinstance(self.sink, QueuedSink):
            tasks.append(asyncio.create_task(self._carry(self.sink, send)))
        try:
            waiting: list[asyncio.Future[Any]] = [*tasks, self._session.closed]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self._session.closed.done() and not tasks[0].done():
                await self._say_goodbye(tasks, send)
        finally:
            delivery.close()
            self.sink.on_writable = None
            if self._timer is not None:
                self._timer.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _beat(self) -> None:
        """Tell the reader his place, so that a quiet one's does not grow old."""
        self._timer = asyncio.get_running_loop().call_later(self._limits.heartbeat_seconds, self._beat)
        if self.sink.writable and self._delivery is not None and not self._session.closed.done():
            self.sink.write(place_block(self._delivery.cursor))

    async def _carry(self, sink: QueuedSink, send: Send) -> None:
        """On a server without our transport: send what was written."""
        try:
            while data := await sink.taken():
                async with asyncio.timeout(self._limits.stall_seconds):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
        except (OSError, RuntimeError):
            pass  # The peer has gone or reads nothing: there is nobody to tell.
        finally:
            sink.end()

    async def _say_goodbye(self, tasks: list["asyncio.Task[None]"], send: Send) -> None:
        assert self._delivery is not None
        self._delivery.close()
        close = self._session.closed.result()
        entry = (
            error_entry(self._expired)
            if self._expired is not None
            else close_entry(close, self._delivery.cursor)
        )
        farewell = next_block(encode({"errors": [entry]})) + COMPLETE_BLOCK
        try:
            async with asyncio.timeout(_FAREWELL):
                if isinstance(self.sink, QueuedSink):
                    self.sink.end()
                    await asyncio.wait(tasks[1:])
                await send({"type": "http.response.body", "body": farewell})
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()
        except (OSError, RuntimeError):
            pass  # It has gone already.


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
