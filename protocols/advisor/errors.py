"""How errors look: a problem that carries OpenAI's ``error`` too; in a stream that has begun, that alone."""

from typing import Any

import orjson

from core.kernel.errors import Close, ErrorCode, StoreError, Unauthorized, Unavailable
from protocols.http.exchange import Exchange, problem_for
from protocols.http.problems import PROBLEMS, HttpError
from protocols.http.response import Response

#: OpenAI's type of an error by its status; of others it is the client's or the server's.
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def error_of(status: int, message: str, code: str, param: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"message": message, "type": kind, "param": param, "code": code}


def tell(exchange: Exchange, error: StoreError | HttpError) -> Response:
    """The response that tells of an error before an answer has begun."""
    response = problem_for(exchange, error)
    problem = orjson.loads(response.body)
    code = problem["type"].rpartition("/")[2]
    message, param = problem["detail"], None
    for violation in problem.get("errors", ())[:1]:
        param = violation["field"] or None
        message = f"{param}: {violation['message']}" if param else violation["message"]
    problem["error"] = error_of(response.status, message, code, param)
    return response._replace(body=orjson.dumps(problem))


def breaking_off(error: StoreError) -> dict[str, Any]:
    """What ends a stream whose answer goes no further."""
    return {"error": error_of(PROBLEMS[error.code][0], error.detail, error.code.value)}


def refusal_of(close: Close) -> StoreError:
    """The error of a call that the store ends before an answer has begun."""
    detail = close.detail or "The session has ended."
    if close.code is ErrorCode.UNAUTHORIZED:
        return Unauthorized(detail)
    return Unavailable(detail)


def closing(close: Close) -> dict[str, Any]:
    """What ends a stream that the store ends before the answer is whole."""
    return {"error": error_of(PROBLEMS[close.code][0], close.detail, close.reason.value)}
