"""The peer: Starlette with a queue for each client, on WebSocket (/ws) and on SSE (/sse)."""

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from benchmarks.control import serve
from benchmarks.message import text

QUEUE_SIZE = 100
queues: set[asyncio.Queue[str]] = set()


async def websocket(socket: WebSocket) -> None:
    """Sends what is broadcast, while a second task reads: else the server would see neither pongs nor the close."""
    await socket.accept()
    queue: asyncio.Queue[str] = asyncio.Queue(QUEUE_SIZE)
    reader = asyncio.create_task(_drain(socket))
    queues.add(queue)
    try:
        await socket.send_text("ready")
        while True:
            await socket.send_text(await queue.get())
    except WebSocketDisconnect:
        pass
    finally:
        queues.discard(queue)
        reader.cancel()


async def _drain(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def sse(_: Request) -> StreamingResponse:
    """Streams what is broadcast, as events."""

    async def stream() -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue(QUEUE_SIZE)
        queues.add(queue)
        try:
            yield ": ready\n\n"
            while True:
                yield f"data: {await queue.get()}\n\n"
        finally:
            queues.discard(queue)

    return StreamingResponse(stream(), media_type="text/event-stream")


async def feed(seconds: float) -> int:
    """Broadcasts for so many seconds; the bounded queues hold it back."""
    end, counter, last = time.monotonic() + seconds, 0, False
    while not last:
        last = time.monotonic() >= end
        counter += 1
        message = text(counter, last=last)
        for queue in tuple(queues):
            await queue.put(message)
        await asyncio.sleep(0)
    return counter


app = Starlette(routes=[WebSocketRoute("/ws", websocket), Route("/sse", sse)])

if __name__ == "__main__":
    serve(app, feed)
