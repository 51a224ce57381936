"""The store's faults as HTTP problem documents: the one table of statuses for all doors on HTTP."""

from typing import Any

import orjson

from core.kernel.errors import ErrorCode, StoreError, Unauthorized
from protocols.http.error_data import members_of

MEDIA_TYPE = "application/problem+json"
_TYPES = "https://petstoreapi.com/errors/"

#: Status (RFC 9110, section 15) and title of each fault.
PROBLEMS: dict[ErrorCode, tuple[int, str]] = {
    ErrorCode.BAD_REQUEST: (400, "Bad Request"),
    ErrorCode.UNAUTHORIZED: (401, "Unauthorized"),
    ErrorCode.FORBIDDEN: (403, "Forbidden"),
    ErrorCode.NOT_FOUND: (404, "Not Found"),
    ErrorCode.CONFLICT: (409, "Conflict"),
    ErrorCode.CURSOR_EXPIRED: (410, "Cursor Expired"),
    ErrorCode.PRECONDITION_FAILED: (412, "Precondition Failed"),
    ErrorCode.PAYLOAD_TOO_LARGE: (413, "Payload Too Large"),
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: (415, "Unsupported Media Type"),
    ErrorCode.VALIDATION: (422, "Validation Error"),
    ErrorCode.RATE_LIMITED: (429, "Rate Limit Exceeded"),
    ErrorCode.INTERNAL: (500, "Internal Server Error"),
    ErrorCode.UNAVAILABLE: (503, "Service Unavailable"),
}

#: Faults of a request that none of the store's are: slug, status, title.
METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "Method Not Allowed")
NOT_ACCEPTABLE = ("not-acceptable", 406, "Not Acceptable")

RawHeaders = list[tuple[bytes, bytes]]


def problem(slug: str, status: int, title: str, detail: str, instance: str, **members: Any) -> bytes:
    """A problem document (RFC 9457, section 3.1)."""
    document = {
        "type": _TYPES + slug,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
    }
    return orjson.dumps(document | members)


def problem_of(
    error: StoreError, instance: str, *, token_given: bool = False
) -> tuple[int, RawHeaders, bytes]:
    """Status, headers and body of the answer to a fault; ``instance`` is the path of the request."""
    status, title = PROBLEMS[error.code]
    headers: RawHeaders = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")]
    if isinstance(error, Unauthorized):
        challenge = b'Bearer error="invalid_token"' if token_given else b"Bearer"
        headers.append((b"www-authenticate", challenge))
    members = members_of(error)
    retry_after = members.pop("retryAfter", None)
    if retry_after is not None:
        headers.append((b"retry-after", str(max(1, retry_after)).encode()))
    return status, headers, problem(error.code.value, status, title, error.detail, instance, **members)
