"""Support chats: what is kept and shown, what clients send, and the events that chats cause."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from core.kernel.errors import BadRequest
from core.kernel.events import EventKind
from core.kernel.model import (
    Body,
    ById,
    Choice,
    FilledLine,
    Identifier,
    Model,
    Paged,
    Resource,
    Text,
    Timestamp,
)


class ChatStatus(Choice):
    """The state of a chat: WAITING for an agent → ASSIGNED to one → CLOSED."""

    WAITING = "WAITING"
    ASSIGNED = "ASSIGNED"
    CLOSED = "CLOSED"


class SenderRole(Choice):
    """The part of the sender of a message in a chat."""

    CUSTOMER = "CUSTOMER"
    AGENT = "AGENT"
    SYSTEM = "SYSTEM"


class Chat(Resource):
    """A conversation between a customer and the store's agents."""

    collection: ClassVar[str | None] = "chats"

    subject: str | None = None
    customer_id: str
    agent_id: str | None = None
    status: ChatStatus
    created_at: Timestamp
    updated_at: Timestamp


class Message(Resource):
    """A message in a chat. Ids ascend in the order in which the messages of a chat were sent.

    ``client_message_id`` is the id that the sender gave it. ``delivered_at`` and ``read_at`` say when it
    reached the other side and when it was read there.
    """

    chat_id: str
    sender_id: str | None = None
    sender_role: SenderRole
    text: str
    client_message_id: str | None = None
    sent_at: Timestamp
    delivered_at: Timestamp | None = None
    read_at: Timestamp | None = None


class _MayBeMissing(Body):
    """A body whose members are all optional, so that the whole may be left out."""

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_empty(cls, data: Any) -> Any:
        return {} if data is None else data


class ChatDraft(_MayBeMissing):
    """What a client sends to open a chat."""

    subject: Annotated[FilledLine, Field(max_length=200)] | None = None


class MessageDraft(Body):
    """A message to send. Sending the same ``clientMessageId`` again has no second effect."""

    text: Annotated[Text, Field(min_length=1, max_length=4000)]
    client_message_id: Annotated[Text, Field(min_length=1, max_length=100)] | None = None


class AssignmentDraft(_MayBeMissing):
    """Who a chat is assigned to: the calling agent, unless another one is named."""

    agent_id: Identifier | None = None


class ChatFilter(Paged):
    """Which chats to list; newest first."""

    status: ChatStatus | None = None


class MessageFilter(ById):
    """Which messages of a chat to list: the newest, or those next to a message.

    ``before`` and ``after`` are ids of messages, which are left out themselves.
    """

    before: Identifier | None = None
    after: Identifier | None = None
    limit: int = Field(default=20, ge=1, le=100)

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if self.before is not None and self.after is not None:
            raise BadRequest("Give 'before' or 'after', not both.")
        return self


class MessageParams(ById):
    """One message of a chat; ``id`` is the chat's."""

    message_id: Identifier


class MessageWindow(Model):
    """The window of a list of messages: ``has_more`` says whether more follow in the requested direction."""

    limit: int
    has_more: bool


class MessagePage(Model):
    """Messages of a chat in the order in which they were sent."""

    data: list[Message]
    pagination: MessageWindow


class ChatEvent(Model):
    """The chat after the change."""

    chat: Chat


class MessageEvent(Model):
    """The message after the change."""

    message: Message


class ChatTyping(Model):
    """A participant has started or stopped typing."""

    user_id: str
    typing: bool


class PresenceChanged(Model):
    """A participant has joined or left the chat."""

    user_id: str
    online: bool


_TOPICS = ("chats/{chat_id}",)

CHAT_OPENED = EventKind("chat.opened", _TOPICS, ChatEvent, "A customer opened a chat.")
CHAT_ASSIGNED = EventKind("chat.assigned", _TOPICS, ChatEvent, "The chat was assigned to an agent.")
CHAT_CLOSED = EventKind("chat.closed", _TOPICS, ChatEvent, "The chat has ended.")
CHAT_MESSAGE = EventKind("chat.message", _TOPICS, MessageEvent, "A message was sent.")
CHAT_MESSAGE_DELIVERED = EventKind(
    "chat.message_delivered", _TOPICS, MessageEvent, "A message has reached the other side."
)
CHAT_MESSAGE_READ = EventKind(
    "chat.message_read", _TOPICS, MessageEvent, "A message was read by the other side."
)
CHAT_TYPING = EventKind(
    "chat.typing",
    _TOPICS,
    ChatTyping,
    "A participant has started or stopped typing; never stored.",
    ephemeral=True,
)
PRESENCE_CHANGED = EventKind(
    "presence.changed",
    _TOPICS,
    PresenceChanged,
    "A participant has joined or left the chat; never stored.",
    ephemeral=True,
)

EVENTS = (
    CHAT_OPENED,
    CHAT_ASSIGNED,
    CHAT_CLOSED,
    CHAT_MESSAGE,
    CHAT_MESSAGE_DELIVERED,
    CHAT_MESSAGE_READ,
    CHAT_TYPING,
    PRESENCE_CHANGED,
)
