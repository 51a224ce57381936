"""One client's WebSocket, from its acceptance to its end, for the doors that talk on one."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from core.live.delivery import QueuedSink, Sink
from protocols.http.closing import FAULT
from protocols.http.frames import read_frames
from protocols.http.transport import transport_of

log = logging.getLogger(__name__)

#: How long a peer may take to read the close frame before its connection is dropped, in seconds.
_FAREWELL = 2.0
#: Bytes of a close frame's reason (RFC 6455, section 5.5).
_REASON = 123


class Socket:
    """Frames are written to ``sink``, whose writes never wait; what the client sends, `receive` gives.

    On our server the sink is the connection. On any other one a task carries what waits in the sink by ASGI's
    ``send``; ``on_stalled`` is called when a message is not taken for ``patience`` seconds, which our server sees to
    itself. Whatever the peer does, `close` takes a bounded time.
    """

    __slots__ = (
        "_binary", "_carrier", "_patience", "_receive", "_send", "_span", "_tasks", "_transport", "on_stalled", "sink",
    )  # fmt: skip

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, patience: float, binary: bool = False
    ) -> None:
        self.on_stalled: Callable[[], None] | None = None
        self._receive = receive
        self._send = send
        self._patience = patience
        self._binary = binary
        self._transport = transport_of(scope)
        self.sink: Sink = self._transport or QueuedSink()
        self._carrier: asyncio.Task[None] | None = None
        self._span = asyncio.timeout(None)
        self._tasks: set[asyncio.Task[None]] = set()

    async def connected(self) -> bool:
        """Take the handshake's first message; says whether the client is still there."""
        message = await self._receive()
        return bool(message["type"] == "websocket.connect")

    @contextlib.asynccontextmanager
    async def accepted(self, subprotocol: str | None = None) -> AsyncIterator[None]:
        """Accept the client and talk to him in the block, which is cancelled when he has to be dropped.

        What fails in it is logged, and the client is told that it was not his fault. At its end no task is left.
        """
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})
        if isinstance(self.sink, QueuedSink):
            self._carrier = asyncio.create_task(self._carry(self.sink))
            self._keep(self._carrier)
        try:
            async with self._span:
                try:
                    yield
                except Exception:  # The door's boundary.
                    log.exception("a WebSocket failed")
                    await self.close(FAULT, "Something went wrong on our side.")
        except TimeoutError:
            if not self._span.expired():
                raise
        finally:
            if self._tasks:
                for task in self._tasks:
                    task.cancel()
                await asyncio.wait(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside, until the connection ends at the latest."""
        self._keep(asyncio.create_task(work))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, sink: QueuedSink) -> None:
        """On a server without our transport: send what was written, one message at a time."""
        try:
            while data := await sink.taken():
                for payload in read_frames(data):
                    content = {"bytes": payload} if self._binary else {"text": payload.decode()}
                    async with asyncio.timeout(self._patience):
                        await self._send({"type": "websocket.send", **content})
        except TimeoutError:
            if self.on_stalled is not None:
                self.on_stalled()
        except (OSError, RuntimeError):
            pass  # The peer has gone; the reader sees it too.
        finally:
            sink.end()

    async def receive(self) -> Message:
        """The client's next message, once he has read most of what was written to him: else answers would pile up."""
        if not self.sink.writable:
            with contextlib.suppress(ConnectionResetError):  # The end has begun: it is a message too.
                await self.sink.drain()
        return await self._receive()

    async def close(self, code: int, reason: str = "") -> None:
        """Send the close frame behind what was written; a peer that does not take it is dropped."""
        reason = reason.encode()[:_REASON].decode(errors="ignore")
        try:
            async with asyncio.timeout(_FAREWELL):
                if isinstance(self.sink, QueuedSink) and self._carrier is not None:
                    self.sink.end()
                    await asyncio.wait((self._carrier,))
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except TimeoutError:
            self.abort()
        except (OSError, RuntimeError):
            pass  # It has gone already.

    def abort(self) -> None:
        """Drop the connection now; where the server offers no way to, end its block."""
        if self._transport is not None:
            self._transport.abort()
        else:
            with contextlib.suppress(RuntimeError):  # It has ended already.
                self._span.reschedule(asyncio.get_running_loop().time())


def exceeds(text: str, limit: int) -> bool:
    """Whether a text has more bytes in UTF-8 than the limit; they are counted only where it may be."""
    return len(text) * 4 > limit and len(text.encode()) > limit
