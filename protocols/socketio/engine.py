"""The Engine.IO layer: the library's server with mailboxes for queues, and WebSockets that are written to directly."""

import asyncio
import contextlib
from typing import Any

import engineio
from engineio.async_drivers import asgi
from starlette.types import Message

from core.kernel.limits import Limits
from protocols.http.closing import TOO_BIG, UNACCEPTABLE
from protocols.http.error_data import error_data
from protocols.http.frames import text_frame
from protocols.http.sockets import Socket, exceeds
from protocols.socketio.mailbox import Mailbox
from protocols.socketio.wire import BadPacket, event_frame

#: How long a client may take to fetch or read the farewell before it is dropped.
_FAREWELL_SECONDS = 2.0


class Engine(engineio.AsyncServer):  # type: ignore[misc]  # the library has no types
    """The library's server, extended where it makes queues, tasks and WebSockets."""

    def __init__(self, limits: Limits, **options: Any) -> None:
        self.limits = limits
        super().__init__(
            async_mode="asgi",
            ping_interval=limits.ping_seconds,
            max_http_buffer_size=limits.frame_bytes,
            http_compression=False,
            # The door does it for all doors alike.
            cors_allowed_origins=[],
            # Mailboxes see for themselves who is gone.
            monitor_clients=False,
            **options,
        )
        self._async = {**asgi._async, "websocket": WebSocket}

    def create_queue(self, *_: Any, **__: Any) -> Mailbox:
        """A mailbox: the library's queue has no bound."""
        return Mailbox(self.limits)

    def start_background_task(self, target: Any, *args: Any, **kwargs: Any) -> Any:
        """Start a task of the library; the ping that a client waits for must not outlive it."""
        task = super().start_background_task(target, *args, **kwargs)
        mailbox = getattr(getattr(target, "__self__", None), "queue", None)
        if isinstance(mailbox, Mailbox):
            mailbox.pinger = task
        return task

    def find(self, sid: str) -> Any:
        """The library's socket of a client who is there, or None."""
        socket = self.sockets.get(sid)
        return None if socket is None or socket.closed or socket.closing else socket

    def mailbox(self, sid: str) -> Mailbox | None:
        """The mailbox of a client who is there."""
        socket = self.find(sid)
        return None if socket is None else socket.queue

    async def finish(self, sid: str) -> None:
        """Disconnect a client after what was written to them."""
        mailbox = self.mailbox(sid)
        if mailbox is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await mailbox.fetched()
        await self.drop(sid)

    async def drop(self, sid: str) -> None:
        """Disconnect a client now.

        Without the library's closing packet: the JavaScript client forgets the events that came in the same payload
        before it, and the Python client does not come back after it.
        """
        socket = self.find(sid)
        if socket is not None:
            await socket.close(wait=False, abort=True, reason=self.reason.SERVER_DISCONNECT)

    def forget(self, socket: Any) -> None:
        """Leave nothing of a client who has been disconnected."""
        self.sockets.pop(socket.sid, None)
        socket.queue.end()


class WebSocket:
    """One WebSocket of a client: the library reads from it; most of what is written goes past the library.

    It stands in for the library's own class of this name, with the same methods.
    """

    def __init__(self, handler: Any, server: Engine) -> None:
        self._handler = handler
        self._engine = server
        self._socket = handler.__self__
        self._mailbox: Mailbox = self._socket.queue
        self._wire: Socket
        self._attached = False
        self._closed = False

    async def __call__(self, environ: dict[str, Any]) -> str:
        """Serve the client until they disconnect or are disconnected."""
        self._wire = Socket(environ["asgi.scope"], environ["asgi.receive"], environ["asgi.send"])
        async with self._wire.accepted():
            if not self._socket.connected:  # Else it is an upgrade, done when the client says so.
                self._attach()
            try:
                await self._handler(self)
            finally:
                await self._release()
        return ""

    def _attach(self) -> None:
        self._attached = True
        self._mailbox.attach(self._wire.connection)

    async def wait(self) -> str:
        """The next packet. It is not read before the client has read enough of what was written to it.

        Raises:
            OSError: the connection has ended, or ends now.
        """
        text = None
        while text is None:
            async with asyncio.timeout(None if self._attached else self._engine.limits.login_seconds):
                message = await self._wire.receive(self._mailbox.rate)
            self._mailbox.rate.count()
            if message["type"] != "websocket.receive" or self._socket.closed:
                raise ConnectionResetError  # What comes behind the end does not count.
            text = self._packet_of(message)
        # As good a sign of life as a pong, which may wait behind what is read slowly.
        self._socket.schedule_ping()
        if not self._attached and text == "5":
            self._attach()
            await self._mailbox.inbox.emptied()
        return text

    def _packet_of(self, message: Message) -> str | None:
        """The packet of a message, if it is one for the library."""
        text: str | None = message.get("text")
        limit = self._engine.limits.frame_bytes
        try:
            if (len(message["bytes"]) > limit) if text is None else exceeds(text, limit):
                self._mailbox.close_code = TOO_BIG
                raise BadPacket(f"Packets have at most {limit} bytes.")
            return self._mailbox.admit(message["bytes"] if text is None else text)
        except BadPacket as error:
            if self._mailbox.close_code == 1000:
                self._mailbox.close_code = UNACCEPTABLE
            self._wire.connection.write(event_frame("error", error_data(error)))
            raise ConnectionAbortedError from None

    async def send(self, message: str) -> None:
        """Write a packet of the library."""
        self._wire.connection.write(text_frame(message.encode()))

    async def close(self) -> None:
        """Send the close frame behind what was written; a peer that does not take it is dropped."""
        if not self._closed:
            self._closed = True
            await self._wire.close(self._mailbox.close_code)

    async def _release(self) -> None:
        """Leave nothing behind; a failed upgrade leaves the client where it was."""
        await self.close()
        if self._attached:
            await self._socket.close(wait=False, abort=True, reason=self._engine.reason.TRANSPORT_CLOSE)
        else:
            self._socket.upgrading = False
