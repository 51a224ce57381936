"""How the store's errors look in GraphQL: ``extensions.code``, and close codes of a WebSocket."""

import logging
from collections.abc import Iterable
from typing import Any

from graphql import GraphQLError

from core.kernel.errors import Close, CloseReason, CursorExpired, ErrorCode, Internal, StoreError
from protocols.http.error_data import members_of

log = logging.getLogger(__name__)

#: ``extensions.code`` of each error.
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

#: Close codes of graphql-transport-ws: an invalid message; a command before the acknowledgement; no common subprotocol;
#: an id in use; a second init. The reasons of the store have those of all sockets (`protocols.http.closing`).
BAD_MESSAGE, NOT_ACKNOWLEDGED, NO_SUBPROTOCOL, ID_IN_USE, SECOND_INIT = 4400, 4401, 4406, 4409, 4429


class Breach(Exception):
    """The client broke the protocol: the connection ends with ``code``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def extensions_of(error: StoreError) -> dict[str, Any]:
    """The ``extensions`` of an error: its code, and what this kind of error has besides."""
    return {"code": CODES[error.code], **members_of(error)}


def error_entry(error: StoreError, **extensions: Any) -> dict[str, Any]:
    """An error as an entry of ``errors`` that belongs to no field."""
    return {"message": error.detail, "extensions": {**extensions_of(error), **extensions}}


def close_entry(close: Close, cursor: str | None) -> dict[str, Any]:
    """The end of a stream as an entry of ``errors``, with the place to resume from."""
    if close.oldest_cursor is not None:
        return error_entry(CursorExpired(close.oldest_cursor))
    extensions: dict[str, Any] = {"code": CODES[close.code], "cursor": cursor}
    if close.reason is CloseReason.DRAINING:
        extensions["retryAfter"] = 1
    return {"message": close.detail or "The stream has ended.", "extensions": extensions}


def refusals_of(errors: Iterable[GraphQLError]) -> list[dict[str, Any]]:
    """The ``errors`` of a request that cannot be executed, which is always an error of the client's."""
    return [{**error.formatted, "extensions": {"code": CODES[ErrorCode.BAD_REQUEST]}} for error in errors]


def entries_of(errors: Iterable[GraphQLError]) -> list[dict[str, Any]]:
    """The ``errors`` of a result; a defect of ours tells no more than that it is one."""
    return [_entry_of(error) for error in errors]


def _entry_of(error: GraphQLError) -> dict[str, Any]:
    cause: BaseException | None = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    if cause is None and error.nodes:
        # The argument of a field: an error of the client's that only the execution found.
        return {**error.formatted, "extensions": {"code": CODES[ErrorCode.BAD_REQUEST]}}
    if not isinstance(cause, StoreError):
        log.error("a field failed", exc_info=cause or error)
        cause = Internal()
    return {**error.formatted, "message": cause.detail, "extensions": extensions_of(cause)}
