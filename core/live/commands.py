"""What a live client may say: the content of each command of the live vocabulary."""

from typing import ClassVar

from pydantic import Field

from core.kernel.describing import Described
from core.kernel.model import Identifier, Line, Part, Text
from core.models.chats import Message


class Authenticate(Part):
    """Log in, or renew the login of this connection."""

    token: str = Field(min_length=1, max_length=8192, repr=False)
    """An access token."""


class Subscribe(Part):
    """Add topic filters; with a cursor, the events since then come first."""

    topics: list[str] = Field(min_length=1)
    """MQTT topic filters."""
    cursor: str | None = Field(default=None, max_length=200)
    """Where to begin: a cursor from any door, or ``earliest``; without one, now."""


class Unsubscribe(Part):
    """Remove topic filters."""

    topics: list[str] = Field(min_length=1)
    """Topic filters that were subscribed to."""


class JoinChat(Part):
    """Join a chat, with a cursor from that position on; without an id a new chat is opened."""

    chat_id: Identifier | None = None
    """The chat."""
    subject: Line | None = Field(default=None, max_length=200)
    """What a new chat is about."""
    cursor: str | None = Field(default=None, max_length=200)
    """Where to begin: a cursor from any door; without one, now."""


class InChat(Part):
    """A command for a chat that this connection has joined; the id may be left out when it is the only one."""

    chat_id: str | None = Field(default=None, max_length=64)
    """The chat."""


class SendText(InChat):
    """Send a message. Sending the same ``clientMessageId`` again has no second effect."""

    LIKE: ClassVar[type[Described] | None] = Message

    text: Text
    client_message_id: str | None = Field(default=None)


class ReadMark(InChat):
    """Mark a message, and all before it, as read."""

    message_id: Identifier
    """The message."""


class Ping(Part):
    """Ask for a pong."""
