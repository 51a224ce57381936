"""How errors look on Socket.IO: in a refused connection, in an acknowledgement, at the end."""

from typing import Any

import socketio

from core.kernel.errors import Close, CloseReason, StoreError
from protocols.http.error_data import ErrorData, ExpiredData, error_data
from protocols.socketio.wire import event_frame


def refusal(error: StoreError) -> Exception:
    """What makes the library refuse a connection: ``connect_error`` with the error as its ``data``."""
    exception: Exception = socketio.exceptions.ConnectionRefusedError(error.detail, error_data(error))
    return exception


def refused(error: StoreError) -> dict[str, Any]:
    """The acknowledgement of a command that was not carried out."""
    return {"ok": False, "error": error_data(error)}


def farewell(close: Close, cursor: str | None) -> bytes:
    """The last event; ``cursor`` is where to resume."""
    if close.reason is CloseReason.CURSOR_EXPIRED:
        assert close.oldest_cursor is not None
        return event_frame("cursorExpired", ExpiredData(oldest_cursor=close.oldest_cursor).shown())
    again = 1 if close.resumable or close.reason is CloseReason.TOO_MANY_MESSAGES else None
    data = ErrorData(code=close.code, message=close.detail, retry_after=again, cursor=cursor)
    return event_frame("error", data.shown())
