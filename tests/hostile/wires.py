"""Byte by byte: connections that say what they are told to, and what a server says in WebSocket, MQTT and HTTP/2."""

import asyncio
import base64
import contextlib
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

from tests.gateway.server.serving import masked
from tests.waiting import TIMEOUT_SECONDS

#: Bytes that are handed to the kernel at once.
_PIECE_BYTES = 64 * 1024
#: What comes behind a farewell is read for so long, should the server be slow to hang up.
_END_SECONDS = 5.0

OPEN, CLOSED = "open", "closed"


async def talk(
    port: int,
    parts: Iterable[bytes],
    finished: Callable[[bytearray], bool],
    *,
    pause_seconds: float = 0.0,
    patience_seconds: float = TIMEOUT_SECONDS,
) -> tuple[bytes, bool]:
    """Say all parts, and listen meanwhile until ``finished`` says that all was heard, the server hangs up, or patience
    ends.

    Gives what was heard, and whether the server hung up.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = bytearray()

    async def say() -> None:
        with contextlib.suppress(OSError):
            for part in parts:
                for start in range(0, len(part), _PIECE_BYTES):
                    writer.write(part[start : start + _PIECE_BYTES])
                    await writer.drain()
                await asyncio.sleep(pause_seconds)

    saying = asyncio.create_task(say())
    try:
        async with asyncio.timeout(patience_seconds):
            while not finished(heard):
                part = await reader.read(_PIECE_BYTES)
                if not part:
                    return bytes(heard), True
                heard += part
        return bytes(heard), False
    except TimeoutError:
        return bytes(heard), False
    except OSError:  # A reset: what was said came too late to be read.
        return bytes(heard), True
    finally:
        saying.cancel()
        await asyncio.wait((saying,))
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


# --- HTTP ---

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def head(target: str, *fields: str, method: str = "GET", host: str = "Host: test") -> bytes:
    """The head of a request."""
    return "\r\n".join((f"{method} {target} HTTP/1.1", host, *fields, "", "")).encode("latin-1")


def statuses(heard: bytes | bytearray) -> list[str]:
    """The status codes of all answers."""
    return [found.decode() for found in _STATUS.findall(heard)]


class Answers:
    """Counts answers as they come: some inputs have thousands."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._counted = 0
        self._place = 0

    def all_there(self, heard: bytearray) -> bool:
        """Whether so many have begun."""
        for found in _STATUS.finditer(heard, self._place):
            self._counted += 1
            self._place = found.end()
        return self._counted >= self._wanted


# --- WebSocket (RFC 6455) ---

_LAST_PING = b"and now?"


def upgrade(target: str, *, protocol: str = "") -> bytes:
    """A handshake."""
    key = base64.b64encode(bytes(16)).decode()
    offered = (f"Sec-WebSocket-Protocol: {protocol}",) if protocol else ()
    fields = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    return head(target, *fields, f"Sec-WebSocket-Key: {key}", *offered)


def last_ping() -> bytes:
    """A ping behind all else: its pong shows that the server goes on."""
    return masked(_LAST_PING, 0x9)


def frames_of(heard: bytes | bytearray) -> Iterator[tuple[int, bytes]]:
    """Opcode and payload of each whole frame of a server, behind its answer to the handshake."""
    _, _, rest = heard.partition(b"\r\n\r\n")
    while len(rest) >= 2:
        size, start = rest[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(rest[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(rest[2:10], "big"), 10
        if len(rest) < start + size:
            return
        yield rest[0] & 0x0F, bytes(rest[start : start + size])
        rest = rest[start + size :]


def websocket_end(heard: bytes | bytearray) -> str | None:
    """How a conversation ended: by a close code, by the status of a refused handshake, open; None if it goes on."""
    if (found := statuses(heard)) and found[0] != "101":
        return found[0]
    for opcode, payload in frames_of(heard):
        if opcode == 0x8:
            return str(struct.unpack("!H", payload[:2])[0]) if payload else CLOSED
        if opcode == 0xA and payload == _LAST_PING:
            return OPEN
    return None


# --- MQTT ---


def packets_of(heard: bytes | bytearray) -> Iterator[bytes]:
    """Each whole packet of a server."""
    while len(heard) >= 2:
        size, start = 0, 1
        while True:
            if start >= len(heard):
                return
            size |= (heard[start] & 0x7F) << 7 * (start - 1)
            start += 1
            if heard[start - 1] < 0x80:
                break
        if len(heard) < start + size:
            return
        yield bytes(heard[: start + size])
        heard = heard[start + size :]


def mqtt_end(heard: bytes | bytearray) -> str | None:
    """How a conversation ended: by a reason code of CONNACK or DISCONNECT; open where a ping was answered."""
    for packet in packets_of(heard):
        kind = packet[0] >> 4
        if kind == 2 and packet[3]:
            return f"CONNACK {packet[3]}"
        if kind == 14:
            return f"DISCONNECT {packet[2] if len(packet) > 2 else 0}"
        if kind == 13:
            return OPEN
    return None


# --- HTTP/2 (RFC 9113) ---

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 0x1, 0x4
_HTTP2_PING = b"and now?"


def http2_frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    """One frame (section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def fields_block(fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Header fields as literals without indexing, their text not packed (RFC 7541, section 6.2.2)."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


def _text(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    size, encoded = size - 127, b"\x7f"
    while size >= 128:
        encoded += bytes((size & 0x7F | 0x80,))
        size >>= 7
    return encoded + bytes((size,)) + text


def call_fields(method: str, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """The header fields of a gRPC call."""
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", f"/petstore.v1.{method}".encode()),
        (b":authority", b"test"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        *more,
    ]


def http2_last_ping() -> bytes:
    """A ping behind all else."""
    return http2_frame(PING, _HTTP2_PING)


def answers_http2_ping(heard: bytearray) -> bool:
    """Whether the last ping is answered, as far as the end of what was heard tells; some inputs have many answers."""
    return http2_frame(PING, _HTTP2_PING, 1) in heard[-2 * _PIECE_BYTES :]


def http2_end(heard: bytes | bytearray) -> str | None:
    """How a connection ended: by the error code of GOAWAY; open where the last ping was answered."""
    start = 0
    while len(heard) >= start + 9:
        size = int.from_bytes(heard[start : start + 3], "big")
        end = start + 9 + size
        if len(heard) < end:
            break
        payload = heard[start + 9 : end]
        if heard[start + 3] == GOAWAY:
            return f"GOAWAY {int.from_bytes(payload[4:8], 'big')}"
        if heard[start + 3] == PING and heard[start + 4] & 1 and payload == _HTTP2_PING:
            return OPEN
        start = end
    return None
