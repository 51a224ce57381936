"""uvicorn's HTTP/1.1 protocol, opened for direct writes, and with bounds on unfinished requests."""

import asyncio
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.server.http_connection import HttpConnection, WritableProtocol
from gateway.server.progress import PeerProgress
from protocols.http.connection import EXTENSION

#: A request head that is longer, or still not complete then, is refused.
MAX_HEAD_BYTES = 64 * 1024

_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class HttpProtocol(WritableProtocol):
    """One HTTP/1.1 connection until it closes or becomes a WebSocket.

    Beside giving the application an `HttpConnection`, it bounds the size of a request head, and knows since when the
    peer owes the rest of a request: uvicorn itself waits without end for a first request, and for the remainder of any.
    It has no timer for idle connections either: the server's monitor ends them.
    """

    progress: PeerProgress
    _owing_since: float | None = None
    _ended_at = 0.0
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
        """Seconds for which the peer has owed the rest of a request; 0 when nothing is owed.

        A head counts from its first byte, so that drops of it gain no time; a body from its last one.
        """
        if self._owing_since is None:
            return 0.0
        now = self.loop.time()
        if self.flow.read_paused:
            self._owing_since = now  # It is the server that does not read.
        return now - self._owing_since

    def idle_for(self) -> float:
        """Seconds since the last request and its answer, both complete; 0 while one is under way."""
        idle = self._owing_since is None and not self._answering()
        return self.loop.time() - self._ended_at if idle else 0.0

    def resume_writing(self) -> None:
        """Wake who waits for the buffer to empty."""
        super().resume_writing()
        if self.on_writable is not None and not self.transport.is_closing():
            self.on_writable()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, and refuse a head that does not end."""
        if self._owing_since is None and not self._answering():
            # Also bytes that begin no request (an empty line) end its idleness.
            self._owing_since = self.loop.time()
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_size += len(data)
            if self._head_size > MAX_HEAD_BYTES:
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
        """Begin the call, or leave a WebSocket handshake for the end of the head.

        It stands in for uvicorn's method, which names the class of its cycle in its midst.
        """
        self._in_head = False
        self._owing_since = self.loop.time()
        parser, scope = self.parser, cast("dict[str, Any]", self.scope)
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        if parser.should_upgrade() and self._should_upgrade():
            return
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        before: RequestResponseCycle | None = self.cycle  # uvicorn says it is never None; at first it is.
        connection = HttpConnection(self, keep_alive=version != "1.0" and parser.should_keep_alive())
        scope["extensions"] = {EXTENSION: connection}
        self.cycle = connection
        if before is None or before.response_complete:
            self._start_asgi_task(connection, self.app)
        else:  # Pipelined: it waits until the ones before it are answered.
            self.flow.pause_reading()
            self.pipeline.appendleft((connection, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        # The call takes itself out again: a callback for it would cost a turn of the loop.
        self.tasks.add(self.loop.create_task(cycle.run_asgi(app)))

    def on_body(self, body: bytes) -> None:
        """Take a part of the request body: the peer is at work."""
        super().on_body(body)
        self._owing_since = self.loop.time()

    def on_message_complete(self) -> None:
        """End the request: the server is to respond."""
        super().on_message_complete()
        self._owing_since = None
        self._ended_at = self.loop.time()

    def on_response_complete(self) -> None:
        """End the answer, and with it the application's use of the connection; go on to the next request."""
        self.on_writable = None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._ended_at = self.loop.time()

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete
