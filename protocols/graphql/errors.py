"""How the store's errors look in GraphQL: ``extensions.code``, and close codes of a WebSocket."""

import logging
from collections.abc import Iterable
from typing import Any

from graphql import GraphQLError

from core.kernel.errors import Close, CloseReason, CursorExpired, ErrorCode, Internal, RateLimited, StoreError
from core.live.client import refusal_reason
from protocols.http import closing
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
#: an id in use; a second init.
BAD_MESSAGE, NOT_ACKNOWLEDGED, NO_SUBPROTOCOL, ID_IN_USE, SECOND_INIT = 4400, 4401, 4406, 4409, 4429
#: Characters of a message that graphql-core writes, which may repeat much of what was sent.
_MAX_CHARACTERS = 500
#: Who may come back later (RFC 6455, registry of close codes).
TRY_AGAIN_LATER = 1013

#: Close codes of the store's reasons. After 4401 and 1011 the official client never connects again, though the next
#: login, or the next attempt, may be as good as any; after 4403 and 1013 it does.
CLOSE_CODES: dict[CloseReason, int] = {
    **closing.CLOSE_CODES,
    CloseReason.UNAUTHENTICATED: 4403,
    CloseReason.EXPIRED: 4403,
    CloseReason.REVOKED: 4403,
    CloseReason.INTERNAL: TRY_AGAIN_LATER,
}


class Breach(Exception):
    """The client broke the protocol: the connection ends with ``code``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def extensions_of(error: StoreError) -> dict[str, Any]:
    """The ``extensions`` of an error: its code, and what this kind of error has besides."""
    return {"code": CODES[error.code], **members_of(error)}


def error_entry(error: StoreError) -> dict[str, Any]:
    """An error as an entry of ``errors`` that belongs to no field."""
    return {"message": error.detail, "extensions": extensions_of(error)}


def refusal_of(error: StoreError) -> tuple[int, str]:
    """Close code and reason for who is not let in."""
    code = TRY_AGAIN_LATER if isinstance(error, RateLimited) else CLOSE_CODES[refusal_reason(error)]
    return code, f"{CODES[error.code]}: {error.detail}"


def reason_of(close: Close) -> str:
    """Why a stream ends: the code that an error would have, and words for people."""
    return f"{CODES[close.code]}: {close.detail or 'The stream has ended.'}"


def expiry_of(close: Close) -> StoreError | None:
    """The error of a subscription that cannot go on; None where it can, on the next connection."""
    return None if close.oldest_cursor is None else CursorExpired(close.oldest_cursor)


def refusals_of(errors: Iterable[GraphQLError]) -> list[dict[str, Any]]:
    """The ``errors`` of a request that cannot be executed, which is always an error of the client's."""
    return [_refusal_of(error) for error in errors]


def _refusal_of(error: GraphQLError) -> dict[str, Any]:
    """An error of the client's; what it repeats of a document or of a variable is cut off."""
    entry: dict[str, Any] = {**error.formatted, "extensions": {"code": CODES[ErrorCode.BAD_REQUEST]}}
    if len(error.message) > _MAX_CHARACTERS:
        entry["message"] = error.message[:_MAX_CHARACTERS] + "…"
    return entry


def entries_of(errors: Iterable[GraphQLError]) -> list[dict[str, Any]]:
    """The ``errors`` of a result; a defect of ours tells no more than that it is one."""
    return [_entry_of(error) for error in errors]


def _entry_of(error: GraphQLError) -> dict[str, Any]:
    cause: BaseException | None = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    if cause is None and error.nodes:
        # The argument of a field: an error of the client's that only the execution found.
        return _refusal_of(error)
    if not isinstance(cause, StoreError):
        log.error("a field failed", exc_info=cause or error)
        cause = Internal()
    return {**error.formatted, "message": cause.detail, "extensions": extensions_of(cause)}
