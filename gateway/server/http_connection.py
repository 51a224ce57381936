"""The client's connection during one HTTP request, on the protocol of `gateway.server.http_protocol`."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from core.kernel.errors import StoreError
from protocols.http.connection import REFUSAL
from protocols.http.problems import HttpError


class WritableProtocol(HttpToolsProtocol):
    """What an `HttpConnection` needs of its protocol, beside uvicorn's own."""

    #: Called each time the connection becomes writable again.
    on_writable: Callable[[], None] | None = None
    #: Whether the peer has said that it sends no more.
    peer_ended: bool = False


class HttpConnection(RequestResponseCycle):
    """uvicorn's cycle, which is also the request's `core.live.connection.ClientConnection`.

    `write` adds a part to the response's body at once, beside ASGI's `send`.
    """

    #: Whether the application waits for nothing but the client's leaving.
    listening = False
    _refused = False

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
        self.keep_alive = False
        self.message_event.set()

    def send(self, message: ASGISendEvent) -> Coroutine[Any, Any, None]:
        """ASGI's ``send``. uvicorn hears of a closed connection a turn of the loop after it may not write any more."""
        if self.transport.is_closing() and not self.response_complete:
            self.disconnected = True
        return super().send(message)

    async def receive(self) -> ASGIReceiveEvent:
        """ASGI's ``receive``."""
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
            self._protocol.tasks.discard(asyncio.current_task())

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
