"""How errors look: as the result of a tool, as an error of JSON-RPC, and as the response to a request of no use."""

from typing import Any

import orjson
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR
from starlette.types import Scope

from core.kernel.errors import BadRequest, ErrorCode, RateLimited, StoreError, Unauthorized
from protocols.http.connection import RESOURCE_METADATA
from protocols.http.exchange import Exchange, problem_for
from protocols.http.problems import KEY_HEADER, HttpError, problem_response
from protocols.http.response import Response

PATH = "/mcp"
#: The same for clients that have their user log in only when they are told to: it lets no visitor in.
LOGIN_PATH = f"{PATH}/login"
JSON = b"application/json"
#: What begins the names of the store's own members of ``_meta`` (MCP, "General fields").
META = "petstoreapi.com/"
#: The store refuses what the protocol has no number for; the problem says why.
REFUSED = -32010
#: A resource is not there, to clients of 2025-11-25 and before.
_RESOURCE_NOT_FOUND = -32002
#: Codes of JSON-RPC (JSON-RPC 2.0, section 5.1).
CODES: dict[ErrorCode, int] = {
    ErrorCode.BAD_REQUEST: INVALID_PARAMS,
    ErrorCode.UNAUTHORIZED: REFUSED,
    ErrorCode.FORBIDDEN: REFUSED,
    ErrorCode.NOT_FOUND: INVALID_PARAMS,
    ErrorCode.CONFLICT: REFUSED,
    ErrorCode.CURSOR_EXPIRED: REFUSED,
    ErrorCode.PRECONDITION_FAILED: REFUSED,
    ErrorCode.PAYLOAD_TOO_LARGE: INVALID_REQUEST,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: INVALID_REQUEST,
    ErrorCode.VALIDATION: INVALID_PARAMS,
    ErrorCode.RATE_LIMITED: REFUSED,
    ErrorCode.INTERNAL: INTERNAL_ERROR,
    ErrorCode.UNAVAILABLE: REFUSED,
}


#: What makes a second attempt harmless, beside the header field of REST.
META_KEY = f"{META}idempotencyKey"


class NotJson(BadRequest):
    """The body is not JSON."""


class NoRequest(BadRequest):
    """The body is JSON, and no request or notification of JSON-RPC."""


def problem_of(error: StoreError | HttpError, path: str, *, key_in_header: bool = True) -> dict[str, Any]:
    """The error as a problem (RFC 9457), with what HTTP tells in header fields; ``path`` is the request's.

    ``key_in_header``: whether it was there that the client had the key of a second attempt.
    """
    problem: dict[str, Any] = orjson.loads(problem_response(error, path).body)
    if isinstance(error, StoreError) and error.retry_after is not None:
        problem["retryAfter"] = max(1, error.retry_after)
    for violation in problem.get("errors", ()):
        if violation["field"] == KEY_HEADER and not key_in_header:
            violation["field"] = f'_meta["{META_KEY}"]'
    return problem


def protocol_error(error: StoreError, version: str, path: str) -> MCPError:
    """The error as one of JSON-RPC in a version of the protocol, its problem as the data."""
    code = CODES[error.code]
    if error.code is ErrorCode.NOT_FOUND and version < "2026":
        code = _RESOURCE_NOT_FOUND
    return MCPError(code, error.detail, problem_of(error, path))


def tool_error(error: StoreError, scope: Scope, *, key_in_header: bool = True) -> dict[str, Any]:
    """The result of a tool that could not do what it was asked: the assistant is to see why.

    Where logging in may help it names the address that tells who issues tokens (RFC 9728), in the member that clients
    look for. ``key_in_header`` is that of `problem_of`.
    """
    problem = problem_of(error, scope["path"], key_in_header=key_in_header)
    resource_metadata = scope["state"].get(RESOURCE_METADATA)
    result: dict[str, Any] = {
        "resultType": "complete",
        "isError": True,
        "content": [{"type": "text", "text": orjson.dumps(problem).decode()}],
        "structuredContent": problem,
    }
    if isinstance(error, Unauthorized) and resource_metadata is not None:
        result["_meta"] = {"mcp/www_authenticate": [f'Bearer resource_metadata="{resource_metadata}"']}
    return result


def tell(exchange: Exchange, error: StoreError | HttpError) -> Response:
    """The response to a request that does not get as far as the protocol: HTTP's status, and an error of JSON-RPC."""
    response = problem_for(exchange, error)
    code = CODES[error.code] if isinstance(error, StoreError) else INVALID_REQUEST
    if isinstance(error, NotJson):
        code = PARSE_ERROR
    elif isinstance(error, NoRequest):
        code = INVALID_REQUEST
    told = {"code": code, "message": error.detail, "data": problem_of(error, exchange.path)}
    body = orjson.dumps({"jsonrpc": "2.0", "id": None, "error": told})
    return response._replace(body=body, media_type=JSON)


def tell_tool(exchange: Exchange, error: RateLimited, message_id: str | int) -> Response:
    """The response to a call of a tool by somebody who has called too often: its result, which the assistant sees."""
    result = tool_error(error, exchange.scope)
    return Response(200, orjson.dumps({"jsonrpc": "2.0", "id": message_id, "result": result}), JSON)
