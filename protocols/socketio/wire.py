"""Packets: Engine.IO messages with Socket.IO packets inside, in both directions.

Everything that leaves is a WebSocket text frame with one Engine.IO packet; for a client who polls the packets are
taken out of their frames again, since only few poll, and not for long.
"""

import re
from typing import Any

import orjson

from core.kernel.errors import BadRequest
from core.kernel.events import Event
from core.live.chat_messages import for_chat
from protocols.http.frames import text_frame
from protocols.http.json_text import LoneSurrogate, read_json

#: What stands between the packets of one HTTP payload (Engine.IO protocol 4, "HTTP long-polling").
SEPARATOR = "\x1e"
#: Digits of the number under which a client waits for an acknowledgement.
_MAX_MARK_DIGITS = 15
#: Engine.IO's message (4) with a Socket.IO packet: kind, namespace, number, JSON.
_MESSAGE = re.compile(rf"4([0-6])(/[^,]*,?)?([0-9]{{0,{_MAX_MARK_DIGITS}}})(.*)", re.DOTALL)
#: Engine.IO's message with a binary event: how many attachments follow, and what is as in an event without.
_BINARY_EVENT = re.compile(r"45([0-9])-(.*)", re.DOTALL)
#: Names that the library calls handlers by; clients have no such events.
_RESERVED = frozenset({"connect", "connect_error", "disconnect", "disconnecting"})


class BadPacket(BadRequest):
    """What no client of this door sends; the connection ends."""


class LiveFrames:
    """Frames of events: the data of a WebSocket message is the one argument of the event."""

    def encode(self, event: Event) -> bytes:
        """One text frame."""
        message = for_chat(event)
        data = message.data
        if message.chat_id is not None:
            # On a WebSocket the chat's id stands beside the data.
            data = orjson.dumps({"chatId": message.chat_id} | orjson.loads(data))
        return text_frame(b'42["%b",%b]' % (message.name.encode(), data))


#: The namespace's end (Socket.IO protocol 5, "DISCONNECT").
DISCONNECT = text_frame(b"41")


def event_frame(name: str, data: object) -> bytes:
    """An event of the server with one argument."""
    return text_frame(b"42" + orjson.dumps([name, data]))


def acknowledgement(mark: int, answer: object) -> bytes:
    """The acknowledgement of a client's event; ``mark`` is the number that it gave the event."""
    return text_frame(b"43%d" % mark + orjson.dumps([answer]))


def connect_error(namespace: str, message: str, data: object) -> bytes:
    """The refusal of a namespace (Socket.IO protocol 5, "CONNECT_ERROR")."""
    start = "44" if namespace == "/" else f"44{namespace},"
    return text_frame(start.encode() + orjson.dumps({"message": message, "data": data}))


def without_attachments(packet: str) -> tuple[str, int]:
    """A binary event as one whose placeholders stand for nothing, and how many attachments follow it."""
    found = _BINARY_EVENT.fullmatch(packet)
    return (packet, 0) if found is None else (f"42{found[2]}", int(found[1]))


def check_packet(packet: str) -> None:
    """Look at a packet of a client before the library does, which forgives garbage at the price of a traceback.

    Raises:
        BadPacket: it is none, binary, or for servers to send.
    """
    match packet[:1]:
        case "1" | "3" | "5":
            pass
        case "2" if packet == "2probe":
            pass
        case "4":
            _check_message(packet)
        case _:
            raise BadPacket("This is no Engine.IO packet of a client.")


def _check_message(packet: str) -> None:
    found = _MESSAGE.fullmatch(packet)
    if found is None:
        raise BadPacket("This is no Socket.IO packet.")
    kind, _, _, rest = found.groups()
    if kind in "56":
        raise BadPacket("Events are text: binary is not taken.")
    if kind not in "012":
        raise BadPacket("This is no Socket.IO packet of a client.")
    value = _json(rest) if rest else None
    if kind != "2":
        return
    if not isinstance(value, list) or not value or not isinstance(value[0], str):
        raise BadPacket("An event is a list that begins with its name.")
    if value[0] in _RESERVED:
        raise BadPacket(f"'{value[0]}' is no event of clients.")


def _json(text: str) -> Any:
    try:
        return read_json(text)
    except LoneSurrogate as error:
        return error.value
    except ValueError:
        raise BadPacket("The packet's data is not JSON.") from None


class Json:
    """The JSON that the library uses: it refuses what is nested too deep, where the standard library's overflows.

    What only its own event or connection is to be refused for stands there in the place of the data, as the error.
    """

    @staticmethod
    def dumps(value: object, **_: object) -> str:
        """Encode."""
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str) -> Any:
        """Decode; what is no JSON is a ValueError."""
        try:
            return read_json(text)
        except LoneSurrogate as error:
            return [error.value[0], error] if isinstance(error.value, list) else error
