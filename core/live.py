"""How events look on the chat doors: the messages of the live vocabulary that a browser's chat speaks.

WebSocket and Socket.IO share these names; each door puts its own frame around them.
"""

from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from core.events import Event


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """A message to a client: ``data`` is encoded JSON; ``chat_id`` is set when it belongs to a chat."""

    name: str
    data: bytes
    chat_id: str | None = None


def plain(event: Event) -> LiveMessage:
    """The event as a domain event: the whole envelope."""
    return LiveMessage("event", event.envelope)


def for_chat(event: Event) -> LiveMessage:
    """The event as a chat client wants it: what happens in a chat has names of its own.

    The place in the log rides in the data as ``cursor``, so that a chat client can resume too.
    """
    name = _CHAT_NAMES.get(event.event_type)
    if name is None:
        return plain(event)
    payload: dict[str, Any] = event.payload
    body = payload.get("message") or payload.get("chat") or payload
    if event.event_type == "chat.typing":
        name = "typingStarted" if payload["typing"] else "typingStopped"
        body = {"userId": payload["userId"]}
    data = dict(body) if event.cursor is None else {**body, "cursor": event.cursor}
    return LiveMessage(name, to_json(data), event.topic.removeprefix("chats/"))


_CHAT_NAMES = {
    "chat.message": "chatMessage",
    "chat.message_delivered": "messageDelivered",
    "chat.message_read": "messageRead",
    "chat.typing": "typing",
    "chat.assigned": "agentAssigned",
    "chat.closed": "chatClosed",
    "presence.changed": "presence",
}
