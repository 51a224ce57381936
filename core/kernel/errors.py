"""The closed set of errors. A StoreError answers a call; a Close ends a stream.

No number of a transport appears here: each door translates ``code`` by a total table of its own.
"""

from dataclasses import dataclass
from enum import StrEnum


class ErrorCode(StrEnum):
    """Every error the store answers with; the value is the stable slug that clients compare."""

    BAD_REQUEST = "bad-request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    CURSOR_EXPIRED = "cursor-expired"
    PRECONDITION_FAILED = "precondition-failed"
    PAYLOAD_TOO_LARGE = "payload-too-large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    VALIDATION = "validation-error"
    RATE_LIMITED = "rate-limit-exceeded"
    INTERNAL = "internal-server-error"
    UNAVAILABLE = "service-unavailable"


class ViolationCode(StrEnum):
    """What is wrong with one member of a body."""

    REQUIRED_FIELD = "REQUIRED_FIELD"
    INVALID_FORMAT = "INVALID_FORMAT"
    INVALID_TYPE = "INVALID_TYPE"
    INVALID_ENUM_VALUE = "INVALID_ENUM_VALUE"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    INVALID_LENGTH = "INVALID_LENGTH"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one member of the input: ``field`` is a path such as ``items[0].petId`` (empty: the whole
    body)."""

    field: str
    message: str
    code: ViolationCode


class StoreError(Exception):
    """A call that cannot be answered with a result. ``detail`` is for people and never holds a secret.

    ``retry_after``: whole seconds after which the same call may succeed, where that can be said.
    """

    code: ErrorCode
    retry_after: int | None = None

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class BadRequest(StoreError):
    """Broken JSON, or a bad parameter, cursor or tenant; ``violations`` are those of the parameters, one by one."""

    code = ErrorCode.BAD_REQUEST

    def __init__(self, detail: str, violations: tuple[Violation, ...] = ()) -> None:
        super().__init__(detail)
        self.violations = violations


class Unauthorized(StoreError):
    """No credentials where some are needed, or bad ones."""

    code = ErrorCode.UNAUTHORIZED


class Forbidden(StoreError):
    """A known caller without the permission. ``scope``: the name of the one that their credential lacks."""

    code = ErrorCode.FORBIDDEN

    def __init__(self, detail: str, *, scope: str | None = None) -> None:
        super().__init__(detail)
        self.scope = scope


class NotFound(StoreError):
    """There is no such resource in this tenant, or its existence is hidden; another tenant's looks the same."""

    code = ErrorCode.NOT_FOUND


class Conflict(StoreError):
    """The present state does not allow it, or a name is taken (``taken``)."""

    code = ErrorCode.CONFLICT

    def __init__(self, detail: str, *, taken: bool = False) -> None:
        super().__init__(detail)
        self.taken = taken


class StillRunning(Conflict):
    """The first request with the same idempotency key has not come to its end."""

    retry_after = 1

    def __init__(self) -> None:
        super().__init__("The first request with this idempotency key is still running.")


class CursorExpired(StoreError):
    """The log no longer holds what follows the cursor. ``oldest_cursor`` is where reading can begin."""

    code = ErrorCode.CURSOR_EXPIRED

    def __init__(self, oldest_cursor: str) -> None:
        super().__init__("The cursor is older than the kept log, ahead of it, or of an earlier epoch.")
        self.oldest_cursor = oldest_cursor


class PreconditionFailed(StoreError):
    """The resource has changed since the caller read it."""

    code = ErrorCode.PRECONDITION_FAILED


class PayloadTooLarge(StoreError):
    """More bytes than the store accepts at once."""

    code = ErrorCode.PAYLOAD_TOO_LARGE


class UnsupportedMediaType(StoreError):
    """Content of a type that the store does not accept."""

    code = ErrorCode.UNSUPPORTED_MEDIA_TYPE


class ValidationFailed(StoreError):
    """A well-formed body with violations; ``violations`` lists every one of them."""

    code = ErrorCode.VALIDATION

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        super().__init__(
            "The input has "
            + ("one violation." if len(violations) == 1 else f"{len(violations)} violations.")
        )
        self.violations = violations


class RateLimited(StoreError):
    """Too many requests."""

    code = ErrorCode.RATE_LIMITED
    retry_after: int

    def __init__(self, retry_after: int, detail: str = "Too many requests.") -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unavailable(StoreError):
    """The node is draining, or a server that it needs is unavailable."""

    code = ErrorCode.UNAVAILABLE
    retry_after: int

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class StorageDown(Unavailable):
    """The database cannot be reached, or did not answer in time. ``reason`` is for logs; it never reaches a client."""

    def __init__(self, reason: str = "") -> None:
        super().__init__("The database is away.")
        self.reason = reason

    def __str__(self) -> str:
        return self.reason or self.detail


class Internal(StoreError):
    """An internal error. The detail never says more than that."""

    code = ErrorCode.INTERNAL

    def __init__(self) -> None:
        super().__init__("Something went wrong on our side.")


class CloseReason(StrEnum):
    """Why the store ends a stream."""

    UNAUTHENTICATED = "unauthenticated"
    EXPIRED = "expired"
    REVOKED = "revoked"
    FORBIDDEN = "forbidden"
    LOGIN_TIMEOUT = "login-timeout"
    TOO_MANY_MESSAGES = "too-many-messages"
    CURSOR_EXPIRED = "cursor-expired"
    DRAINING = "draining"
    STALLED = "stalled"
    INTERNAL = "internal"


_CODE_OF: dict[CloseReason, ErrorCode] = {
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


@dataclass(frozen=True, slots=True)
class Close:
    """The end of a stream. ``oldest_cursor`` says where reading can begin when the cursor has expired."""

    reason: CloseReason
    detail: str = ""
    oldest_cursor: str | None = None

    @property
    def code(self) -> ErrorCode:
        """The error that stands for this end, for doors without codes of their own for the reasons."""
        return _CODE_OF[self.reason]

    @property
    def resumable(self) -> bool:
        """Whether a client should reconnect (elsewhere) and resume."""
        return self.reason in (CloseReason.DRAINING, CloseReason.STALLED, CloseReason.INTERNAL)


class Closed(Exception):
    """Raised in a wait on a stream that the store has ended."""

    def __init__(self, close: Close) -> None:
        super().__init__(close.detail or close.reason)
        self.close = close
