"""The client's connection during one HTTP request, on the protocol of `gateway.server.http_protocol`."""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveEvent,
    ASGISendEvent,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
)
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from core.kernel.errors import StoreError
from protocols.http.connection import REFUSAL
from protocols.http.problems import HttpError

#: How long a connection that was refused still reads.
_LINGER_SECONDS = 1.0


class WritableProtocol(HttpToolsProtocol):
    """What an `HttpConnection` needs of its protocol, beside uvicorn's own."""

    #: Called each time the connection becomes writable again.
    on_writable: Callable[[], None] | None = None
    #: Whether the peer has said that it sends no more.
    peer_ended: bool = False


#: What the value of a header field must not hold (RFC 9110, section 5.5).
_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
#: Names of header fields that were found good; all come from code, so that they are few.
_names: set[bytes] = set()


def _are_names(names: Mapping[bytes, bytes]) -> bool:
    """Whether header fields may have these names, in lower case (RFC 9110, section 5.1)."""
    if names.keys() <= _names:
        return True
    if not all(map(_NAME.fullmatch, names)):
        return False
    _names.update(names)
    return True


class LingeringTransport:
    """A transport whose connection reads on for a while once it is closed.

    Closing a socket with unread data resets the connection, and a reset takes the answer away from a peer that is still
    sending.
    """

    def __init__(self, transport: asyncio.Transport, flow: FlowControl) -> None:
        self._transport = transport
        self._flow = flow

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """End this side behind what was written, and the other in a second at the latest."""
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
            self._flow.resume_reading()
            asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.close)
        else:  # TLS has an end of its own.
            self._transport.close()


class HttpConnection(RequestResponseCycle):
    """uvicorn's cycle, which is also the request's `core.live.connection.ClientConnection`.

    `write` adds a part to the response's body at once, beside ASGI's `send`.
    """

    #: Whether the application waits for nothing but the client's leaving.
    listening = False
    #: Of the response, once it has one.
    status: int | None = None
    #: The head of a response of known length, until its body is there.
    _head: bytes | None = None
    _refused = False
    #: Set by who starts it.
    task: asyncio.Task[None]

    def __init__(self, protocol: WritableProtocol, *, keep_alive: bool) -> None:
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

    def refuse(self, error: StoreError | HttpError) -> None:
        """Have the application find, when it reads on, that the rest of the request is not to be had."""
        self.scope["state"][REFUSAL] = error
        self._refused = True
        self.linger()
        self.message_event.set()

    def linger(self) -> None:
        """Have the connection end with the answer, in a way that a peer who is still sending gets to read it."""
        self.keep_alive = False
        self.transport = cast(asyncio.Transport, LingeringTransport(self.transport, self.flow))

    async def send(self, message: ASGISendEvent) -> None:
        """ASGI's ``send``: a response of known length is written here, and at once; uvicorn writes all others."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        # uvicorn hears of a closed connection a turn of the loop after it may not write any more.
        if self.transport.is_closing() and not self.response_complete:
            self.disconnected = True
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._head = None if self.response_started else self._head_of(message)
            if self._head is not None:
                return
        elif self._head is not None:
            if message["type"] == "http.response.body" and self._is_whole(message):
                body = b"" if self.scope["method"] == "HEAD" else message.get("body", b"")
                self._finish(self._head + body)
                return
            self._write_head()
        await super().send(message)

    def _write_head(self) -> None:
        """Write the head, if it waits for the body, which does not come at once."""
        if self._head is not None:
            self.transport.write(self._head)
            self._head = None

    def _head_of(self, message: HTTPResponseStartEvent) -> bytes | None:
        """The head of a response that says its length, which is begun thereby; None for what is uvicorn's to write."""
        fields = [*self.default_headers, *message.get("headers", ())]
        known = dict(fields)
        length = known.get(b"content-length")
        if length is None or b"connection" in known or not self.keep_alive or not _are_names(known):
            return None
        head = b"\r\n".join(map(b": ".join, fields))
        if len(head) - len(head.translate(None, _CONTROLS)) != 2 * len(fields) - 2:
            return None
        self.response_started = True
        self.waiting_for_100_continue = False
        self.chunked_encoding = False
        self.expected_content_length = int(length)
        return b"%b%b\r\n\r\n" % (STATUS_LINE[message["status"]], head)

    def _is_whole(self, message: HTTPResponseBodyEvent) -> bool:
        if message.get("more_body", False):
            return False
        return self.scope["method"] == "HEAD" or len(message.get("body", b"")) == self.expected_content_length

    def _finish(self, response: bytes) -> None:
        self.transport.write(response)
        self._head = None
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:  # The peer has said in the meantime that it sends no more.
            self.transport.close()
        self.on_response()

    async def receive(self) -> ASGIReceiveEvent:
        """ASGI's ``receive``."""
        self._write_head()
        if not self.more_body and not self.message_event.is_set():
            self.listening = True
            if self._protocol.peer_ended:
                self.transport.close()
        message = await super().receive()
        return {"type": "http.disconnect"} if self._refused else message

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Have the application answer; afterwards nothing refers to it any more."""
        try:
            await super().run_asgi(app)
        finally:
            # The scope leads to this object and back: unbroken, each request would wait for the garbage collector.
            self.scope["extensions"] = {}
            self._protocol.tasks.discard(self.task)

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
        if data:  # An empty chunk would end the body.
            self.transport.write(self._frame(data))

    def _frame(self, data: bytes) -> bytes:
        if not self.chunked_encoding:
            raise RuntimeError("a response of announced length takes no direct writes")
        return b"%x\r\n%b\r\n" % (len(data), data)

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


class UnframedConnection(HttpConnection):
    """The same for HTTP/1.0, which has neither chunks nor ``100 Continue`` (RFC 9112, section 7; RFC 9110, 10.1.1).

    A response whose length is not announced ends with the connection.
    """

    def __init__(self, protocol: WritableProtocol, *, keep_alive: bool) -> None:
        super().__init__(protocol, keep_alive=keep_alive)
        self.waiting_for_100_continue = False
        self._unframed = False

    async def send(self, message: ASGISendEvent) -> None:
        """ASGI's ``send``."""
        if message["type"] == "http.response.start":
            if all(name != b"content-length" for name, _ in message.get("headers", ())):
                self._unframed = True
                self.chunked_encoding = False
        elif self._unframed and message["type"] == "http.response.body":
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)

    def _frame(self, data: bytes) -> bytes:
        if not self._unframed:
            raise RuntimeError("a response of announced length takes no direct writes")
        return data
