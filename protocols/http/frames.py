"""WebSocket frames as a server writes them past ASGI, and what it writes them to."""

from collections.abc import Iterator
from typing import Protocol

from core.outlet import Sink


class Transport(Sink, Protocol):
    """What a server may offer to write past ASGI (``extensions["petstore.transport"]``)."""

    def abort(self) -> None:
        """Drop the connection now."""


def text_frame(payload: bytes) -> bytes:
    """A whole, unmasked text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def read_frames(data: bytes) -> Iterator[bytes]:
    """The payloads of frames that `text_frame` made, joined."""
    place = 0
    while place < len(data):
        size, place = data[place + 1], place + 2
        if size > 125:
            width = 2 if size == 126 else 8
            size, place = int.from_bytes(data[place : place + width], "big"), place + width
        yield data[place : place + size]
        place += size
