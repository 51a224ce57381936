"""uvicorn's WebSocket protocol, opened for direct writes and mended where it fails a server of streams."""

import asyncio
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import unquote

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from core.kernel.errors import ErrorCode
from core.kernel.turns import Slices
from gateway.server.progress import PeerProgress
from protocols.http.connection import EXTENSION
from protocols.http.headers import request_id_of
from protocols.http.problems import (
    HEADER_FIELDS_TOO_LARGE,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    UPGRADE_REQUIRED,
    URI_TOO_LONG,
    HttpError,
    problem_response,
    problem_type,
)
from protocols.http.sockets import NO_MESSAGE

#: How long a connection that failed still reads, so that the peer gets to see why.
LINGER_SECONDS = 2.0

#: Close codes (RFC 6455, section 7.4.1).
GOING_AWAY, INVALID_DATA = 1001, 1007

#: How much may wait for an application that reads slowly before its peer is not read from any more. Up to there the
#: peer's pings are answered however far it is ahead.
_READ_AHEAD_BYTES = 256 * 1024
#: What a waiting frame takes besides its content.
_FRAME_COST_BYTES = 256
#: Bytes that are parsed between two looks at how much waits and at the clock.
_SLICE_BYTES = 4096
_ENDS = ("websocket.connect", "websocket.disconnect")


#: Why the library, or the HTTP server itself, refuses a handshake; anything else is a bad request.
_PROBLEMS = {
    kind.status: kind
    for kind in (
        problem_type(ErrorCode.INTERNAL),
        METHOD_NOT_ALLOWED,
        URI_TOO_LONG,
        UPGRADE_REQUIRED,
        HEADER_FIELDS_TOO_LARGE,
    )
}


class WebSocketConnection:
    """The `core.live.connection.ClientConnection` of a WebSocket: `write` takes whole frames."""

    __slots__ = ("_protocol", "on_writable")

    def __init__(self, protocol: "WebSocketProtocol") -> None:
        self._protocol = protocol
        self.on_writable: Callable[[], None] | None = None

    @property
    def writable(self) -> bool:
        """Whether more may be written without growing the buffer beyond its high-water mark."""
        return self._protocol.writable.is_set() and not self._protocol.ended()

    def write(self, data: bytes) -> None:
        """Write whole frames; nothing happens once a close frame went either way."""
        protocol = self._protocol
        # The state stands at OPEN from the 101 to the first close frame in either direction.
        if protocol.conn.state is State.OPEN and not protocol.transport.is_closing():
            protocol.transport.write(data)
        elif not protocol.handshake_complete:
            raise RuntimeError("the WebSocket handshake is not accepted yet")

    async def drain(self) -> None:
        """Wait until `writable` is true; ConnectionResetError when the connection has ended instead."""
        await self._protocol.writable.wait()
        if self._protocol.ended():
            raise ConnectionResetError("the WebSocket is closed")

    def abort(self) -> None:
        """Drop the TCP connection now."""
        self._protocol.abort()


