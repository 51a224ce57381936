"""How the end of a session looks on a WebSocket: a last message where there is one, then a close code.

The codes are those of all sockets (`protocols.http.closing`); errors of commands look as in
`protocols.http.error_data`.
"""

from core.kernel.errors import Close, CloseReason
from protocols.http.error_data import ErrorData, ExpiredData
from protocols.websocket.wire import message_frame


def farewell(close: Close, cursor: str | None) -> bytes:
    """The last message, or nothing; ``cursor`` is where to resume."""
    if close.reason is CloseReason.CURSOR_EXPIRED:
        assert close.oldest_cursor is not None
        return message_frame("cursorExpired", ExpiredData(oldest_cursor=close.oldest_cursor).shown())
    if close.reason is not CloseReason.DRAINING:
        return b""
    data = ErrorData(code=close.code, message=close.detail, retry_after=1, cursor=cursor)
    return message_frame("error", data.shown())
