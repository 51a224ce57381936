"""How events look on the chat doors: the messages of the live vocabulary that a browser's chat speaks.

WebSocket and Socket.IO share these names; each door puts its own frame around them.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

from core.kernel.events import Event
from core.kernel.model import Model
from core.models.chats import Chat, Message, PresenceChanged


class Typist(Model):
    """Who has started or stopped typing."""

    user_id: str
    """The id of the user."""


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """A message to a client: ``data`` is encoded JSON; ``chat_id`` is set when it belongs to a chat."""

    name: str
    data: bytes
    chat_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChatForm:
    """How chat clients see a kind of event: under which names, and what of its data.

    What they see is ``shown``, which the event's data has as its member ``part`` (None: it is the data). With an event
    of the log its ``cursor`` is among it.
    """

    names: tuple[str, ...]
    shown: type[BaseModel]
    part: str | None = None


#: What happens in chats, by event type; all else is shown as it is.
CHAT_FORMS: dict[str, ChatForm] = {
    "chat.message": ChatForm(("chatMessage",), Message, "message"),
    "chat.message_delivered": ChatForm(("messageDelivered",), Message, "message"),
    "chat.message_read": ChatForm(("messageRead",), Message, "message"),
    "chat.typing": ChatForm(("typingStarted", "typingStopped"), Typist),
    "chat.assigned": ChatForm(("agentAssigned",), Chat, "chat"),
    "chat.closed": ChatForm(("chatClosed",), Chat, "chat"),
    "presence.changed": ChatForm(("presence",), PresenceChanged),
}


def plain(event: Event) -> LiveMessage:
    """The event as a domain event: the whole envelope."""
    return LiveMessage("event", event.envelope)


def for_chat(event: Event) -> LiveMessage:
    """The event as a chat client wants it: what happens in a chat has names of its own.

    The place in the log rides in the data as ``cursor``, so that a chat client can resume too.
    """
    form = CHAT_FORMS.get(event.event_type)
    if form is None:
        return plain(event)
    payload: dict[str, Any] = event.payload
    name, body = form.names[0], payload if form.part is None else payload[form.part]
    if event.event_type == "chat.typing":
        name = form.names[0 if payload["typing"] else 1]
        body = {"userId": payload["userId"]}
    data = body if event.cursor is None else {**body, "cursor": event.cursor}
    return LiveMessage(name, to_json(data), event.topic.removeprefix("chats/"))
