"""Subscriptions as event streams: graphql-sse, in its mode of distinct connections."""

import asyncio
from typing import Any

from starlette.types import Receive, Scope, Send

from core.kernel.caller import Caller, Credentials
from core.kernel.errors import Close, CloseReason, CursorExpired, StoreError
from core.live.connection import ClientConnection
from core.live.session import Session
from protocols.graphql.delivery import Delivery
from protocols.graphql.door import Door
from protocols.graphql.errors import close_entry, error_entry
from protocols.graphql.execution import Prepared, encode
from protocols.graphql.wire import COMPLETE_BLOCK, EVENT_STREAM, STREAM_WIRE, next_block, place_block
from protocols.http.connection import connection_of
from protocols.http.headers import Header

#: How long a peer may take to read our farewell before its connection is dropped.
_FAREWELL_SECONDS = 2.0
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
        stream = _Stream(door, session, connection_of(scope))
        delivery = Delivery(subscription, membership.shared, STREAM_WIRE, stream.connection, stream.on_end)
        await stream.serve(delivery, receive, send)
    finally:
        if membership is not None:
            membership.leave()
        session.leave()


class _Stream:
    """One client's stream after its beginning."""

    def __init__(self, door: Door, session: Session, connection: ClientConnection) -> None:
        self.connection = connection
        self._limits = door.limits
        self._session = session
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
        self.connection.on_writable = delivery.pump
        self._timer = asyncio.get_running_loop().call_later(self._limits.heartbeat_seconds, self._beat)
        gone = asyncio.create_task(_until_gone(receive))
        try:
            waiting: list[asyncio.Future[Any]] = [gone, self._session.closed]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self._session.closed.done() and not gone.done():
                await self._say_goodbye(send)
        finally:
            delivery.close()
            self.connection.on_writable = None
            if self._timer is not None:
                self._timer.cancel()
            gone.cancel()
            await asyncio.wait((gone,))

    def _beat(self) -> None:
        """Tell the reader his place, so that a quiet one's does not grow old."""
        self._timer = asyncio.get_running_loop().call_later(self._limits.heartbeat_seconds, self._beat)
        if self.connection.writable and self._delivery is not None and not self._session.closed.done():
            self.connection.write(place_block(self._delivery.cursor))

    async def _say_goodbye(self, send: Send) -> None:
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
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await send({"type": "http.response.body", "body": farewell})
        except TimeoutError:
            self.connection.abort()
        except (OSError, RuntimeError):
            pass  # It has gone already.


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
