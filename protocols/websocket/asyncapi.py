"""What the AsyncAPI document says of the door: made from the commands of a session and from what the door says back."""

from itertools import chain
from typing import Any

from core.kernel.errors import ErrorCode
from core.kernel.events import EventKind
from core.live.chat_messages import CHAT_FORMS
from core.live.replies import Connected, Pong
from core.live.vocabulary import COMMANDS
from core.models import examples
from core.models.catalogue import EVENTS
from protocols.asyncapi import (
    CHAT_ID,
    Channel,
    DoorDescription,
    Extended,
    MessageDescription,
    chat_messages,
    closed,
    envelope,
    envelope_example,
    summary_of,
)
from protocols.http.closing import CLOSE_CODES, TOO_BIG, UNACCEPTABLE
from protocols.http.error_data import ErrorData, ExpiredData
from protocols.websocket.wire import MAX_MARK_CHARACTERS

_MARK = {
    "type": ["string", "integer"],
    "maxLength": MAX_MARK_CHARACTERS,
    "description": "An id that the client chooses.",
}
_TEXT = {"type": "string"}
_BINDINGS = {
    "ws": {
        "method": "GET",
        "query": {
            "type": "object",
            "properties": {
                "token": {**_TEXT, "description": "An access token, for browsers that cannot send headers."},
                "tenant": {**_TEXT, "description": "The tenant, for browsers that cannot send headers."},
            },
        },
        "headers": {
            "type": "object",
            "properties": {"Authorization": _TEXT, "X-API-Key": _TEXT, "X-Tenant-ID": _TEXT},
        },
        "bindingVersion": "0.1.0",
    }
}


def _type(name: str) -> dict[str, Any]:
    return {"type": "string", "const": name}


def _message(key: str, name: str, summary: str, data: Any, example: Any) -> MessageDescription:
    """What the server says, on its own or in reply to a message that had an ``id``."""
    return MessageDescription(
        key,
        name,
        summary,
        closed({"type": _type(name), "replyTo": _MARK, "data": data}, "replyTo"),
        {"type": name, "replyTo": 1, "data": example},
        more={"correlationId": {"location": "$message.payload#/replyTo"}},
    )


_ERROR = _message(
    "error",
    "error",
    "A message was refused, or the connection ends.",
    ErrorData,
    {"code": ErrorCode.FORBIDDEN.value, "message": "You may not subscribe to 'chats/#'."},
)
_CONNECTED = _message(
    "connected",
    "connected",
    "Who the client is; sent again when that changes.",
    Connected,
    {"sessionId": examples.SESSION_ID, "user": examples.USER},
)
_PONG = _message(
    "pong",
    "pong",
    "A pong: the reply to `ping`, and sent at intervals with the position that a subscriber has reached.",
    Pong,
    {"cursor": examples.CURSOR},
)
_EXPIRED = MessageDescription(
    "cursorExpired",
    "cursorExpired",
    "The cursor expired while the stream was read; the connection ends.",
    closed({"type": _type("cursorExpired"), "data": ExpiredData}),
    {"type": "cursorExpired", "data": {"oldestCursor": examples.CURSOR}},
)


def _command(name: str) -> MessageDescription:
    command = COMMANDS[name]
    given, told = examples.COMMANDS[name]
    fields = command.given.model_fields.values()
    properties = {"type": _type(name), "id": _MARK, "chatId": CHAT_ID, "data": command.given}
    optional = ["id", "chatId"]
    if not any(field.alias == "chatId" for field in fields):
        del properties["chatId"]
    if not any(field.is_required() for field in fields):
        optional.append("data")
    reply = _PONG
    if name != "ping":
        reply = _message(f"{name}.ack", "ack", f"The acknowledgement of `{name}`.", command.reply, told)
    return MessageDescription(
        name,
        name,
        summary_of(command.given),
        closed(properties, *optional),
        {"type": name, "id": 1, "data": given},
        replies=(reply, _ERROR),
        more={"correlationId": {"location": "$message.payload#/id"}},
    )


def _event(kind: EventKind) -> MessageDescription:
    return MessageDescription(
        f"event.{kind.event_type}",
        "event",
        kind.description,
        closed({"type": _type("event"), "data": envelope(kind)}),
        {"type": "event", "data": envelope_example(kind)},
    )


def _of_chat(name: str, kind: EventKind, data: Extended, example: dict[str, Any]) -> MessageDescription:
    return MessageDescription(
        f"chat.{name}",
        name,
        kind.description,
        closed({"type": _type(name), "chatId": CHAT_ID, "data": data}),
        {"type": name, "chatId": examples.CHAT_ID, "data": example},
    )


_RECEIVED = tuple(map(_command, COMMANDS))
_ALWAYS = (_CONNECTED, _ERROR, _PONG, _EXPIRED)
_PLAIN = [kind for kind in EVENTS.values() if kind.event_type not in CHAT_FORMS]


def _close_codes() -> dict[str, list[str]]:
    codes: dict[str, list[str]] = {
        str(UNACCEPTABLE): ["a frame that is not text"],
        str(TOO_BIG): ["too big a frame"],
    }
    for reason, code in CLOSE_CODES.items():
        codes.setdefault(str(code), []).append(reason.value)
    return dict(sorted(codes.items()))


DOOR = DoorDescription(
    "websocket",
    (
        Channel(
            "events",
            "/v1/ws/events",
            "Events in the envelope that all doors share.",
            "JSON in text frames. Without a token in the handshake, the client is a visitor unless their "
            "first message is `authenticate`.",
            received=_RECEIVED,
            sent=(*_ALWAYS, *map(_event, EVENTS.values())),
            bindings=_BINDINGS,
        ),
        Channel(
            "chat",
            "/v1/ws/chat",
            "Chats: their events have message names of their own.",
            "JSON in text frames. A token is required, in the handshake or in a first message `authenticate`.",
            received=_RECEIVED,
            sent=tuple(chain(_ALWAYS, chat_messages(_of_chat), map(_event, _PLAIN))),
            bindings=_BINDINGS,
        ),
    ),
    {"x-close-codes": _close_codes()},
)
