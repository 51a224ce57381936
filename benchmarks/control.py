"""The child's side of a server under test: it prints "port <n>", and feeds its clients when it is told to."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.types import ASGIApp

Feed = Callable[[float], Awaitable[int]]
"""Sends messages to all clients for so many seconds; returns how many it sent to each."""


def listen() -> socket.socket:
    """A listening socket on a free port of the loopback address, deep enough for a thousand clients at once."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    return listener


async def obey(listener: socket.socket, feed: Feed | None) -> None:
    """Prints the port, then follows the lines on standard input until it ends."""
    print("port", listener.getsockname()[1], flush=True)
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        command, seconds = line.split()
        if command != b"feed" or feed is None:
            raise ValueError(f"not a command of this server: {line!r}")
        print("fed", await feed(float(seconds)), flush=True)


def serve(app: ASGIApp, feed: Feed | None = None) -> None:
    """Serves an ASGI application on uvicorn with its fastest parts, until standard input ends."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        timeout_graceful_shutdown=1,
    )

    async def main() -> None:
        listener = listen()
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        obeying = asyncio.create_task(obey(listener, feed))
        await asyncio.wait((serving, obeying), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        await obeying

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(main())
