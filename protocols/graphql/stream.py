"""Subscriptions as event streams: graphql-sse, in its mode of distinct connections."""

import asyncio
import contextlib

from starlette.types import Receive, Send

from core.kernel.errors import Close, Closed, StoreError, Unavailable
from core.live.client import Client
from core.live.connection import ClientConnection
from protocols.graphql.completions import completion_answers
from protocols.graphql.door import Door
from protocols.graphql.errors import error_entry, expiry_of, reason_of, refusal_of
from protocols.graphql.execution import Bound, Prepared, encode
from protocols.graphql.shared_executions import SharedDelivery
from protocols.graphql.wire import (
    COMPLETE_BLOCK,
    EVENT_STREAM,
    STREAM_WIRE,
    next_block,
    place_block,
    remark,
)
from protocols.http.attendance import attended
from protocols.http.connection import connection_of
from protocols.http.exchange import Exchange
from protocols.http.headers import Header

#: How long a peer may take to read the farewell before its connection is dropped.
_FAREWELL_SECONDS = 2.0
_HEADERS: tuple[Header, ...] = (
    (b"content-type", EVENT_STREAM + b"; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
)


async def serve_answer(body: bytes, exchange: Exchange) -> None:
    """One answer as a stream that ends."""
    await _start(exchange)
    await exchange.send({"type": "http.response.body", "body": next_block(body) + COMPLETE_BLOCK})


async def _start(exchange: Exchange) -> None:
    headers = [*exchange.common, *_HEADERS]
    await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})


async def serve_completion(door: Door, bound: Bound, exchange: Exchange) -> None:
    """Let the advisor answer a client, as it makes its answer and at the client's pace.

    Raises:
        Unavailable, RateLimited: the client cannot be let in.
    """
    assert exchange.credentials is not None
    exchange.state["follows"] = True
    session = door.sessions.open(exchange.credentials, bound.executor.context_value.caller)
    sink = connection_of(exchange.scope)
    try:
        await _start(exchange)
        await exchange.send({"type": "http.response.body", "body": b"", "more_body": True})
        async with (
            attended(exchange, session) as attendance,
            contextlib.aclosing(completion_answers(door.store, bound)) as answers,
        ):
            while (answer := await attendance.during(anext(answers, None))) is not None:
                await attendance.until_writable(sink)
                sink.write(next_block(answer))
        end = COMPLETE_BLOCK
    except ConnectionResetError:
        return
    except Closed as ended:
        end = remark(reason_of(ended.close))
    except StoreError as error:
        end = next_block(encode({"errors": [error_entry(error)]})) + COMPLETE_BLOCK
    finally:
        session.leave()
    await exchange.send({"type": "http.response.body", "body": end})


async def serve_stream(door: Door, prepared: Prepared, bound: Bound, exchange: Exchange) -> None:
    """Let a client follow a document until it goes or the store ends it.

    A client that comes back says by ``Last-Event-ID`` where it was; browsers do so of themselves, beside the address
    that they began with.

    Raises:
        Unavailable, RateLimited: it cannot be let in.
    """
    membership = None
    assert exchange.credentials is not None
    exchange.state["follows"] = True
    session = door.sessions.open(exchange.credentials, bound.executor.context_value.caller)
    stream = _Stream(connection_of(exchange.scope))
    try:
        try:
            last = exchange.headers.get(b"last-event-id", b"").decode("latin-1") or None
            membership = door.shared_executions.join(prepared, bound, resumes=last)
            cursor = await session.follow(membership.command)
        except Unavailable as error:
            # The end of a stream brings every client back, which an error, or another status than 200, would not.
            await _start(exchange)
            await exchange.send({"type": "http.response.body", "body": remark(refusal_of(error)[1])})
            return
        except StoreError as error:
            await serve_answer(encode({"errors": [error_entry(error)]}), exchange)
            return
        await _start(exchange)
        await exchange.send({"type": "http.response.body", "body": place_block(cursor), "more_body": True})
        delivery = SharedDelivery(stream.sink, membership.shared, STREAM_WIRE, session.close)
        client = Client(session, stream, delivery)
        try:
            client.start_heartbeat(door.limits.heartbeat_seconds)
            await _until_ended(stream.ended, exchange.receive, exchange.send)
        finally:
            client.release()
    finally:
        stream.release()
        if membership is not None:
            membership.leave()
        session.leave()


async def _until_ended(ended: asyncio.Future[None], receive: Receive, send: Send) -> None:
    """Wait until the client goes; or end the response when the client has been told that its stream has ended."""
    gone = asyncio.create_task(_until_gone(receive))
    try:
        await asyncio.wait((gone, ended), return_when=asyncio.FIRST_COMPLETED)
        if not gone.done():
            with contextlib.suppress(OSError, RuntimeError):  # It has gone already.
                await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        await asyncio.wait((gone,))


class _Stream:
    """One client's stream after its beginning."""

    __slots__ = ("_timer", "ended", "sink")

    def __init__(self, connection: ClientConnection) -> None:
        self.sink = connection
        #: Set when the farewell is written.
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None

    def heartbeat(self, cursor: str | None) -> bytes:
        """See `core.live.client.Peer`."""
        assert cursor is not None, "a stream follows from its beginning"
        return place_block(cursor)

    def farewell(self, close: Close, cursor: str | None) -> bytes:
        """See `core.live.client.Peer`: only what cannot go on is told to be complete; else clients come back by
        themselves."""
        assert cursor is not None, "a stream follows from its beginning"
        if (error := expiry_of(close)) is not None:
            return next_block(encode({"errors": [error_entry(error)]})) + COMPLETE_BLOCK
        return place_block(cursor) + remark(reason_of(close))

    def disconnect(self, _: Close) -> None:
        """See `core.live.client.Peer`: the response ends behind what was written, if the peer reads that."""
        self.ended.set_result(None)
        self._timer = asyncio.get_running_loop().call_later(_FAREWELL_SECONDS, self.sink.abort)

    def release(self) -> None:
        """Leave nothing behind."""
        if self._timer is not None:
            self._timer.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
