"""The store's errors as gRPC statuses with details (google.rpc.Status, the richer error model)."""

from collections.abc import Callable, Iterable

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest as BadRequestDetails
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from core.kernel.errors import (
    BadRequest,
    Close,
    CloseReason,
    Conflict,
    CursorExpired,
    ErrorCode,
    StoreError,
    ValidationFailed,
)

Metadata = tuple[tuple[str, str | bytes], ...]

STATUS_CODES: dict[ErrorCode, StatusCode] = {
    ErrorCode.BAD_REQUEST: StatusCode.INVALID_ARGUMENT,
    ErrorCode.UNAUTHORIZED: StatusCode.UNAUTHENTICATED,
    ErrorCode.FORBIDDEN: StatusCode.PERMISSION_DENIED,
    ErrorCode.NOT_FOUND: StatusCode.NOT_FOUND,
    ErrorCode.CONFLICT: StatusCode.FAILED_PRECONDITION,
    ErrorCode.CURSOR_EXPIRED: StatusCode.OUT_OF_RANGE,
    ErrorCode.PRECONDITION_FAILED: StatusCode.ABORTED,
    # What gRPC itself says when a message is too big.
    ErrorCode.PAYLOAD_TOO_LARGE: StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: StatusCode.INVALID_ARGUMENT,
    ErrorCode.VALIDATION: StatusCode.INVALID_ARGUMENT,
    ErrorCode.RATE_LIMITED: StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.INTERNAL: StatusCode.INTERNAL,
    ErrorCode.UNAVAILABLE: StatusCode.UNAVAILABLE,
}
CLOSE_CODES: dict[CloseReason, StatusCode] = {
    CloseReason.UNAUTHENTICATED: StatusCode.UNAUTHENTICATED,
    CloseReason.EXPIRED: StatusCode.UNAUTHENTICATED,
    CloseReason.REVOKED: StatusCode.UNAUTHENTICATED,
    CloseReason.FORBIDDEN: StatusCode.PERMISSION_DENIED,
    CloseReason.LOGIN_TIMEOUT: StatusCode.UNAUTHENTICATED,
    CloseReason.TOO_MANY_MESSAGES: StatusCode.RESOURCE_EXHAUSTED,
    CloseReason.CURSOR_EXPIRED: StatusCode.OUT_OF_RANGE,
    CloseReason.DRAINING: StatusCode.UNAVAILABLE,
    CloseReason.STALLED: StatusCode.RESOURCE_EXHAUSTED,
    CloseReason.INTERNAL: StatusCode.INTERNAL,
}
_DOMAIN = "petstoreapi.com"
_DETAILS = "grpc-status-details-bin"
#: Clients take 8 KiB of metadata unless they ask for more, in base64; so much of that is for violations, and for the
#: text as it is sent.
_MAX_VIOLATIONS_BYTES, _MAX_TEXT_BYTES = 3_000, 1_000


def status_of(error: StoreError, path: Callable[[str], str]) -> tuple[StatusCode, str, Metadata]:
    """Status, text and trailing metadata that tell an error; ``path`` names fields as the request does.

    Violations are in the text as well, for clients that do not read details.
    """
    code, text = STATUS_CODES[error.code], error.detail
    details: list[Message] = []
    metadata: dict[str, str] = {}
    match error:
        case ValidationFailed() | BadRequest(violations=(_, *_)):
            violations = [(path(one.field), one.message, one.code.value) for one in error.violations]
            details.append(_bad_request(violations))
            text = text_of((field, message) for field, message, _ in violations)
        case BadRequest():
            details.append(_bad_request([("", error.detail, "")]))
        case CursorExpired():
            metadata["oldestCursor"] = error.oldest_cursor
        case StoreError(retry_after=int(seconds)):
            details.append(_retry(max(1, seconds)))
        case Conflict(taken=True):
            code = StatusCode.ALREADY_EXISTS
        case _:
            pass
    return _rich(code, text, error.code.value, details, metadata)


def text_of(violations: Iterable[tuple[str, str]]) -> str:
    """What is wrong with which field, for people."""
    return "; ".join(f"{field}: {message}" if field else message for field, message in violations)


def status_of_close(close: Close) -> tuple[StatusCode, str, Metadata]:
    """The same for the end of a stream."""
    metadata = {} if close.oldest_cursor is None else {"oldestCursor": close.oldest_cursor}
    details = (_retry(1),) if close.resumable else ()
    return _rich(CLOSE_CODES[close.reason], close.detail, close.reason.value, details, metadata)


def _rich(
    code: StatusCode, detail: str, slug: str, details: Iterable[Message], metadata: dict[str, str]
) -> tuple[StatusCode, str, Metadata]:
    text = _cut(detail)
    reason = slug.replace("-", "_").upper()
    status = Status(code=code.value[0], message=text)
    for part in (ErrorInfo(reason=reason, domain=_DOMAIN, metadata=metadata), *details):
        packed = Any()
        packed.Pack(part)
        status.details.append(packed)
    return code, text, ((_DETAILS, status.SerializeToString()),)


def _cut(text: str) -> str:
    """As much of a text as may be sent, percent-encoded as it is (gRPC over HTTP/2, Status-Message)."""
    room = _MAX_TEXT_BYTES
    for place, character in enumerate(text):
        room -= 1 if " " <= character <= "~" and character != "%" else 3 * len(character.encode())
        if room < 0:
            return f"{text[:place]}…"
    return text


def _bad_request(violations: Iterable[tuple[str, str, str]]) -> BadRequestDetails:
    """Every violation, as far as they fit; then the last one says how many there are besides."""
    found, room, left = BadRequestDetails(), _MAX_VIOLATIONS_BYTES, 0
    for field, message, reason in violations:
        room -= len(field.encode()) + len(message.encode()) + len(reason) + 8
        if room < 0:
            left += 1
        else:
            found.field_violations.add(field=field, description=message, reason=reason)
    if left:
        found.field_violations.add(description=f"and {left} more")
    return found


def _retry(seconds: int) -> RetryInfo:
    info = RetryInfo()
    info.retry_delay.seconds = seconds
    return info
