"""Blocks of the event stream format (HTML Living Standard, section 9.2.5)."""

from core.kernel.events import Event
from core.live.replies import Reply

#: What a browser waits before it reconnects.
RETRY_MILLISECONDS = 2000


class CursorData(Reply):
    """Where the stream stands."""

    cursor: str
    """The position in the log."""


class EventBlocks:
    """An event as a block: ``id`` is its cursor, ``event`` its type, ``data`` the envelope."""

    def encode(self, event: Event) -> bytes:
        """One block. An ephemeral event has no place to resume from, and so no ``id``."""
        place = b"" if event.cursor is None else b"id: " + event.cursor.encode() + b"\n"
        return place + b"event: " + event.event_type.encode() + b"\ndata: " + event.envelope + b"\n\n"


def cursor_block(cursor: str, *, retry: int | None = None) -> bytes:
    """Where the stream stands. It has data because Firefox and Node's ``eventsource`` overlook the id of a block that
    has none, though the standard says otherwise."""
    head = b"" if retry is None else b"retry: %d\n" % retry
    place = cursor.encode()
    return head + b"id: " + place + b'\nevent: cursor\ndata: {"cursor":"' + place + b'"}\n\n'
