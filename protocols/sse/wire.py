"""Blocks of the event stream format (HTML Living Standard, section 9.2.5)."""

from core.kernel.events import Event

#: What a browser waits before it reconnects.
RETRY_MILLISECONDS = 2000


class EventBlocks:
    """An event as a block: ``id`` is its cursor, ``event`` its type, ``data`` the envelope."""

    def encode(self, event: Event) -> bytes:
        """One block. An ephemeral event has no place to resume from, and so no ``id``."""
        place = b"" if event.cursor is None else b"id: " + event.cursor.encode() + b"\n"
        return place + b"event: " + event.event_type.encode() + b"\ndata: " + event.envelope + b"\n\n"


def place_block(cursor: str, *, retry: int | None = None) -> bytes:
    """A block without data: it moves the reader's last event id and nothing else."""
    head = b"" if retry is None else b"retry: %d\n" % retry
    return head + b"id: " + cursor.encode() + b"\n\n"
