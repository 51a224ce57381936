"""How the store's faults look in GraphQL: ``extensions.code``, and close codes of a WebSocket."""

import logging
from collections.abc import Iterable
from typing import Any

from graphql import GraphQLError

from core.errors import (
    Close,
    CloseReason,
    CursorExpired,
    ErrorCode,
    Internal,
    RateLimited,
    StoreError,
    Unavailable,
    ValidationFailed,
)

log = logging.getLogger(__name__)

#: ``extensions.code`` of each fault.
CODES: dict[ErrorCode, str] = {
    ErrorCode.BAD_REQUEST: "BAD_REQUEST",
    ErrorCode.UNAUTHORIZED: "UNAUTHENTICATED",
    ErrorCode.FORBIDDEN: "FORBIDDEN",
    ErrorCode.NOT_FOUND: "NOT_FOUND",
    ErrorCode.CONFLICT: "CONFLICT",
    ErrorCode.CURSOR_EXPIRED: "CURSOR_EXPIRED",
    ErrorCode.PRECONDITION_FAILED: "PRECONDITION_FAILED",
    ErrorCode.PAYLOAD_TOO_LARGE: "PAYLOAD_TOO_LARGE",
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: "UNSUPPORTED_MEDIA_TYPE",
    ErrorCode.VALIDATION: "VALIDATION_ERROR",
    ErrorCode.RATE_LIMITED: "RATE_LIMITED",
    ErrorCode.INTERNAL: "INTERNAL",
    ErrorCode.UNAVAILABLE: "UNAVAILABLE",
}

#: Close codes of graphql-transport-ws, and of this application where the protocol has none.
CLOSE_CODES: dict[CloseReason, int] = {
    CloseReason.UNAUTHENTICATED: 4401,
    CloseReason.EXPIRED: 4401,
    CloseReason.REVOKED: 4401,
    CloseReason.FORBIDDEN: 4403,
    CloseReason.LOGIN_TIMEOUT: 4408,
    CloseReason.TOO_MANY_MESSAGES: 4429,
    CloseReason.CURSOR_EXPIRED: 1000,
    CloseReason.DRAINING: 1001,
    CloseReason.STALLED: 1001,
    CloseReason.INTERNAL: 1011,
}
#: An invalid message; a command before the acknowledgement; no common subprotocol; an id in use; a second init.
BAD_MESSAGE, NOT_ACKNOWLEDGED, NO_SUBPROTOCOL, ID_IN_USE, SECOND_INIT = 4400, 4401, 4406, 4409, 4429
TOO_BIG, FAULT = 1009, 1011


def extensions_of(error: StoreError) -> dict[str, Any]:
    """The ``extensions`` of an error: its code, and what this kind of fault has besides."""
    found: dict[str, Any] = {"code": CODES[error.code]}
    match error:
        case ValidationFailed():
            found["errors"] = [
                {"field": fault.field, "message": fault.message, "code": fault.code.value}
                for fault in error.faults
            ]
        case CursorExpired():
            found["oldestCursor"] = error.oldest_cursor
        case RateLimited() | Unavailable():
            found["retryAfter"] = error.retry_after
        case _:
            pass
    return found


def error_entry(error: StoreError, **extensions: Any) -> dict[str, Any]:
    """A fault as an entry of ``errors`` that belongs to no field."""
    return {"message": error.detail, "extensions": {**extensions_of(error), **extensions}}


#: ``extensions.code`` of the end of a stream.
_CLOSED: dict[CloseReason, ErrorCode] = {
    CloseReason.UNAUTHENTICATED: ErrorCode.UNAUTHORIZED,
    CloseReason.EXPIRED: ErrorCode.UNAUTHORIZED,
    CloseReason.REVOKED: ErrorCode.UNAUTHORIZED,
    CloseReason.FORBIDDEN: ErrorCode.FORBIDDEN,
    CloseReason.LOGIN_TIMEOUT: ErrorCode.UNAUTHORIZED,
    CloseReason.TOO_MANY_MESSAGES: ErrorCode.RATE_LIMITED,
    CloseReason.CURSOR_EXPIRED: ErrorCode.CURSOR_EXPIRED,
    CloseReason.DRAINING: ErrorCode.UNAVAILABLE,
    CloseReason.STALLED: ErrorCode.UNAVAILABLE,
    CloseReason.INTERNAL: ErrorCode.INTERNAL,
}


def close_entry(close: Close, cursor: str) -> dict[str, Any]:
    """The end of a stream as an entry of ``errors``, with the place to resume from."""
    extensions: dict[str, Any] = {"code": CODES[_CLOSED[close.reason]], "cursor": cursor}
    if close.reason is CloseReason.DRAINING:
        extensions["retryAfter"] = 1
    return {"message": close.detail or "The stream has ended.", "extensions": extensions}


def entries_of(errors: Iterable[GraphQLError]) -> list[dict[str, Any]]:
    """The ``errors`` of a result; a fault of ours tells no more than that it is one."""
    return [_entry_of(error) for error in errors]


def _entry_of(error: GraphQLError) -> dict[str, Any]:
    cause: BaseException | None = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    if cause is None and error.path is None:
        return {**error.formatted, "extensions": {"code": CODES[ErrorCode.BAD_REQUEST]}}
    if (
        cause is None and error.nodes
    ):  # The argument of a field: a client's fault that only the execution found.
        return {**error.formatted, "extensions": {"code": CODES[ErrorCode.BAD_REQUEST]}}
    if not isinstance(cause, StoreError):
        log.error("a field failed", exc_info=cause or error)
        cause = Internal()
    return {**error.formatted, "message": cause.detail, "extensions": extensions_of(cause)}


def refusal_reason(error: StoreError) -> CloseReason:
    """Why a connection ends whose credentials were refused."""
    match error.code:
        case ErrorCode.FORBIDDEN:
            return CloseReason.FORBIDDEN
        case ErrorCode.RATE_LIMITED:
            return CloseReason.TOO_MANY_MESSAGES
        case ErrorCode.UNAVAILABLE:
            return CloseReason.DRAINING
        case ErrorCode.INTERNAL:
            return CloseReason.INTERNAL
        case _:
            return CloseReason.UNAUTHENTICATED
