"""Errors as classic clients know them: the framework's as JSON or XML, the controllers' as a bare sentence."""

import orjson

from core.kernel.errors import ErrorCode, StoreError
from protocols.classic import xml
from protocols.http.exchange import Exchange
from protocols.http.problems import (
    HttpError,
    ProblemType,
    error_headers,
    problem_type,
)
from protocols.http.response import Response

JSON, XML, YAML, TEXT = b"application/json", b"application/xml", b"application/yaml", b"text/plain"
_BAD_REQUEST = problem_type(ErrorCode.BAD_REQUEST)
#: What is told by the sentence that the store says; all else is told as the framework does.
_SAID = (ErrorCode.NOT_FOUND, ErrorCode.CONFLICT)
#: What the framework tells by its status alone.
_BY_STATUS = (ErrorCode.PAYLOAD_TOO_LARGE, ErrorCode.UNSUPPORTED_MEDIA_TYPE)


class Sentence(HttpError):
    """An error that a controller of the original tells: its text is all of the body."""

    def __init__(self, detail: str, kind: ProblemType = _BAD_REQUEST) -> None:
        super().__init__(kind, detail)


class InputError(HttpError):
    """A request that the original's framework cannot read; ``faults`` say why."""

    def __init__(self, *faults: str) -> None:
        super().__init__(_BAD_REQUEST, f"Input error{'s' if len(faults) > 1 else ''}: {', '.join(faults)}")


def bad_number(text: str) -> InputError:
    """The error of a part of a path that is no number of 64 bits."""
    return InputError(f"couldn't convert `{text[:100]}` to type `class java.lang.Long`")


def bad_body(model: str) -> InputError:
    """The error of a body that is not what it should be: a class of the original."""
    return InputError(f"unable to convert input to io.swagger.petstore.model.{model}")


def sentence(text: str, status: int = 200) -> Response:
    """A bare sentence."""
    return Response(status, text.encode(), TEXT)


def tell(exchange: Exchange, error: StoreError | HttpError) -> Response:
    """An error as a response."""
    if isinstance(error, HttpError):
        kind, headers = error.kind, error.headers
        if isinstance(error, Sentence):
            return sentence(error.detail, kind.status)
        message = error.detail if isinstance(error, InputError) else f"HTTP {kind.status} {kind.title}"
    else:
        kind = problem_type(error.code)
        headers = error_headers(error, credentials_refused=exchange.credentials_refused)
        if error.code in _SAID:
            return sentence(error.detail, kind.status)
        message = error.detail
        if error.code in _BY_STATUS:
            message = f"HTTP {kind.status} {kind.title}"
        elif error.code is ErrorCode.BAD_REQUEST:
            message = f"Input error: {error.detail}"
        elif error.code is ErrorCode.INTERNAL:
            message = (
                f"There was an error processing your request. It has been logged (ID: {exchange.request_id})"
            )
    told = {"code": kind.status, "message": message}
    if exchange.headers.get(b"accept") == XML:
        return Response(kind.status, xml.write("ApiError", told), XML, headers)
    return Response(kind.status, orjson.dumps(told), JSON, headers)


#: A path or a method that is not there, as `tell` puts it.
NOT_FOUND = ProblemType("not-found", 404, "Not Found")
