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
    username: str | None = None


class Connected(Reply):
    """The greeting; a visitor has no ``user``. Topics and cursor are present when the client is subscribed
    already."""

    session_id: str
    user: Who | None = None
    topics: list[str] | None = None
    cursor: str | None = None


class Authenticated(Reply):
    """The login is valid until ``expires_at``, or, without it, until it is revoked."""

    user: Who | None = None
    expires_at: Timestamp | None = None


class Subscribed(Reply):
    """All topic filters of the subscription, and the position in the log from which on the client gets their events."""

    cursor: str
    topics: list[str]


class Unsubscribed(Reply):
    """The remaining topic filters, and the position that was reached."""

    cursor: str | None = None
    topics: list[str]


class JoinedChat(Reply):
    """The chat, and the position in the log from which on the client gets its events."""

    session_id: str
    user: Who | None = None
    chat: Chat
    cursor: str


class NamedChat(Reply):
    """The chat of the command."""

    chat_id: str


class OneMessage(Reply):
    """The message after the change."""

    message: Message


class Pong(Reply):
    """A pong; a subscriber gets the position that they have reached."""

    cursor: str | None = None
