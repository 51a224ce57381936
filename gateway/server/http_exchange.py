"""One HTTP request and its response, on a connection of `gateway.server.http_protocol`."""

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Any

from uvicorn._types import ASGI3Application, ASGIReceiveEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

Header = tuple[bytes, bytes]

#: A field name (RFC 9110, section 5.1), in lower case as ASGI wants it.
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
#: Names found to be right, so that one look tells it of nearly every response. Their number is bounded.
_names: frozenset[bytes] = frozenset()
_MAX_NAMES = 1_000
#: What no field may hold but the tabulator; the line ends are counted against those that belong to the head.
_CONTROLS = bytes(byte for byte in range(0x20) if byte != 0x09) + b"\x7f"


class ExchangeProtocol(HttpToolsProtocol):
    """What an `Exchange` needs of its connection, beside uvicorn's own."""

    #: Called each time the connection becomes writable again.
    on_writable: Callable[[], None] | None = None


class Exchange(RequestResponseCycle):
    """uvicorn's cycle with a `send` of our own, and the `core.live.connection.ClientConnection` of the response's body.

    uvicorn's `send` looks at each header by itself, with two regular expressions, and hands over head and body apart.
    That shows in the time of a cached read. Here the head is made and checked as a whole, and goes out together
    with the first part of a body whose length it announces.
    """

    def __init__(self, protocol: ExchangeProtocol, *, keep_alive: bool) -> None:
        super().__init__(
            scope=protocol.scope,
            transport=protocol.transport,
            flow=protocol.flow,
            logger=protocol.logger,
            access_logger=protocol.access_logger,
            access_log=False,  # Ours is written elsewhere, and without query strings.
            default_headers=protocol.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=protocol.expect_100_continue,
            keep_alive=keep_alive,
            on_response=protocol.on_response_complete,
        )
        self._protocol = protocol
        self._held = b""

    # -- the ASGI side -------------------------------------------------------------------------------------

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Have the application answer; afterwards nothing refers to it any more."""
        try:
            await super().run_asgi(app)
        finally:
            # The scope leads to this object and back: unbroken, each request would wait for the garbage collector.
            self.scope["extensions"] = {}
            self._protocol.tasks.discard(asyncio.current_task())

    async def receive(self) -> ASGIReceiveEvent:
        """Wait for the client; a held head is sent before."""
        self._release()
        return await super().receive()

    async def send(self, message: Any) -> None:
        """Take the start of the response, or a part of its body."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        expected = "http.response.body" if self.response_started else "http.response.start"
        if self.response_complete or message["type"] != expected:
            raise RuntimeError(f"Unexpected ASGI message {message['type']!r}.")
        if self.response_started:
            self._continue(message.get("body", b""), more=message.get("more_body", False))
        else:
            self._start(message["status"], message.get("headers", ()))

    def _start(self, status: int, given: Iterable[Header]) -> None:
        headers = [*self.default_headers, *given]
        fields = dict(headers)
        if not _names.issuperset(fields):
            headers = [(name.lower(), value) for name, value in headers]
            fields = dict(headers)
            _learn(fields)
        length = fields.get(b"content-length")
        chunked = fields.get(b"transfer-encoding", b"").lower() == b"chunked"
        closing = b"connection" in fields and b"close" in (
            token.strip().lower()
            for name, value in headers
            if name == b"connection"
            for token in value.split(b",")
        )
        if not (self.keep_alive or closing):
            headers.append((b"connection", b"close"))
        if length is None and not chunked and self.scope["method"] != "HEAD" and status not in (204, 304):
            chunked = True
            headers.append((b"transfer-encoding", b"chunked"))
        head = b"%b%b\r\n\r\n" % (STATUS_LINE[status], b"\r\n".join(map(b": ".join, headers)))
        if len(head) - len(head.translate(None, _CONTROLS)) != 2 * (len(headers) + 2):
            raise RuntimeError("Invalid HTTP header value.")
        # Only now, for a response that can't be started is answered by a 500 in its stead.
        self.response_started = True
        self.waiting_for_100_continue = False
        self.keep_alive = self.keep_alive and not closing
        if length is None or chunked:
            self.chunked_encoding = chunked or None
            self.transport.write(head)
        else:
            self.chunked_encoding = False
            self.expected_content_length = int(length)
            self._held = head

    def _continue(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            body = b""
        elif self.chunked_encoding:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("Response content longer than Content-Length")
        if self._held:
            body, self._held = self._held + body, b""
        if body:
            self.transport.write(body)
        if more:
            return
        if self.expected_content_length:
            raise RuntimeError("Response content shorter than Content-Length")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _release(self) -> None:
        if self._held:
            self.transport.write(self._held)
            self._held = b""

    # -- the connection -------------------------------------------------------------------------------------

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
        return not self.flow.write_paused and not self._ended()

    def write(self, data: bytes) -> None:
        """Write one chunk of the body; nothing happens once the response is complete or the peer gone."""
        if not self.response_started:
            raise RuntimeError("the response has not been started yet")
        if self._ended() or self.scope["method"] == "HEAD":
            return
        if not self.chunked_encoding:
            raise RuntimeError("a response of announced length takes no direct writes")
        if data:  # An empty chunk would end the body.
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def drain(self) -> None:
        """Wait until `writable` is true; ConnectionResetError when the response has ended instead."""
        await self.flow.drain()
        if self._ended():
            raise ConnectionResetError("the response has ended")

    def abort(self) -> None:
        """Drop the TCP connection now."""
        if not self.response_complete:  # It may serve another request by now.
            self.transport.abort()

    def _ended(self) -> bool:
        return self.response_complete or self.disconnected or self.transport.is_closing()


def _learn(fields: Iterable[bytes]) -> None:
    global _names  # noqa: PLW0603 - what is right once is right in the whole process
    for name in fields:
        if not _NAME.fullmatch(name):
            raise RuntimeError("Invalid HTTP header name.")
    if len(_names) < _MAX_NAMES:
        _names |= frozenset(fields)
