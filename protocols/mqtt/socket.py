"""MQTT over WebSocket (MQTT 5.0, section 6): packets in binary frames, whose bounds mean nothing."""

import asyncio
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from protocols.http.closing import UNACCEPTABLE
from protocols.http.credentials import read_credentials
from protocols.http.frames import binary_frame
from protocols.http.headers import read_headers
from protocols.http.sockets import NO_MESSAGE, Socket
from protocols.mqtt.connection import Connection
from protocols.mqtt.server import MqttServer

_SUBPROTOCOL = "mqtt"
#: The close code (RFC 6455, section 7.4.1), whatever the reason: that is in the last packet.
_NORMAL_CLOSURE = 1000


class WebSocketConnection:
    """A WebSocket as the network connection of an MQTT client."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._connection = socket.connection
        self._reading = asyncio.Event()
        self._reading.set()

    @property
    def on_writable(self) -> Callable[[], None] | None:
        """Called when the client has read enough for more."""
        return self._connection.on_writable

    @on_writable.setter
    def on_writable(self, callback: Callable[[], None] | None) -> None:
        self._connection.on_writable = callback

    @property
    def writable(self) -> bool:
        """Whether less waits for the client than should."""
        return self._connection.writable

    def write(self, data: bytes) -> None:
        """Write whole packets, as one frame."""
        self._connection.write(binary_frame(data))

    async def drain(self) -> None:
        """Wait until ``writable``."""
        await self._connection.drain()

    def close(self) -> None:
        """End the connection behind what was written."""
        self._reading.set()
        self._socket.spawn(self._socket.close(_NORMAL_CLOSURE))

    def abort(self) -> None:
        """Drop the connection now."""
        self._reading.set()
        self._connection.abort()

    def pause_reading(self) -> None:
        """Take no more bytes: the server stops reading from the client when nothing is received from it."""
        self._reading.clear()

    def resume_reading(self) -> None:
        """Take bytes again."""
        self._reading.set()

    async def wait_for_reading(self) -> None:
        """Wait while reading is paused."""
        await self._reading.wait()


class MqttSocketDoor:
    """``/mqtt`` as an ASGI application."""

    def __init__(self, server: MqttServer) -> None:
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it goes or is disconnected."""
        socket = Socket(scope, receive, send)
        if not await socket.connected():
            return
        offered = _SUBPROTOCOL in scope.get("subprotocols", ())
        credentials = read_credentials(scope, read_headers(scope["headers"]), in_query=True)
        async with socket.accepted(_SUBPROTOCOL if offered else None):
            network = WebSocketConnection(socket)
            connection = Connection(self._server, network, credentials)
            try:
                while (message := await receive())["type"] != "websocket.disconnect":
                    if message == NO_MESSAGE:
                        if connection.session is not None:
                            connection.session.rate.count()
                            await connection.session.rate.ready()
                        continue
                    data = message.get("bytes")
                    if data is None:
                        await socket.close(UNACCEPTABLE, "MQTT is in binary frames.")
                        return
                    connection.data_received(data)
                    await network.wait_for_reading()
            finally:
                connection.ended()
                if connection.session is not None:
                    caller = connection.session.caller
                    scope.setdefault("state", {}).update(caller=caller.key, tenant=caller.tenant)