class _Parser(ServerProtocol):
    """The library's parser, where a message that is not complete does not stand in the way of a close frame."""

    def recv_frame(self, frame: Frame) -> None:
        """Take a frame; a close frame may come amid a fragmented message (RFC 6455, section 5.4)."""
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection from its handshake on.

    Beside giving the application a `WebSocketConnection`, it differs from uvicorn's class in this:

    * a peer is not given up for lost while the server does not read from it, or while it works through a backlog in
      which the server's ping still waits;
    * a peer that sends pings and does not read the pongs is not read from either;
    * what is no message (a ping, a pong that nobody asked for, a fragment) is told to the application as
      `NO_MESSAGE`, for it may be held against the peer;
    * an application that reads slowly does not keep its peer's pings from being answered, up to a bound;
    * a text that is not UTF-8 ends the connection (1007) and is no error of the server;
    * the close frame that says what was wrong (1009, 1007) reaches a peer that is still sending;
    * a close frame amid a fragmented message is answered with its own code;
    * a handshake that the library refuses is answered with a problem document, also where its parser did (a header line
      over 8 KiB);
    * frames that come before the handshake is answered wait for that, and those of a burst are parsed in slices that
      let others in;
    * an MQTT client is not pinged;
    * shutting down says 1001, going away.
    """

    progress: PeerProgress
    edge_at_ping: int
    #: What the application has yet to take, in bytes; and what came behind it, which is not even parsed.
    _ahead = 0
    _unparsed = b""
    #: Whether its turn will come by itself.
    _turn_comes = False
    #: Whether the peer broke the rules. What it had sent behind that may have been parsed already.
    _failed = False

    def __init__(self, *arguments: Any, slices: Slices, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._slices = slices

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the connection from the HTTP protocol."""
        super().connection_made(transport)
        self.conn = _Parser(max_size=self.config.ws_max_size, logger=self.logger)
        self.progress = PeerProgress(self.transport)
        self.conn.reject = self._reject  # type: ignore[method-assign]
        self.direct = WebSocketConnection(self)

    def ended(self) -> bool:
        """Whether no frame can follow any more."""
        return self.close_sent or self.disconnected or self.transport.is_closing()

    def abort(self) -> None:
        """Drop the TCP connection now."""
        self.transport.abort()

    def stalled_for(self) -> float:
        """Seconds for which the peer has taken nothing though data waits for it."""
        return self.progress.stalled_for()

    def silent_for(self) -> float:
        """Always 0: a WebSocket peer owes nothing but pongs, which the keepalive minds."""
        return 0.0

    def idle_for(self) -> float:
        """Always 0: it is there to be quiet."""
        return 0.0

    async def run_asgi(self) -> None:
        """Run the application, with the connection among the extensions of its scope."""
        extensions = cast("dict[str, Any]", self.scope["extensions"])
        extensions[EXTENSION] = self.direct
        await super().run_asgi()

    async def send(self, message: ASGISendEvent) -> None:
        """ASGI's ``send``; with a refusal the handshake is over, and the application may return.

        Raises:
            ClientDisconnected: there is nobody to be accepted any more; uvicorn would go on as if there were.
        """
        if message["type"] == "websocket.accept" and self.transport.is_closing():
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True
        if message["type"] == "websocket.accept":
            self._resume_reading()
        if not self.read_paused:  # It may be the close frame: the peer's may be there already.
            self._parse(b"")

    def start_keepalive(self) -> None:
        """Begin to ping. The handshake is over: it is let go, for nobody reads its two sets of headers again.

        MQTT minds its peers itself, and paho answers a ping with an unmasked frame, which would have to be the end
        of the connection (RFC 6455, section 5.1).
        """
        if self.response.headers.get("Sec-WebSocket-Protocol") != "mqtt":
            super().start_keepalive()
        del self.request, self.response

    def resume_writing(self) -> None:
        """Wake who waits for the buffer to empty: tasks by the event, the callback at once."""
        super().resume_writing()
        self._resume_reading()
        if self.direct.on_writable is not None and not self.ended():
            self.direct.on_writable()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; answer a handshake that the parser itself refused."""
        if not self.handshake_initiated:  # The head comes as a whole, from the HTTP protocol.
            self._target = data.split(b" ", 2)[1]
        self._parse(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.handshake_complete = self.close_sent = True
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def _reject(self, status: int, text: str) -> Response:
        """Why the library refuses a handshake; which version there is helps who asked for another (RFC 6455, 4.4)."""
        kind = _PROBLEMS.get(status, problem_type(ErrorCode.BAD_REQUEST))
        path = unquote(self._target.partition(b"?")[0].decode("latin-1"))
        problem = problem_response(HttpError(kind, text.partition("\n")[0]), path)
        headers = Headers(
            {
                "Connection": "close",
                "Content-Length": str(len(problem.body)),
                "Content-Type": MEDIA_TYPE,
                "Cache-Control": "no-store",
                "Sec-WebSocket-Version": "13",
                "X-Request-ID": request_id_of({}).decode(),
                "X-Content-Type-Options": "nosniff",
            }
        )
        return Response(kind.status, kind.title, headers, problem.body)

    def _parse(self, data: bytes, *, its_turn: bool = False) -> None:
        """Parse as much as the application should have waiting; no frame before the handshake is over.

        It goes on while the turn of the loop is not over, which all connections share. ``its_turn``: a first slice may
        begin.
        """
        data, self._unparsed = self._unparsed + data, b""
        if self.handshake_initiated and not self.handshake_complete:
            self._unparsed = data
            if len(data) > _READ_AHEAD_BYTES:
                self._pause_reading()
            return
        for start in range(0, len(data), _SLICE_BYTES):
            if self.read_paused:
                self._unparsed = data[start:]
                return
            if self.handshake_initiated and (start or not its_turn) and self._slices.over:
                self._unparsed = data[start:]
                self._parse_soon(first=not (start or its_turn))
                return
            super().data_received(data[start : start + _SLICE_BYTES])

    def _parse_soon(self, *, first: bool) -> None:
        """Go on in the next turn of the loop, and listen no further until then."""
        if not self._turn_comes:
            self._turn_comes = True
            self.transport.pause_reading()
            self._slices.later(self._next_turn, first=first)

    def _next_turn(self) -> None:
        self._turn_comes = False
        if not self.read_paused:  # Else it goes on when the application has less to take.
            self._go_on(its_turn=True)

    def _go_on(self, *, its_turn: bool = False) -> None:
        """Parse what waits, and listen again behind it."""
        if self.transport.is_closing():
            return
        self._parse(b"", its_turn=its_turn)
        if not (self.read_paused or self._turn_comes or self.transport.is_closing()):
            self.transport.resume_reading()

    async def receive(self) -> ASGIReceiveEvent:
        """What the application takes next."""
        message = await self.queue.get()
        self._ahead -= _cost_of(message)
        self._resume_reading()
        return message

    def _enqueue(self, message: ASGIReceiveEvent) -> None:
        """Have the application take a frame; listen no further while it has enough of them."""
        if self.close_sent:
            return
        self.queue.put_nowait(message)
        self._ahead += _cost_of(message)
        if self._ahead > _READ_AHEAD_BYTES:
            self._pause_reading()

    def _pause_reading(self) -> None:
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        """Listen again, where the application has little to take and the peer takes what is written."""
        if self.read_paused and self.writable.is_set() and self._ahead <= _READ_AHEAD_BYTES // 2:
            self.read_paused = False
            self._go_on()

    def send_receive_event_to_app(self) -> None:
        """Have the application take a message."""
        data, self.frames = b"".join(self.frames), []
        if self.curr_msg_data_type == "bytes":
            self._enqueue({"type": "websocket.receive", "bytes": data})
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            if not self.close_sent:
                self.conn.fail(INVALID_DATA, "Texts are UTF-8.")
                self.handle_parser_exception()
        else:
            self._enqueue({"type": "websocket.receive", "text": text})

    def handle_text(self, event: Frame) -> None:
        """Take a text or the begin of one."""
        super().handle_text(event)
        self._note_fragment(event)

    def handle_bytes(self, event: Frame) -> None:
        """Take binary data or the begin of it."""
        super().handle_bytes(event)
        self._note_fragment(event)

    def handle_cont(self, event: Frame) -> None:
        """Take a part of a message; its rest may never come."""
        super().handle_cont(event)
        self._note_fragment(event)

    def _note_fragment(self, frame: Frame) -> None:
        if not frame.fin:
            self._enqueue(cast("ASGIReceiveEvent", NO_MESSAGE))

    def handle_close(self, event: Frame) -> None:
        """Answer, unless this side has ended for a fault of the peer's before."""
        if not self._failed:
            super().handle_close(event)

    def handle_ping(self) -> None:
        """Answer, and listen no further while the answers are not read, for they would pile up here."""
        if self._failed:
            return
        super().handle_ping()
        self._enqueue(cast("ASGIReceiveEvent", NO_MESSAGE))
        if not self.writable.is_set():
            self._pause_reading()

    def handle_pong(self, event: Frame) -> None:
        """Take a sign of life."""
        if self.pending_ping_payload is None or bytes(event.data) != self.pending_ping_payload:
            self._enqueue(cast("ASGIReceiveEvent", NO_MESSAGE))
        super().handle_pong(event)

    def send_keepalive_ping(self) -> None:
        """Ping, and note how far the peer had read."""
        super().send_keepalive_ping()
        self.edge_at_ping = self.progress.window_edge()

    def keepalive_timeout(self) -> None:
        """Close with 1011 unless the missing pong is the server's doing or only late.

        Reading stops while the application has enough to take, and an application that only pushes takes
        nothing: its peer's pongs lie unread. And a peer that reads slowly, but reads, has not come to the
        ping yet; whether one reads at all is for the server's monitor to say.
        """
        if self.read_paused or self.progress.window_edge() > self.edge_at_ping:
            self.pong_timer = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()

    def handle_parser_exception(self) -> None:
        """Send the close frame, end this side, and read on for a while without looking at what comes.

        Closing a socket that has unread data resets the connection, and a reset takes the close frame away
        from a peer that is still sending.
        """
        if self.close_timer is None and self.conn.parser_exc is not None and not self._failed:
            self.handle_events()  # What came before the fault counts, as if it had come by itself.
        self._fail()

    def _fail(self) -> None:
        if self.close_timer is not None or self._failed:
            return
        self._failed = True
        closing = self.conn.close_sent
        assert closing is not None
        self.stop_keepalive()
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": closing.code, "reason": closing.reason}
        )
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._unparsed = b""
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def shutdown(self) -> None:
        """Close because the server goes away: 1001 after the handshake, 500 before it."""
        if self.handshake_complete and not self.close_sent:
            self.stop_keepalive()
            self.queue.put_nowait({"type": "websocket.disconnect", "code": GOING_AWAY})
            if self.conn.state is State.OPEN:
                self.conn.send_close(GOING_AWAY)
                self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.transport.close()
        else:
            super().shutdown()


def _cost_of(message: ASGIReceiveEvent) -> int:
    """What a frame takes while it waits, in bytes; the beginning and the end do not count."""
    content = message.get("text") or message.get("bytes") or ""
    return 0 if message["type"] in _ENDS else _FRAME_COST_BYTES + len(cast("str | bytes", content))
