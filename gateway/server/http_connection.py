"""The client's connection during one HTTP request, on the protocol of `gateway.server.http_protocol`."""

import asyncio
from collections.abc import Callable

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class WritableProtocol(HttpToolsProtocol):
    """What an `HttpConnection` needs of its protocol, beside uvicorn's own."""

    #: Called each time the connection becomes writable again.
    on_writable: Callable[[], None] | None = None


class HttpConnection(RequestResponseCycle):
    """uvicorn's cycle, which is also the request's `core.live.connection.ClientConnection`.

    `write` adds a part to the response's body at once, beside ASGI's `send`.
    """

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
