"""Frames and messages: what goes over a WebSocket, in both directions."""

from dataclasses import dataclass
from typing import Any

import orjson

from core.kernel.errors import BadRequest
from core.kernel.events import Event
from core.live.chat_messages import LiveMessage, for_chat, plain
from protocols.http.frames import text_frame
from protocols.http.json_text import LoneSurrogate, read_json

#: Of the mark that a client gives a message.
MAX_MARK_CHARACTERS = 128
_MEMBERS = frozenset({"type", "id", "chatId", "data"})


def message_frame(name: str, data: object, reply_to: object = None) -> bytes:
    """A message of the server as a text frame."""
    message: dict[str, object] = {"type": name}
    if reply_to is not None:
        message["replyTo"] = reply_to
    message["data"] = data
    return text_frame(orjson.dumps(message))


def live_payload(message: LiveMessage) -> bytes:
    """A live message as JSON, around its data as it is already encoded."""
    chat = b"" if message.chat_id is None else b',"chatId":' + orjson.dumps(message.chat_id)
    return b'{"type":"%b"%b,"data":%b}' % (message.name.encode(), chat, message.data)


class EventFrames:
    """Frames of the domain-event socket: every event as ``event`` with the envelope."""

    def encode(self, event: Event) -> bytes:
        """One text frame."""
        return text_frame(self.payload(event))

    def payload(self, event: Event) -> bytes:
        """The frame's content."""
        return live_payload(plain(event))


class ChatFrames(EventFrames):
    """Frames of the chat socket: what happens in chats under its chat names."""

    def payload(self, event: Event) -> bytes:
        """The frame's content."""
        return live_payload(for_chat(event))


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """A message of the client: ``id`` is its own mark, which comes back as ``replyTo``."""

    name: str
    data: dict[str, Any]
    id: str | int | None = None


class BadMessage(BadRequest):
    """A text frame that is no message; ``mark`` is the client's ``id`` when that much could be read."""

    def __init__(self, detail: str, mark: str | int | None = None) -> None:
        super().__init__(detail)
        self.mark = mark


def read_message(text: str) -> ClientMessage:
    """Read a text frame.

    Raises:
        BadMessage: it is not a JSON object of the form ``{"type", "id"?, "chatId"?, "data"?}``.
    """
    lone: LoneSurrogate | None = None
    try:
        value = read_json(text)
    except LoneSurrogate as error:
        value, lone = error.value, error
    except ValueError:
        raise BadMessage("The frame is not JSON.") from None
    if not isinstance(value, dict):
        raise BadMessage('A message is a JSON object with a "type".')
    mark = value.get("id")
    if (
        isinstance(mark, bool)
        or not isinstance(mark, str | int | None)
        or len(str(mark)) > MAX_MARK_CHARACTERS
    ):
        raise BadMessage(f'"id" is a text of at most {MAX_MARK_CHARACTERS} characters, or a whole number.')
    if lone is not None:
        raise BadMessage(lone.detail, mark)
    if not isinstance(value.get("type"), str):
        raise BadMessage('A message is a JSON object with a "type".', mark)
    if unknown := sorted(value.keys() - _MEMBERS):
        raise BadMessage(f"A message has no member '{unknown[0][:64]}'.", mark)
    data = value.get("data")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise BadMessage('"data" is a JSON object.', mark)
    if value.get("chatId") is not None:
        data = {"chatId": value["chatId"], **data}
    return ClientMessage(value["type"], data, mark)
