"""Support chats: what is kept and shown, what clients send, and the events that chats cause."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from core.kernel.describing import Described
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
from core.models.webhooks import WebhookMaker


class ChatStatus(Choice):
    """The state of a chat: WAITING → ASSIGNED → CLOSED."""

    WAITING = "WAITING"
    """It waits for an agent."""
    ASSIGNED = "ASSIGNED"
    """An agent has it."""
    CLOSED = "CLOSED"
    """It takes no more messages."""


class SenderRole(Choice):
    """The part of the sender of a message in a chat."""

    CUSTOMER = "CUSTOMER"
    """The customer who opened the chat."""
    AGENT = "AGENT"
    """An agent of the store."""
    SYSTEM = "SYSTEM"
    """The store itself: its advisor, who answers while a chat waits."""


class Chat(Resource):
    """A conversation between a customer and the store's agents."""

    collection: ClassVar[str | None] = "chats"

    subject: str | None = None
    """What it is about."""
    customer_id: str
    """The user who opened it."""
    agent_id: str | None = None
    """The agent who has it."""
    status: ChatStatus
    """Whether somebody has it."""
    created_at: Timestamp
    """When it was opened."""
    updated_at: Timestamp
    """When it last changed."""


class Message(Resource):
    """A message in a chat. Ids ascend in the order in which the messages of a chat were sent."""

    chat_id: str
    """The chat that it was sent to."""
    sender_id: str | None = None
    """The user who sent it; the store's own messages have none."""
    sender_role: SenderRole
    """The side that sent it."""
    text: str
    """What it says."""
    client_message_id: str | None = None
    """The id that its sender gave it; of the advisor's it is the id of the message that it answers."""
    sent_at: Timestamp
    """When it was sent."""
    delivered_at: Timestamp | None = None
    """When it reached the other side."""
    read_at: Timestamp | None = None
    """When it was read there."""


class ChatQuestion(Model):
    """What is kept, of a chat that waits, until the advisor has answered: its id is the chat's.

    ``message_id`` is the customer's newest message, and ``asker`` who sent it: the answer is made in their rights. It
    is tried when it is due, ``tries`` times so far, and of no use after ``expires_at``.
    """

    id: str
    tenant_id: str
    customer_id: str
    message_id: str
    asker: WebhookMaker
    tries: int = 0
    due_at: Timestamp
    expires_at: Timestamp


class _MayBeMissing(Body):
    """A body whose members are all optional, so that the whole may be left out."""

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_empty(cls, data: Any) -> Any:
        return {} if data is None else data


class ChatDraft(_MayBeMissing):
    """What a client sends to open a chat."""

    LIKE: ClassVar[type[Described] | None] = Chat

    subject: Annotated[FilledLine, Field(max_length=200)] | None = None


class MessageDraft(Body):
    """A message to send. Sending the same ``clientMessageId`` again has no second effect."""

    LIKE: ClassVar[type[Described] | None] = Message

    text: Annotated[Text, Field(min_length=1, max_length=4000)]
    client_message_id: Annotated[Text, Field(min_length=1, max_length=100)] | None = None


class AssignmentDraft(_MayBeMissing):
    """Who a chat is assigned to: the calling agent, unless another one is named."""

    agent_id: Identifier | None = None
    """The agent who is to have it; without one the calling agent takes it."""


class ChatFilter(Paged):
    """Which chats to list; newest first."""

    status: ChatStatus | None = None
    """Only chats with this status."""


class MessageFilter(ById):
    """Which messages of a chat to list: the newest, or those next to a message.

    ``before`` and ``after`` are ids of messages, which are left out themselves.
    """

    before: Identifier | None = None
    """Only messages before the one with this id."""
    after: Identifier | None = None
    """Only messages after the one with this id."""
    limit: int = Field(default=20, ge=1, le=100)
    """How many messages, at most."""

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if self.before is not None and self.after is not None:
            raise BadRequest("Give 'before' or 'after', not both.")
        return self


class MessageParams(ById):
    """One message of a chat; ``id`` is the chat's."""

    message_id: Identifier
    """The id of the message."""


class MessageWindow(Model):
    """The window of a list of messages."""

    limit: int
    """How many messages, at most."""
    has_more: bool
    """Whether more follow in the requested direction."""


class MessagePage(Model):
    """Messages of a chat in the order in which they were sent."""

    data: list[Message]
    """The messages."""
    pagination: MessageWindow
    """Where they lie in the chat."""


class ChatEvent(Model):
    """The chat after the change."""

    chat: Chat
    """The chat after the change."""


class MessageEvent(Model):
    """The message after the change."""

    message: Message
    """The message after the change."""


class ChatTyping(Model):
    """A participant has started or stopped typing."""

    user_id: str
    """Who it is."""
    typing: bool
    """Whether they type."""


class PresenceChanged(Model):
    """A participant has joined or left the chat."""

    user_id: str
    """Who it is."""
    online: bool
    """Whether they are in the chat now."""


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
