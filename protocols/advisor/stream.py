"""A completion as Server-Sent Events, at the pace of who reads it."""

import asyncio
from collections.abc import Iterator
from itertools import islice

from core.live.connection import ClientConnection
from core.live.session import Session
from core.models.advisor import Completion
from protocols.advisor.errors import closing
from protocols.advisor.wire import block, blocks
from protocols.http.connection import connection_of
from protocols.http.exchange import Exchange
from protocols.http.headers import Header

_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
)
#: Blocks that are written at once: between them the loop serves others.
_BLOCKS_AT_ONCE = 32


async def serve_stream(
    exchange: Exchange, session: Session, completion: Completion, *, include_usage: bool
) -> None:
    """Answer with the stream, and return when the client has it, has left, or is ended by the store.

    A client that reads nothing is dropped by the server itself.
    """
    exchange.state["follows"] = True
    head = {"type": "http.response.start", "status": 201, "headers": [*exchange.common, *_HEADERS]}
    await exchange.send(head)
    found = blocks(completion, include_usage=include_usage)
    await exchange.send({"type": "http.response.body", "body": next(found), "more_body": True})
    try:
        await _write(connection_of(exchange.scope), session, found)
    except ConnectionResetError:
        return
    await exchange.send({"type": "http.response.body", "body": b""})


async def _write(sink: ClientConnection, session: Session, found: Iterator[bytes]) -> None:
    """Write blocks while the client reads them and its session goes on.

    Raises:
        ConnectionResetError: the client has left.
    """
    while part := b"".join(islice(found, _BLOCKS_AT_ONCE)):
        if not sink.writable:
            await _until_writable(sink, session)
        if session.closed.done():
            sink.write(block(closing(session.closed.result())))
            return
        sink.write(part)
        await asyncio.sleep(0)


async def _until_writable(sink: ClientConnection, session: Session) -> None:
    drained = asyncio.ensure_future(sink.drain())
    try:
        await asyncio.wait((drained, session.closed), return_when=asyncio.FIRST_COMPLETED)
        if drained.done():
            drained.result()
    finally:
        drained.cancel()
