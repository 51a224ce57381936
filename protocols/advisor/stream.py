"""A completion as Server-Sent Events, as it is made and at the pace of who reads it."""

import asyncio
from itertools import islice

from core.kernel.errors import Closed, StoreError
from core.live.connection import ClientConnection
from core.services.advisor.completions import CompletionStream
from protocols.advisor.errors import breaking_off, closing
from protocols.advisor.wire import Blocks, block
from protocols.http.attendance import Attendance
from protocols.http.connection import connection_of
from protocols.http.exchange import Exchange
from protocols.http.headers import Header

_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
)
#: Blocks that are written at once: between them the loop serves others.
_BLOCKS_AT_ONCE = 128


async def serve_stream(
    exchange: Exchange, attendance: Attendance, stream: CompletionStream, *, include_usage: bool
) -> None:
    """Answer with the stream, and return when the client has it, has left, or is ended by the store.

    A client that reads nothing is dropped by the server itself.
    """
    exchange.state["follows"] = True
    blocks = Blocks(stream, include_usage=include_usage)
    head = {"type": "http.response.start", "status": 201, "headers": [*exchange.common, *_HEADERS]}
    await exchange.send(head)
    await exchange.send({"type": "http.response.body", "body": blocks.opening(), "more_body": True})
    sink = connection_of(exchange.scope)
    try:
        await _write(sink, attendance, stream, blocks)
    except ConnectionResetError:
        return
    except Closed as ended:
        sink.write(block(closing(ended.close)))
    except StoreError as error:
        sink.write(block(breaking_off(error)))
    await exchange.send({"type": "http.response.body", "body": b""})


async def _write(
    sink: ClientConnection, attendance: Attendance, stream: CompletionStream, blocks: Blocks
) -> None:
    """Write blocks while the client reads them and its session goes on.

    Raises:
        ConnectionResetError: the client has left.
        Closed: the store has ended the session.
        StoreError: the answer goes no further.
    """
    while True:
        found = blocks.texts(stream.ready() or await attendance.during(stream.next()))
        part = b"".join(islice(found, _BLOCKS_AT_ONCE))
        while part and (more := b"".join(islice(found, _BLOCKS_AT_ONCE))):
            await attendance.until_writable(sink)
            sink.write(part)
            part = more
            await asyncio.sleep(0)
        await attendance.until_writable(sink)
        if stream.ended:
            sink.write(part + blocks.ending(stream.completion))
            return
        sink.write(part)
