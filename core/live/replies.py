"""What a live client is told: the content of the acknowledgement of each command, and of the greeting."""

from typing import Any

from pydantic import Field

from core.kernel.model import Model, Timestamp
from core.models.chats import Chat, Message

#: Said only where there is something to say; else the member is left out.
IF_ANY: Any = Field(default=None, exclude_if=lambda value: value is None)


class Answer(Model):
    """Something that a client is told."""

    def shown(self) -> dict[str, Any]:
        """The answer as JSON has it."""
        return self.model_dump(mode="json", by_alias=True)


class Who(Answer):
    """Who a client is: the id of the user or the device, and its name."""

    id: str | None
    username: str | None


class Connected(Answer):
    """The greeting; ``user`` is null for a visitor. Topics and cursor are there when he is subscribed already."""

    session_id: str
    user: Who | None
    topics: list[str] | None = IF_ANY
    cursor: str | None = IF_ANY


class Authenticated(Answer):
    """The login counts until ``expires_at``; null: for as long as it is not revoked."""

    user: Who | None
    expires_at: Timestamp | None


class Subscribed(Answer):
    """All topic filters that the client holds now, and the place in the log from which on he hears them."""

    cursor: str
    topics: list[str]


class Unsubscribed(Answer):
    """The topic filters that are left, and the place that was reached."""

    cursor: str | None = IF_ANY
    topics: list[str]


class JoinedChat(Answer):
    """The chat, and the place in the log from which on the client hears it."""

    session_id: str
    user: Who | None
    chat: Chat
    cursor: str


class NamedChat(Answer):
    """The chat that a command was about."""

    chat_id: str


class OneMessage(Answer):
    """A message as it is now."""

    message: Message


class Pong(Answer):
    """A sign of life; a subscriber is told the place that he has reached."""

    cursor: str | None = IF_ANY
