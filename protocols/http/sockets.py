"""One client's WebSocket, from its acceptance to its end, for the doors that talk on one."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from core.live.inbound_rate import InboundRate
from protocols.http.closing import FAULT
from protocols.http.connection import connection_of

log = logging.getLogger(__name__)

#: How long a peer may take to read the close frame before its connection is dropped.
_FAREWELL_SECONDS = 2.0
#: Bytes of a close frame's reason (RFC 6455, section 5.5).
_MAX_REASON_BYTES = 123

#: What the server tells an application of a frame that is no message: a ping, a pong, a fragment.
NO_MESSAGE: Message = {"type": "petstore.no_message"}


class Socket:
    """Frames are written to ``connection``, whose writes never wait; what the client sends, `receive` gives.

    Whatever the peer does, `close` takes a bounded time.
    """

    __slots__ = ("_receive", "_send", "_tasks", "connection")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.connection = connection_of(scope)
        self._receive = receive
        self._send = send
        self._tasks: set[asyncio.Task[None]] = set()

    async def connected(self) -> bool:
        """Take the handshake's first message; says whether the client is still there."""
        message = await self._receive()
        return bool(message["type"] == "websocket.connect")

    @contextlib.asynccontextmanager
    async def accepted(self, subprotocol: str | None = None) -> AsyncIterator[None]:
        """Accept the client and talk to it in the block.

        What fails in it is logged, and the client is told that the server is to blame. At its end no task is left.
        """
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})
        try:
            yield
        except Exception:  # The door's boundary.
            log.exception("a WebSocket failed")
            await self.close(FAULT, "Something went wrong on our side.")
        finally:
            if self._tasks:
                for task in self._tasks:
                    task.cancel()
                await asyncio.wait(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside, until the connection ends at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def receive(self, rate: InboundRate) -> Message:
        """The client's next message, when it is time for one.

        That is once they have read most of what was written to them, else replies would pile up, and when their rate
        allows it. What is no message is counted here, a message is left to the door to count.
        """
        while True:
            if not self.connection.writable:
                with contextlib.suppress(ConnectionResetError):  # The end has begun: it is a message too.
                    await self.connection.drain()
            await rate.ready()
            message = await self._receive()
            if message != NO_MESSAGE:
                return message
            rate.count()

    async def close(self, code: int, reason: str = "") -> None:
        """Send the close frame behind what was written; a peer that does not take it is dropped."""
        reason = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except TimeoutError:
            self.connection.abort()
        except (OSError, RuntimeError):
            pass  # It has gone already.


def exceeds(text: str, limit: int) -> bool:
    """Whether a text has more bytes in UTF-8 than the limit; they are counted only where it may be."""
    return len(text) * 4 > limit and len(text.encode()) > limit
