"""A program that serves an endless stream until a signal comes. With the argument `stuck` it never drains."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from gateway.server.listening import listen, socket_port
from gateway.server.server import Server, ServerOptions, stopped_by_signals

draining = asyncio.Event()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def events() -> AsyncIterator[str]:
    try:
        yield "event\n"
        await draining.wait()
        yield "farewell\n"
    finally:
        say("stream")


async def stream(request: Request) -> StreamingResponse:
    return StreamingResponse(events())


async def drain() -> None:
    say("drained")
    if "stuck" not in sys.argv:
        draining.set()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    say("lifespan")


async def main() -> None:
    app = Starlette(routes=[Route("/", stream)], lifespan=lifespan)
    server = Server(app, ServerOptions(drain_limit=1000), on_drain=drain)
    sockets = listen("127.0.0.1", 0)
    with stopped_by_signals(server.stop):
        say(str(socket_port(sockets)))
        await server.serve(sockets)
    say("after")


if __name__ == "__main__":
    uvloop.run(main())
