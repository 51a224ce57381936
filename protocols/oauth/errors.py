"""Errors in the shape of RFC 6749, section 5.2: ``error`` for programs, ``error_description`` for people."""

import orjson

from core.kernel.errors import ErrorCode, StoreError
from core.services.oauth.errors import OAuthError, OAuthErrorCode
from protocols.http.exchange import Exchange
from protocols.http.headers import Header
from protocols.http.problems import PROBLEMS, HttpError, error_headers
from protocols.http.response import Response
from protocols.oauth.wire import JSON

#: Errors that are no client's fault, by the names that the protocol has for some endpoints.
_OURS = {
    ErrorCode.INTERNAL: "server_error",
    ErrorCode.UNAVAILABLE: "temporarily_unavailable",
    ErrorCode.RATE_LIMITED: "temporarily_unavailable",
}
_HOW_TO_AUTHENTICATE: Header = (b"www-authenticate", b'Basic realm="petstore", charset="UTF-8"')


def describe(detail: str) -> str:
    """A description in the characters that the protocol allows."""
    return "".join(char if " " <= char <= "~" and char not in '"\\' else "?" for char in detail)


def code_of(error: StoreError | HttpError) -> str:
    """The code of an error."""
    if isinstance(error, OAuthError):
        return error.error.value
    if isinstance(error, StoreError):
        return _OURS.get(error.code, OAuthErrorCode.INVALID_REQUEST.value)
    return OAuthErrorCode.INVALID_REQUEST.value


def status_of(error: StoreError | HttpError) -> int:
    """The status of a response that tells of an error."""
    if isinstance(error, OAuthError) and error.error is OAuthErrorCode.INVALID_CLIENT:
        return 401
    return PROBLEMS[error.code][0] if isinstance(error, StoreError) else error.kind.status


def tell(exchange: Exchange, error: StoreError | HttpError) -> Response:
    """The response that tells a client of an error."""
    body = orjson.dumps({"error": code_of(error), "error_description": describe(error.detail)})
    status = status_of(error)
    headers: tuple[Header, ...]
    if isinstance(error, HttpError):
        headers = error.headers
    elif isinstance(error, OAuthError):
        headers = (_HOW_TO_AUTHENTICATE,) if status == 401 else ()
    else:
        headers = error_headers(error, credentials_refused=exchange.credentials_refused)
    return Response(status, body, JSON, headers)
