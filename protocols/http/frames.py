"""WebSocket frames as a server writes them past ASGI."""

from collections.abc import Iterator

_TEXT, _BINARY = b"\x81", b"\x82"


def text_frame(payload: bytes) -> bytes:
    """A whole, unmasked text frame (RFC 6455, section 5.2)."""
    return _frame(_TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    """A whole, unmasked binary frame."""
    return _frame(_BINARY, payload)


def _frame(head: bytes, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return head + size.to_bytes(1, "big") + payload
    if size < 65536:
        return head + b"\x7e" + size.to_bytes(2, "big") + payload
    return head + b"\x7f" + size.to_bytes(8, "big") + payload


def read_frames(data: bytes) -> Iterator[bytes]:
    """The payloads of frames that `text_frame` or `binary_frame` made, joined."""
    place = 0
    while place < len(data):
        size, place = data[place + 1], place + 2
        if size > 125:
            width = 2 if size == 126 else 8
            size, place = int.from_bytes(data[place : place + width], "big"), place + width
        yield data[place : place + size]
        place += size
