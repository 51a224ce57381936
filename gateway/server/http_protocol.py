"""uvicorn's HTTP/1.1 protocol, opened for direct writes, and with bounds on unfinished requests."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.server.progress import PeerProgress
from gateway.server.transport import EXTENSION

#: Bytes after which a request head that is still not complete is refused.
LARGEST_HEAD = 64 * 1024

_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class HttpTransport:
    """The `gateway.server.transport.Transport` of one HTTP response: `write` takes parts of its body."""

    __slots__ = ("_cycle", "_protocol")

    def __init__(self, protocol: "HttpProtocol", cycle: RequestResponseCycle) -> None:
        self._protocol = protocol
        self._cycle = cycle

    @property
    def on_writable(self) -> Callable[[], None] | None:
        """Called each time `writable` becomes true again."""
        return self._protocol.on_writable

    @on_writable.setter
    def on_writable(self, callback: Callable[[], None] | None) -> None:
        # Of pipelined requests only one is being answered at a time, so the connection needs one callback.
        self._protocol.on_writable = callback

    @property
    def writable(self) -> bool:
        """Whether more may be written without growing the buffer beyond its high-water mark."""
        return not self._protocol.flow.write_paused and not self._ended()

    def write(self, data: bytes) -> None:
        """Write one chunk of the body; nothing happens once the response is complete or the peer gone."""
        cycle = self._cycle
        if not cycle.response_started:
            raise RuntimeError("the response has not been started yet")
        if self._ended() or cycle.scope["method"] == "HEAD":
            return
        if not cycle.chunked_encoding:
            raise RuntimeError("a response of announced length takes no direct writes")
        if data:  # An empty chunk would end the body.
            cycle.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def buffered(self) -> int:
        """Bytes that wait in this process for the peer."""
        return self._protocol.transport.get_write_buffer_size()

    async def drain(self) -> None:
        """Wait until `writable` is true; ConnectionResetError when the response has ended instead."""
        await self._protocol.flow.drain()
        if self._ended():
            raise ConnectionResetError("the response has ended")

    def abort(self) -> None:
        """Drop the TCP connection now."""
        if not self._cycle.response_complete:  # It may serve another request by now.
            self._protocol.abort()

    def stalled_for(self) -> float:
        """Seconds for which the peer has taken nothing though data waits for it."""
        return self._protocol.stalled_for()

    def _ended(self) -> bool:
        cycle = self._cycle
        return cycle.response_complete or cycle.disconnected or cycle.transport.is_closing()


class HttpProtocol(HttpToolsProtocol):
    """One HTTP/1.1 connection until it closes or becomes a WebSocket.

    Beside giving the application an `HttpTransport`, it bounds the size of a request head, and knows since
    when the peer owes the rest of a request: uvicorn itself waits without end for a first request, and for
    the remainder of any.
    """

    progress: PeerProgress
    on_writable: Callable[[], None] | None = None
    _owing_since: float | None = None
    _in_head = False
    _head_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self.progress = PeerProgress(transport)
        self._owing_since = self.loop.time()

    def abort(self) -> None:
        """Drop the TCP connection now."""
        self.transport.abort()

    def stalled_for(self) -> float:
        """Seconds for which the peer has taken nothing though data waits for it."""
        return self.progress.stalled_for()

    def silent_for(self) -> float:
        """Seconds for which the peer has owed us the rest of a request; 0 when nothing is owed.

        A head counts from its first byte, so that drops of it gain no time; a body from its last one.
        """
        if self._owing_since is None:
            return 0.0
        now = self.loop.time()
        if self.flow.read_paused:
            self._owing_since = now  # It is we who do not listen.
        return now - self._owing_since

    def resume_writing(self) -> None:
        """Wake who waits for the buffer to empty."""
        super().resume_writing()
        if self.on_writable is not None and not self.transport.is_closing():
            self.on_writable()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, and refuse a head that does not end."""
        if self._owing_since is None and not self._answering():
            # Also bytes that begin no request (an empty line) switch uvicorn's keep-alive time-out off.
            self._owing_since = self.loop.time()
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_size += len(data)
            if self._head_size > LARGEST_HEAD:
                self.transport.write(_HEAD_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """Begin a request head."""
        super().on_message_begin()
        self._in_head = True
        self._head_size = 0
        if self._owing_since is None:
            self._owing_since = self.loop.time()

    def on_headers_complete(self) -> None:
        """Begin the answer, with the transport among the extensions of its scope."""
        super().on_headers_complete()
        self._in_head = False
        self._owing_since = self.loop.time()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and cycle.scope is self.scope:  # Not so for a WebSocket handshake.
            scope = cast("dict[str, Any]", self.scope)
            scope["extensions"] = {EXTENSION: HttpTransport(self, cycle)}

    def on_body(self, body: bytes) -> None:
        """Take a part of the request body: the peer is at work."""
        super().on_body(body)
        self._owing_since = self.loop.time()

    def on_message_complete(self) -> None:
        """End the request: the next word is ours."""
        super().on_message_complete()
        self._owing_since = None

    def on_response_complete(self) -> None:
        """End the answer, and with it the application's interest in the connection."""
        self.on_writable = None
        super().on_response_complete()

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn says it is never None; at first it is.
        return cycle is not None and not cycle.response_complete
