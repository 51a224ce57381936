"""uvicorn's HTTP/1.1 protocol, opened for direct writes, and with bounds on unfinished requests."""

import asyncio
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from core.kernel.errors import BadRequest, StoreError
from core.kernel.turns import Slices
from gateway.server.http_connection import HttpConnection, UnframedConnection, WritableProtocol
from gateway.server.open_connections import OpenConnections
from gateway.server.progress import PeerProgress
from gateway.server.request_head import (
    FRAMING_FIELDS,
    MAX_HEAD_BYTES,
    fault_of_head,
    fault_of_syntax,
    head_too_large,
    target_of,
)
from protocols.http.connection import EXTENSION, REFUSAL
from protocols.http.headers import Header
from protocols.http.problems import HttpError

#: Bytes that are parsed between two looks at the clock.
_SLICE_BYTES = 4096
#: What may wait to be parsed before the peer is not read from.
_MAX_UNPARSED_BYTES = 64 * 1024
#: A body that comes more slowly than this is not waited for without end, however steadily it drips.
_MIN_BODY_BYTES_PER_SECOND = 500


class HttpProtocol(WritableProtocol):
    """One HTTP/1.1 connection until it closes or becomes a WebSocket.

    Beside giving the application an `HttpConnection`, it differs from uvicorn's class in this:

    * it bounds whatever is not a body: heads, the extensions of chunks, trailers (which are dropped, RFC 9110, 6.5.1);
    * it knows since when the peer owes the rest of a request, where uvicorn waits without end, and so without a timer
      for each connection: the server's monitor ends the silent and the idle ones;
    * what it refuses itself is answered by the application, behind the responses that are due before: the error is in
      the state of the scope, under `protocols.http.connection.REFUSAL`;
    * a peer that sends no more after a request gets the answer (not over TLS, where a connection ends as a whole);
    * what came is parsed in slices, and no further than some requests ahead of the one that is answered, so that many
      small ones neither hold the loop nor pile up;
    * what comes with the head of a WebSocket handshake is handed on.
    """

    progress: PeerProgress
    peer_ended = False
    _owing_since: float | None = None
    _ended_at = 0.0
    #: Whether there is a scope that no call was made with yet.
    _begun = False
    _in_head = False
    _in_body = False
    _refused = False
    #: Whether the request names another protocol: the parser stops behind its head.
    _upgrading = False
    #: Bytes since a head, a part of a body or a request was complete, and whether one was among what came now.
    _unproductive = 0
    _progressed = False
    #: What came and is not parsed yet; whether its turn will come by itself; whether the end stands behind it.
    _unparsed = b""
    _turn_comes = False
    _end_waits = False
    _framing: list[Header]
    #: The target of a request whose method the parser does not know.
    _unknown_target = b""
    #: The call that answers now; others may wait behind it.
    _answering: HttpConnection | None = None

    def __init__(
        self, *arguments: Any, open_connections: OpenConnections, slices: Slices, **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        self._open_connections = open_connections
        self._slices = slices

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        if self.client is not None and not self._open_connections.admits(transport, self.client[0]):
            transport.abort()
        self.progress = PeerProgress(transport)
        self._owing_since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the call that answers; the parent knows the latest alone, which may wait behind it."""
        super().connection_lost(exc)
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def abort(self) -> None:
        """Drop the TCP connection now."""
        self.transport.abort()

    def stalled_for(self) -> float:
        """Seconds for which the peer has taken nothing though data waits for it."""
        return self.progress.stalled_for()

    def silent_for(self) -> float:
        """Seconds for which the peer has owed the rest of a request; 0 when nothing is owed.

        A head counts from its first byte, so that drops of it gain no time; each byte of a body gains the time that it
        may take.
        """
        if self._owing_since is None:
            return 0.0
        now = self.loop.time()
        if self.flow.read_paused:
            self._owing_since = now  # It is the server that does not read.
        return now - self._owing_since

    def idle_for(self) -> float:
        """Seconds since the last request and its answer, both complete; 0 while one is under way."""
        idle = self._owing_since is None and self._answering is None
        return self.loop.time() - self._ended_at if idle else 0.0

    def resume_writing(self) -> None:
        """Wake who waits for the buffer to empty."""
        super().resume_writing()
        if self.on_writable is not None and not self.transport.is_closing():
            self.on_writable()

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        if self._unparsed:
            self._unparsed += data
            if len(self._unparsed) > _MAX_UNPARSED_BYTES:
                self.flow.pause_reading()
        else:
            self._parse(data)

    def _parse(self, data: bytes, *, its_turn: bool = False) -> None:
        """Parse a slice, and more while the turn of the loop is not over, which all connections share.

        The rest waits for a later turn, or for the requests before it. ``its_turn``: the first slice may begin.
        """
        for start in range(0, len(data), _SLICE_BYTES):
            if self._refused or self.transport.is_closing():
                return
            if self.pipeline or ((start or not its_turn) and self._slices.over):
                self._unparsed = data[start:]
                self.flow.pause_reading()
                if not self.pipeline:
                    self._parse_soon(first=not (start or its_turn))
                return
            self._parse_slice(data[start : start + _SLICE_BYTES])
            if self.transport.get_protocol() is not self:
                if rest := data[start + _SLICE_BYTES :]:
                    self._hand_on(rest)
                return

    def _parse_soon(self, *, first: bool = False) -> None:
        if not self._turn_comes:
            self._turn_comes = True
            self._slices.later(self._next_turn, first=first)

    def _next_turn(self) -> None:
        """Go on with what came and is not parsed yet."""
        self._turn_comes = False
        if self.pipeline or self.transport.is_closing():
            return
        data, self._unparsed = self._unparsed, b""
        self._parse(data, its_turn=True)
        if self._unparsed or self.transport.is_closing():
            return
        if self._end_waits:
            if not self.eof_received():
                self.transport.close()
        elif not self.pipeline:
            self.flow.resume_reading()

    def _hand_on(self, data: bytes) -> None:
        """Give the rest to the protocol that this connection goes on with."""
        cast(asyncio.Protocol, self.transport.get_protocol()).data_received(data)

    def _parse_slice(self, data: bytes) -> None:
        """Parse a slice, and refuse what does not become a request."""
        if self._owing_since is None and self._answering is None:
            # Also bytes that begin no request (an empty line) end its idleness.
            self._owing_since = self.loop.time()
        self._progressed = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on(memoryview(data)[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if not self._progressed and isinstance(error, httptools.HttpParserInvalidMethodError):
                # The parser stops before the target, which says where the request was to go.
                self._unknown_target = target_of(data)
            self._refuse(fault_of_syntax(error, data))
        if self._progressed:
            self._unproductive = 0
        else:
            self._unproductive += len(data)
            if self._unproductive > MAX_HEAD_BYTES:
                self._refuse(head_too_large())

    def _go_on(self, data: memoryview) -> None:
        """Go on behind the head of a request for another protocol: as a WebSocket, or in HTTP/1.1 all the same."""
        while not self._refused:
            if (self.scope["method"], self.scope["http_version"]) == (
                "GET",
                "1.1",
            ) and super()._should_upgrade():
                self.handle_websocket_upgrade()
                if data:
                    self._hand_on(bytes(data))
                return
            try:
                self._ignore_upgrade()
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._refuse(fault_of_syntax(error, bytes(data)))

    def _ignore_upgrade(self) -> None:
        """Take the request for one of HTTP/1.1, with its body (RFC 9110, section 7.8); the parser would skip that."""
        method, version = self.scope["method"].encode(), self.scope["http_version"].encode()
        head = [b"%b %b HTTP/%b\r\n" % (method, self.url, version)]
        head += [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"".join([*head, b"\r\n"]))

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep the connection for the answers that are due, unless they are for somebody who waits for events.

        Such a stream could not be told from that of a program that was killed.
        """
        if self._unparsed:
            self._end_waits = True
            return True
        answering = self._answering
        if answering is None or self._in_body or answering.listening or self.scheme == "https":
            return None
        self.peer_ended = True
        self.cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """Begin a request head."""
        super().on_message_begin()
        self._begun = self._in_head = True
        self._framing = []
        if self._owing_since is None:
            self._owing_since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field. Those behind the body are dropped: nobody looked at them when the call began."""
        if not self._in_head:
            return
        name = name.lower()
        field = (name, value)
        if name in FRAMING_FIELDS:
            self._framing.append(field)
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
        self.headers.append(field)

    def on_headers_complete(self) -> None:
        """Begin the call, or leave a WebSocket handshake for the end of the head.

        It stands in for uvicorn's method, which names the class of its cycle in its midst.
        """
        self._in_head = False
        self._progressed = True
        if self._refused:
            return
        self._owing_since = self.loop.time()
        parser = self.parser
        version, method = parser.get_http_version(), parser.get_method().decode("ascii")
        self.scope["method"] = method
        self.scope["http_version"] = version
        fault = fault_of_head(method, version, self.url, self._framing, len(self.headers))
        if fault is not None:
            self._refuse(fault)
            return
        self._upgrading = parser.should_upgrade()
        if self._upgrading:
            return
        try:
            url = httptools.parse_url(self.url)
        except httptools.HttpParserInvalidURLError:
            self._refuse(BadRequest("The request's target is not a path."))
            return
        self._in_body = True
        self._call(
            url.path or b"/", url.query or b"", keep_alive=version == "1.1" and parser.should_keep_alive()
        )

    def _call(self, path: bytes, query: bytes, *, keep_alive: bool) -> HttpConnection:
        """Have the application answer the request of the present scope, behind those before it."""
        self._begun = False
        scope = cast("dict[str, Any]", self.scope)
        scope["path"] = unquote(path.decode("ascii")) if b"%" in path else path.decode("ascii")
        scope["raw_path"] = path
        scope["query_string"] = query
        kind = HttpConnection if scope["http_version"] == "1.1" else UnframedConnection
        connection = self.cycle = kind(self, keep_alive=keep_alive)
        scope["extensions"] = {EXTENSION: connection}
        if self._answering is None:
            self._start_asgi_task(connection, self.app)
        else:  # Pipelined: it waits until the ones before it are answered.
            self.flow.pause_reading()
            self.pipeline.appendleft((connection, self.app))
        return connection

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        # The call takes itself out again: a callback for it would cost a turn of the loop.
        connection = self._answering = cast(HttpConnection, cycle)
        connection.task = self.loop.create_task(connection.run_asgi(app))
        self.tasks.add(connection.task)

    def _refuse(self, error: StoreError | HttpError) -> None:
        """Answer what cannot be read on with an error, and read nothing more; the first fault counts."""
        if self._refused:
            return
        self._refused = self._progressed = True
        self._unparsed = b""
        if self._in_body:
            cycle = cast(HttpConnection, self.cycle)
            if cycle.response_started:
                self.transport.close()
            else:  # It learns of it when it reads on.
                cycle.refuse(error)
            self._owing_since = None
            return
        if not self._begun:
            self.on_message_begin()  # Nothing of this request was read.
        self._in_head = False
        scope = cast("dict[str, Any]", self.scope)
        scope.setdefault("method", "GET")
        try:
            path = httptools.parse_url(self.url or self._unknown_target).path or b"/"
        except httptools.HttpParserInvalidURLError:
            path = b"/"
        scope["state"][REFUSAL] = error
        self.expect_100_continue = False
        self._owing_since = None
        connection = self._call(path, b"", keep_alive=False)
        connection.more_body = False
        connection.linger()

    def _should_upgrade(self) -> bool:
        return self._upgrading

    def on_body(self, body: bytes) -> None:
        """Take a part of the request body: the peer is at work."""
        self._progressed = True
        if self._refused:
            return
        super().on_body(body)
        assert self._owing_since is not None
        self._owing_since = min(self.loop.time(), self._owing_since + len(body) / _MIN_BODY_BYTES_PER_SECOND)

    def on_message_complete(self) -> None:
        """End the request: the server is to respond."""
        self._progressed = True
        self._in_body = False
        if self._refused:
            return
        super().on_message_complete()
        self._owing_since = None
        self._ended_at = self.loop.time()

    def on_response_complete(self) -> None:
        """End the answer, and with it the application's use of the connection; go on to the next request."""
        self.on_writable = None
        self._answering = None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._ended_at = self.loop.time()
        if self.pipeline:
            return
        if self._unparsed:
            self._parse_soon()
        else:
            self.flow.resume_reading()
