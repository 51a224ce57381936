"""How the end of a session looks on a WebSocket: a last message, where there is something to say; then a close code.

The codes are those of all sockets (`protocols.http.closing`); errors of commands look as in
`protocols.http.error_data`.
"""

from typing import Any

from core.kernel.errors import Close, CloseReason
from protocols.http.error_data import ErrorData, ExpiredData


def farewell(close: Close, cursor: str | None) -> tuple[str, dict[str, Any]] | None:
    """The last message: its type and its data; ``cursor`` is where to resume."""
    if close.reason is CloseReason.CURSOR_EXPIRED:
        assert close.oldest_cursor is not None
        return "cursorExpired", ExpiredData(oldest_cursor=close.oldest_cursor).shown()
    if close.reason is not CloseReason.DRAINING:
        return None
    return "error", ErrorData(code=close.code, message=close.detail, retry_after=1, cursor=cursor).shown()
