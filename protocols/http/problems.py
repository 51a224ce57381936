"""Errors as HTTP problem documents (RFC 9457): the one table of statuses for all doors on HTTP."""

from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from core.kernel.errors import ErrorCode, Forbidden, StoreError, Unauthorized
from core.store.idempotency import KEY_NAME
from protocols.http.error_data import members_of
from protocols.http.headers import Header
from protocols.http.response import Response

MEDIA_TYPE = "application/problem+json"
_TYPES = "https://petstoreapi.com/errors/"

#: Status (RFC 9110, section 15) and title of each of the store's errors.
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


KEY_HEADER = "Idempotency-Key"
#: What is a header field here, by the store's name of it.
_HEADERS = {KEY_NAME: KEY_HEADER}


class ProblemType(NamedTuple):
    """A kind of problem: the last part of its ``type`` URI, its status and its title."""

    slug: str
    status: int
    title: str


#: Errors of a request that none of the store's are.
METHOD_NOT_ALLOWED = ProblemType("method-not-allowed", 405, "Method Not Allowed")
NOT_ACCEPTABLE = ProblemType("not-acceptable", 406, "Not Acceptable")
URI_TOO_LONG = ProblemType("uri-too-long", 414, "URI Too Long")
UPGRADE_REQUIRED = ProblemType("upgrade-required", 426, "Upgrade Required")
HEADER_FIELDS_TOO_LARGE = ProblemType(
    "request-header-fields-too-large", 431, "Request Header Fields Too Large"
)
NOT_IMPLEMENTED = ProblemType("not-implemented", 501, "Not Implemented")
VERSION_NOT_SUPPORTED = ProblemType("http-version-not-supported", 505, "HTTP Version Not Supported")


def problem_type(code: ErrorCode) -> ProblemType:
    """What one of the store's errors is on HTTP."""
    return ProblemType(code.value, *PROBLEMS[code])


class HttpError(Exception):
    """An error of the HTTP request itself, found before the store was asked."""

    def __init__(self, kind: ProblemType, detail: str, headers: Iterable[Header] = ()) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = tuple(headers)


def method_not_allowed(allow: bytes) -> HttpError:
    """A path that exists, asked with a method it does not have (RFC 9110, section 15.5.6)."""
    return HttpError(METHOD_NOT_ALLOWED, f"This path takes {allow.decode()}.", [(b"allow", allow)])


def error_headers(
    error: StoreError, *, credentials_refused: bool = False, resource_metadata: str | None = None
) -> tuple[Header, ...]:
    """The header fields that tell of an error: how to authenticate (RFC 6750, section 3), when to come again.

    ``resource_metadata`` is the address that tells who issues tokens (RFC 9728, section 5.1).
    """
    lacking = error.scope if isinstance(error, Forbidden) else None
    if isinstance(error, Unauthorized) or lacking is not None:
        parameters = {}
        if lacking is not None:
            parameters = {"error": "insufficient_scope", "scope": lacking}
        elif credentials_refused:
            parameters = {"error": "invalid_token"}
        if resource_metadata is not None:
            parameters["resource_metadata"] = resource_metadata
        challenge = ", ".join(f'{name}="{value}"' for name, value in parameters.items())
        return ((b"www-authenticate", f"Bearer {challenge}".rstrip().encode()),)
    if error.retry_after is not None:
        return ((b"retry-after", b"%d" % max(1, error.retry_after)),)
    return ()


def problem_response(
    error: StoreError | HttpError,
    path: str,
    *,
    credentials_refused: bool = False,
    resource_metadata: str | None = None,
) -> Response:
    """The response that tells of an error; ``path`` is the request's.

    ``credentials_refused``: the client sent credentials, and they are why it is refused. ``resource_metadata``: see
    `error_headers`.
    """
    members: dict[str, Any] = {}
    if isinstance(error, HttpError):
        kind, headers = error.kind, error.headers
    else:
        kind, headers = (
            problem_type(error.code),
            error_headers(
                error, credentials_refused=credentials_refused, resource_metadata=resource_metadata
            ),
        )
        members = members_of(error)
        members.pop("retryAfter", None)
        for violation in members.get("errors", ()):
            violation["field"] = _HEADERS.get(violation["field"], violation["field"])
    document = {
        "type": _TYPES + kind.slug,
        "title": kind.title,
        "status": kind.status,
        "detail": error.detail,
        "instance": quote(path, safe="/:@!$&'()*+,;=~"),
    }
    return Response(kind.status, orjson.dumps(document | members), MEDIA_TYPE.encode(), headers)
