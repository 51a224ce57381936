"""How errors look in an event stream: as a problem document before it begins, as its last block after.

The problem documents are those of all doors on HTTP (`protocols.http.problems`).
"""

import random

import orjson

from core.kernel.errors import Close, CloseReason
from core.live.replies import Reply
from protocols.http.error_data import ExpiredData
from protocols.sse.wire import RETRY_MILLISECONDS, cursor_block


class ClosedData(Reply):
    """Why a stream ended; ``resumable``: whether to reconnect with the last event id."""

    reason: CloseReason
    """Why, for programs."""
    message: str
    """Why, for people."""
    resumable: bool
    """Whether to come back with the last event id."""


def farewell(close: Close, cursor: str) -> bytes:
    """The end of a stream whose reader has come as far as ``cursor``."""
    if close.oldest_cursor is not None:
        return _expired_block(close.oldest_cursor)
    retry = None
    if close.reason is CloseReason.DRAINING:
        # All would come back at once otherwise, and to fewer nodes than before.
        retry = random.randint(RETRY_MILLISECONDS // 2, RETRY_MILLISECONDS * 2)  # noqa: S311
    return cursor_block(cursor, retry=retry) + _closed_block(close)


def _expired_block(oldest_cursor: str) -> bytes:
    """The stream ends, for its cursor has expired; the last event id is set back so that coming back works."""
    data = orjson.dumps(ExpiredData(oldest_cursor=oldest_cursor).shown())
    return b"id: " + oldest_cursor.encode() + b"\nevent: cursor-expired\ndata: " + data + b"\n\n"


def _closed_block(close: Close) -> bytes:
    """The stream ends for another reason, which a reader should know before it comes back."""
    content = ClosedData(reason=close.reason, message=close.detail, resumable=close.resumable)
    return b"event: closed\ndata: " + orjson.dumps(content.shown()) + b"\n\n"
