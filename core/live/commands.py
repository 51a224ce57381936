"""What a live client may say: the content of each command of the live vocabulary."""

from pydantic import Field

from core.kernel.model import Identifier, Line, Part, Text


class Authenticate(Part):
    """Log in, or renew the login of this connection."""

    token: str = Field(min_length=1, max_length=8192, repr=False)


class Subscribe(Part):
    """Add topic filters; with a cursor, the events since then come first."""

    topics: list[str] = Field(min_length=1)
    cursor: str | None = Field(default=None, max_length=200)


class Unsubscribe(Part):
    """Remove topic filters."""

    topics: list[str] = Field(min_length=1)


class JoinChat(Part):
    """Join a chat, with a cursor from that position on; without an id a new chat is opened."""

    chat_id: Identifier | None = None
    subject: Line | None = Field(default=None, max_length=200)
    cursor: str | None = Field(default=None, max_length=200)


class InChat(Part):
    """A command for a chat that this connection has joined; the id may be left out when it is the only one."""

    chat_id: str | None = Field(default=None, max_length=64)


class SendText(InChat):
    """Send a message. Sending the same ``clientMessageId`` again has no second effect."""

    text: Text
    client_message_id: str | None = Field(default=None)


class ReadMark(InChat):
    """Mark a message, and all before it, as read."""

    message_id: Identifier


class Ping(Part):
    """Ask for a pong."""
