"""What a live client is told: the content of the acknowledgement of each command, and of the greeting."""

from typing import Any

from core.kernel.model import Model, Timestamp
from core.models.chats import Chat, Message


class Reply(Model):
    """What a live client is told; a member without a value is left out."""

    def shown(self) -> dict[str, Any]:
        """The reply as JSON has it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Who(Reply):
    """Who a client is: the id of the user or the device, and its name."""

    id: str | None = None
    """The id of the user or the device."""
    username: str | None = None
    """The name that was logged in with."""


class Connected(Reply):
    """The greeting; a visitor has no ``user``. Topics and cursor are present when the client is subscribed
    already."""

    session_id: str
    """The id of this connection."""
    user: Who | None = None
    """Who the client is; a visitor is nobody."""
    topics: list[str] | None = None
    """The topic filters that it is subscribed to."""
    cursor: str | None = None
    """The position in the log from which on it gets their events."""


class Authenticated(Reply):
    """The login is valid until ``expires_at``, or, without it, until it is revoked."""

    user: Who | None = None
    """Who the client is."""
    expires_at: Timestamp | None = None
    """When the login expires."""


class Subscribed(Reply):
    """All topic filters of the subscription, and the position in the log from which on the client gets their events."""

    cursor: str
    """The position in the log from which on the client gets their events."""
    topics: list[str]
    """All topic filters of the subscription."""


class Unsubscribed(Reply):
    """The remaining topic filters, and the position that was reached."""

    cursor: str | None = None
    """The position that was reached."""
    topics: list[str]
    """The remaining topic filters."""


class JoinedChat(Reply):
    """The chat, and the position in the log from which on the client gets its events."""

    session_id: str
    """The id of this connection."""
    user: Who | None = None
    """Who the client is."""
    chat: Chat
    """The chat."""
    cursor: str
    """The position in the log from which on the client gets its events."""


class NamedChat(Reply):
    """The chat of the command."""

    chat_id: str
    """The chat."""


class OneMessage(Reply):
    """The message after the change."""

    message: Message
    """The message."""


class Pong(Reply):
    """A pong; a subscriber gets the position that they have reached."""

    cursor: str | None = None
    """The position that was reached."""
