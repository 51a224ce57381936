"""The store's faults as the doors tell them that talk in JSON messages."""

from typing import Any

from core.errors import CursorExpired, RateLimited, StoreError, Unavailable, ValidationFailed


def error_data(error: StoreError) -> dict[str, Any]:
    """The ``data`` of an error message: code, message, and what this kind of fault has besides."""
    data: dict[str, Any] = {"code": error.code.value, "message": error.detail}
    match error:
        case ValidationFailed():
            data["errors"] = [
                {"field": fault.field, "message": fault.message, "code": fault.code.value}
                for fault in error.faults
            ]
        case CursorExpired():
            data["oldestCursor"] = error.oldest_cursor
        case RateLimited() | Unavailable():
            data["retryAfter"] = error.retry_after
        case _:
            pass
    return data
