"""MQTT over WebSocket (MQTT 5.0, section 6): the packets are in binary frames, however they are cut."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import cast

from starlette.types import Receive, Scope, Send

from core.caller import Credentials
from core.outlet import QueuedSink, Sink
from protocols.http.credentials import read_credentials
from protocols.http.headers import read_headers
from protocols.mqtt.adapter import MqttDoor

_SUBPROTOCOL = "mqtt"
#: Close codes (RFC 6455, section 7.4.1): the end, and a frame of text.
_NORMAL, _TEXT = 1000, 1003
#: How long a peer may take to read the close frame, in seconds.
_FAREWELL = 2.0


class SocketPeer:
    """A WebSocket as the connection of an MQTT client; ``direct`` is what the server offers to write past ASGI."""

    def __init__(self, direct: Sink | None) -> None:
        self.queue = QueuedSink()
        self.closing = asyncio.Event()
        self.code = _NORMAL
        self._reads = asyncio.Event()
        self._reads.set()
        self._direct = direct
        self._sink: Sink = direct or self.queue

    @property
    def on_writable(self) -> Callable[[], None] | None:
        """Called when the client has read enough for more."""
        return self._sink.on_writable

    @on_writable.setter
    def on_writable(self, callback: Callable[[], None] | None) -> None:
        self._sink.on_writable = callback

    @property
    def writable(self) -> bool:
        """Whether less waits for the client than should."""
        return self._sink.writable

    def write(self, data: bytes) -> None:
        """Write whole packets, as one frame."""
        self._sink.write(data if self._direct is None else _frame(data))

    async def drain(self) -> None:
        """Wait until ``writable``."""
        await self._sink.drain()

    def close(self) -> None:
        """End the connection behind what was written."""
        self.closing.set()

    def abort(self) -> None:
        """Drop the connection now."""
        self.closing.set()
        if self._direct is not None:
            self._direct.abort()  # type: ignore[attr-defined]

    def pause_reading(self) -> None:
        """Take nothing more for now: a server stops reading when nothing is received from it."""
        self._reads.clear()

    def resume_reading(self) -> None:
        """Go on."""
        self._reads.set()

    async def may_read(self) -> None:
        """Wait while reading is paused."""
        await self._reads.wait()


class MqttSocketDoor:
    """``/mqtt`` as an ASGI application."""

    def __init__(self, door: MqttDoor) -> None:
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it goes or is sent off."""
        if (await receive())["type"] != "websocket.connect":
            return
        offered = _SUBPROTOCOL in scope.get("subprotocols", ())
        await send({"type": "websocket.accept", "subprotocol": _SUBPROTOCOL if offered else None})
        peer = SocketPeer(cast(Sink | None, scope.get("extensions", {}).get("petstore.transport")))
        credentials = read_credentials(scope, read_headers(scope["headers"]), in_query=True)
        async with asyncio.TaskGroup() as group:
            carrier = group.create_task(_carry(peer, send, self._door.limits.stall_seconds))
            reader = group.create_task(self._read(peer, credentials, receive))
            closing = group.create_task(peer.closing.wait())
            await asyncio.wait((reader, closing), return_when=asyncio.FIRST_COMPLETED)
            if not reader.done() or not reader.result():
                peer.queue.end()
                await asyncio.wait((carrier,))
                await _close(send, peer.code)
            for task in (carrier, reader, closing):
                task.cancel()

    async def _read(self, peer: SocketPeer, credentials: Credentials, receive: Receive) -> bool:
        """Hand on what comes; says whether it was the client who ended it."""
        connection = self._door.connect(peer, credentials)
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                data = message.get("bytes")
                if data is None:
                    peer.code = _TEXT
                    return False
                connection.data_received(data)
                await peer.may_read()
            return True
        finally:
            connection.ended()


async def _carry(peer: SocketPeer, send: Send, patience: float) -> None:
    """On a server that lets nobody write past ASGI: send what was written."""
    try:
        while data := await peer.queue.taken():
            async with asyncio.timeout(patience):
                await send({"type": "websocket.send", "bytes": data})
    except (OSError, RuntimeError):  # TimeoutError is an OSError. The reader sees that the peer has gone.
        peer.closing.set()
    finally:
        peer.queue.end()


async def _close(send: Send, code: int) -> None:
    with contextlib.suppress(OSError, RuntimeError):  # It may have gone already, or not read any more.
        async with asyncio.timeout(_FAREWELL):
            await send({"type": "websocket.close", "code": code})


def _frame(payload: bytes) -> bytes:
    """A whole, unmasked binary frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x82" + size.to_bytes(1, "big") + payload
    if size < 65536:
        return b"\x82\x7e" + size.to_bytes(2, "big") + payload
    return b"\x82\x7f" + size.to_bytes(8, "big") + payload
