"""The peer: bare grpc.aio that answers the bytes of a file, and broadcasts with a queue for each subscriber."""

import asyncio
import socket
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import uvloop
from grpc import aio

from benchmarks.control import obey
from benchmarks.message import text
from protocols.grpc._generated.petstore.v1.events_pb2 import Event, EventBatch

QUEUE_SIZE = 100
queues: set[asyncio.Queue[bytes]] = set()


async def get_pet(_: bytes, __: "aio.ServicerContext[bytes, bytes]") -> bytes:
    """The same bytes for every id."""
    return BODY


async def subscribe(_: bytes, context: "aio.ServicerContext[bytes, bytes]") -> None:
    """What is broadcast, a message at a time."""
    queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_SIZE)
    queues.add(queue)
    try:
        await context.send_initial_metadata(())
        while True:
            await context.write(await queue.get())
    finally:
        queues.discard(queue)


async def feed(seconds: float) -> int:
    """Broadcasts for so many seconds; the bounded queues hold it back."""
    end, counter, last = time.monotonic() + seconds, 0, False
    while not last:
        last = time.monotonic() >= end
        counter += 1
        event = Event(event_type="inventory.changed", topic="inventory/DOG/stock")
        event.data["mark"] = text(counter, last=last)
        message = EventBatch(events=(event,)).SerializeToString()
        for queue in tuple(queues):
            await queue.put(message)
        await asyncio.sleep(0)
    return counter


async def main() -> None:
    """Serves until standard input ends."""
    server = aio.server()
    handlers: dict[str, Any] = {
        "GetPet": grpc.unary_unary_rpc_method_handler(get_pet),
        "Subscribe": grpc.unary_stream_rpc_method_handler(subscribe),
    }
    for service in ("PetService", "EventService"):
        # Faster than handlers that are registered method by method, as generated code does it.
        handler = grpc.method_handlers_generic_handler(f"petstore.v1.{service}", handlers)
        server.add_generic_rpc_handlers((handler,))
    with socket.socket() as hold:
        hold.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        hold.bind(("127.0.0.1", 0))
        server.add_insecure_port(f"127.0.0.1:{hold.getsockname()[1]}")
        await server.start()
        await obey(hold, feed)
    await server.stop(0)


if __name__ == "__main__":
    BODY = Path(sys.argv[1]).read_bytes()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
