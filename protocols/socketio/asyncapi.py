"""What the AsyncAPI document says of the door: made from the commands of a session and from what the door says back."""

from itertools import chain
from typing import Any

from core.kernel.errors import ErrorCode
from core.kernel.events import EventKind
from core.live.chat_messages import CHAT_FORMS
from core.live.replies import Connected, JoinedChat, Pong
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
from protocols.http.error_data import ErrorData, ExpiredData
from protocols.socketio.connection import Handshake

_FORBIDDEN = {"code": ErrorCode.FORBIDDEN.value, "message": "You may not subscribe to 'chats/#'."}
_REFUSED = MessageDescription(
    "refused",
    "refused",
    "The acknowledgement of an event that was refused.",
    closed({"ok": {"type": "boolean", "const": False}, "error": ErrorData}),
    {"ok": False, "error": _FORBIDDEN},
)
_ERROR = MessageDescription(
    "error",
    "error",
    "An event without acknowledgement was refused, or the connection ends.",
    ErrorData,
    _FORBIDDEN,
)
_CONNECTED = MessageDescription(
    "connected",
    "connected",
    "Who the client is; sent again when that changes.",
    Connected,
    {"sessionId": examples.SESSION_ID, "user": examples.USER, "topics": ["#"], "cursor": examples.CURSOR},
)
_ENTERED = MessageDescription(
    "connected.chat",
    "connected",
    "The client has joined a chat.",
    JoinedChat,
    examples.COMMANDS["joinChat"][1],
)
_EXPIRED = MessageDescription(
    "cursorExpired",
    "cursorExpired",
    "The cursor expired while the stream was read; the client is disconnected.",
    ExpiredData,
    {"oldestCursor": examples.CURSOR},
)
_PONG = MessageDescription(
    "pong",
    "pong",
    "At intervals, the position that a subscriber has reached.",
    Pong,
    {"cursor": examples.CURSOR},
)
_CONNECT_ERROR = MessageDescription(
    "connect_error",
    "connect_error",
    "The connection is refused.",
    closed({"message": {"type": "string"}, "data": ErrorData}),
    {"message": _FORBIDDEN["message"], "data": _FORBIDDEN},
)
_CONNECT = MessageDescription(
    "connect",
    "connect",
    "The handshake: what a client sends as `auth`.",
    Handshake,
    {"token": "eyJhbGciOi…", "topics": ["#"], "cursor": examples.CURSOR},
    replies=(_CONNECTED, _CONNECT_ERROR),
)


def _command(name: str) -> MessageDescription:
    command = COMMANDS[name]
    given, told = examples.COMMANDS[name]
    reply = MessageDescription(
        f"{name}.ack",
        "ack",
        f"The acknowledgement of `{name}`.",
        closed({"ok": {"type": "boolean", "const": True}, "data": command.reply}),
        {"ok": True, "data": told},
    )
    return MessageDescription(
        name, name, summary_of(command.given), command.given, given, replies=(reply, _REFUSED)
    )


def _event(kind: EventKind) -> MessageDescription:
    return MessageDescription(
        f"event.{kind.event_type}", "event", kind.description, envelope(kind), envelope_example(kind)
    )


def _of_chat(name: str, kind: EventKind, data: Extended, example: dict[str, Any]) -> MessageDescription:
    return MessageDescription(f"chat.{name}", name, kind.description, data, example)


DOOR = DoorDescription(
    "socketio",
    (
        Channel(
            "default",
            "/socket.io/",
            "Events and chats, in the default namespace.",
            "The name of a message is the name of the Socket.IO event, its payload the one argument; a reply is "
            "the acknowledgement. Engine.IO protocol 4, by long-polling and by WebSocket.",
            received=(_CONNECT, *map(_command, COMMANDS)),
            sent=tuple(
                chain(
                    (_CONNECTED, _ENTERED, _ERROR, _PONG, _EXPIRED),
                    chat_messages(_of_chat, chatId=CHAT_ID),
                    (_event(kind) for kind in EVENTS.values() if kind.event_type not in CHAT_FORMS),
                )
            ),
        ),
    ),
)
