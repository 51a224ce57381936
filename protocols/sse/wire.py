"""Blocks of the event stream format (HTML Living Standard, section 9.2.5)."""

import orjson

from core.errors import Close, CloseReason
from core.events import Event
from core.session.answers import Answer
from protocols.http.faults import ExpiredData

#: What a browser waits before it comes back, in milliseconds.
RETRY = 2000


class ClosedData(Answer):
    """Why a stream ended; ``resumable``: whether to come back with the last event id."""

    reason: CloseReason
    message: str
    resumable: bool


class EventBlocks:
    """An event as a block: ``id`` is its cursor, ``event`` its type, ``data`` the envelope."""

    def encode(self, event: Event) -> bytes:
        """One block. An ephemeral event has no place to resume from, and so no ``id``."""
        place = b"" if event.cursor is None else b"id: " + event.cursor.encode() + b"\n"
        return place + b"event: " + event.event_type.encode() + b"\ndata: " + event.envelope + b"\n\n"


BLOCKS = EventBlocks()


def place_block(cursor: str, *, retry: int | None = None) -> bytes:
    """A block without data: it moves the reader's last event id and nothing else."""
    head = b"" if retry is None else b"retry: %d\n" % retry
    return head + b"id: " + cursor.encode() + b"\n\n"


def expired_block(oldest_cursor: str) -> bytes:
    """The stream ends, for its cursor has expired; the last event id is set back so that coming back works."""
    data = orjson.dumps(ExpiredData(oldest_cursor=oldest_cursor).shown())
    return b"id: " + oldest_cursor.encode() + b"\nevent: cursor-expired\ndata: " + data + b"\n\n"


def closed_block(close: Close) -> bytes:
    """The stream ends for another reason, which a reader should know before he comes back."""
    content = ClosedData(reason=close.reason, message=close.detail, resumable=close.resumable)
    return b"event: closed\ndata: " + orjson.dumps(content.shown()) + b"\n\n"
