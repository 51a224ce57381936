"""The parts of the OpenAPI document that are the same for all operations."""

from typing import Any

from protocols.rest.errors import ProblemType

INFO: dict[str, Any] = {
    "title": "Petstore Gateway",
    "version": "1.0.0",
    "summary": "One pet store behind many protocols: this is its REST door.",
    "description": (
        "Everything belongs to a tenant, named by `X-Tenant-ID`; without it, to the token's tenant, or to the pool "
        "that everybody shares. Errors are problems (RFC 9457). What happens in the store can be followed live on "
        "`/v1/events`."
    ),
    "license": {"name": "MIT", "identifier": "MIT"},
}

SECURITY_SCHEMES: dict[str, Any] = {
    "bearerAuth": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token from `POST /v1/auth/tokens`.",
    },
    "apiKeyAuth": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key from `POST /v1/api-keys`.",
    },
}

_UUID = {"type": "string", "format": "uuid"}

PARAMETERS: dict[str, Any] = {
    "TenantId": {
        "name": "X-Tenant-ID",
        "in": "header",
        "description": "The tenant: a UUID of version 4 or 7. A tenant exists as soon as it is named.",
        "schema": _UUID,
    },
    "RequestId": {
        "name": "X-Request-ID",
        "in": "header",
        "description": "A name for this request: it comes back, and is found in logs and events.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": (
            "Makes a repetition harmless: the same key and request get the first answer again, for 24 hours. With "
            "another request it is a 422, and while the first one runs a 409."
        ),
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "Entity tags of the resource as it was read: another one is a 412.",
        "schema": {"type": "string"},
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "Entity tags of what the client has: the same is answered by a 304 without a body.",
        "schema": {"type": "string"},
    },
}

_COUNT = {"type": "integer", "minimum": 0}

HEADERS: dict[str, Any] = {
    "X-Request-ID": {"description": "The name of the request.", "schema": {"type": "string"}},
    "RateLimit-Limit": {"description": "Requests per minute. No limit: no such headers.", "schema": _COUNT},
    "RateLimit-Remaining": {"description": "Requests that are left.", "schema": _COUNT},
    "RateLimit-Reset": {"description": "Seconds until all requests are there again.", "schema": _COUNT},
    "RateLimit-Policy": {
        "description": "The same as in draft-ietf-httpapi-ratelimit-headers: quota and window in seconds.",
        "schema": {"type": "string", "examples": ['"default";q=100;w=60']},
    },
    "RateLimit": {
        "description": "The same as in draft-ietf-httpapi-ratelimit-headers: what is left, and for how long.",
        "schema": {"type": "string", "examples": ['"default";r=99;t=60']},
    },
    "ETag": {"description": "Stands for this state of the resource.", "schema": {"type": "string"}},
    "Location": {
        "description": "Where the result can be found.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Link": {
        "description": "The pages around: `self`, `first`, `prev`, `next`, `last` (RFC 8288).",
        "schema": {"type": "string"},
    },
    "Idempotent-Replayed": {
        "description": "`true`: this answer was given before, for the same Idempotency-Key.",
        "schema": {"type": "string", "const": "true"},
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": _COUNT},
    "WWW-Authenticate": {"description": "`Bearer`, and what is wrong.", "schema": {"type": "string"}},
    "Allow": {"description": "The methods of this path.", "schema": {"type": "string"}},
}

ON_EVERY_ANSWER = (
    "X-Request-ID",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "RateLimit-Policy",
    "RateLimit",
)

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "A problem (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "The path of the request."},
    },
    "required": ["type", "title", "status", "detail", "instance"],
}


def _problem_with(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "type": "object",
        "description": description,
        "properties": {name: schema},
        "required": [name],
    }


PROBLEM_SCHEMAS: dict[str, Any] = {
    "Problem": _PROBLEM,
    "ValidationProblem": _problem_with(
        "errors",
        {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}},
        "A body with faults: all of them.",
    ),
    "CursorExpiredProblem": _problem_with(
        "oldestCursor",
        {"type": "string"},
        "The events asked for are no longer kept: where reading can begin.",
    ),
    "Fault": {
        "type": "object",
        "description": "What is wrong with one member of a body.",
        "properties": {
            "field": {"type": "string", "description": "Its path.", "examples": ["items[0].petId"]},
            "message": {"type": "string"},
            "code": {
                "type": "string",
                "enum": [
                    "REQUIRED_FIELD",
                    "INVALID_FORMAT",
                    "INVALID_TYPE",
                    "INVALID_ENUM_VALUE",
                    "OUT_OF_RANGE",
                    "INVALID_LENGTH",
                    "UNKNOWN_FIELD",
                ],
            },
        },
        "required": ["field", "message", "code"],
    },
}

_SPECIAL_SCHEMAS = {422: "ValidationProblem", 410: "CursorExpiredProblem"}
_SPECIAL_HEADERS = {401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"}
_WHEN = {
    400: "Broken JSON, a bad parameter, or a bad tenant id.",
    401: "No credentials where some are needed, or bad ones.",
    403: "A known caller without the right, or a token of another tenant.",
    404: "There is no such thing in this tenant.",
    405: "The path does not take this method.",
    406: "The client does not accept what the answer is.",
    409: "The state of things forbids it, or a name is taken.",
    410: "The events asked for are no longer kept.",
    412: "The resource has changed since it was read.",
    413: "The body is too large: more than 1 MiB, or an image of more than 5 MiB.",
    415: "The body is of a media type that is not taken here.",
    422: "The body has faults.",
    429: "Too many requests.",
    500: "A fault of the store.",
    503: "The node is shutting down, or a server that it needs is away.",
}


def problem_response(kind: ProblemType) -> dict[str, Any]:
    """The response that tells of a problem."""
    names = [*ON_EVERY_ANSWER, *filter(None, [_SPECIAL_HEADERS.get(kind.status)])]
    schema = _SPECIAL_SCHEMAS.get(kind.status, "Problem")
    return {
        "description": _WHEN[kind.status],
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {
            "application/problem+json": {
                "schema": {"$ref": f"#/components/schemas/{schema}"},
                "example": {
                    "type": f"https://petstoreapi.com/errors/{kind.slug}",
                    "title": kind.title,
                    "status": kind.status,
                    "detail": _WHEN[kind.status],
                    "instance": "/v1/pets",
                    **_SPECIAL_EXAMPLES.get(kind.status, {}),
                },
            }
        },
    }


_SPECIAL_EXAMPLES: dict[int, dict[str, Any]] = {
    422: {"errors": [{"field": "name", "message": "Field required", "code": "REQUIRED_FIELD"}]},
    410: {"oldestCursor": "AAAAAQ…"},
}
