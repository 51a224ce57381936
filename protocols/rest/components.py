"""The parts of the OpenAPI document that are the same for all operations."""

from importlib.metadata import version
from typing import Any

from core.kernel.caller import Scope
from core.kernel.describing import texts_of
from protocols.http.problems import ProblemType

INFO: dict[str, Any] = {
    "title": "Petstore Gateway",
    "version": version("petstore-gateway"),
    "summary": "One pet store behind many protocols: this is its REST door.",
    "description": (
        "All data belongs to a tenant, named by `X-Tenant-ID`; without it, to the token's tenant, or to the "
        "pool that everybody shares. Errors are problems (RFC 9457). The events of the store can be followed "
        "live on `/v1/events`."
    ),
    "license": {"name": "MIT", "identifier": "MIT"},
}

#: What each scope means.
_SCOPES = {scope.value: texts_of(Scope)[scope.name] for scope in Scope}

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
    "oauth2": {
        "type": "oauth2",
        "description": "An access token of an OAuth client: for a user who allowed it, or of its own accord.",
        "flows": {
            "authorizationCode": {
                "authorizationUrl": "/v1/oauth/authorize",
                "tokenUrl": "/v1/oauth/token",
                "refreshUrl": "/v1/oauth/token",
                "scopes": _SCOPES,
            },
            "clientCredentials": {"tokenUrl": "/v1/oauth/token", "scopes": _SCOPES},
            "deviceAuthorization": {
                "deviceAuthorizationUrl": "/v1/oauth/device_authorization",
                "tokenUrl": "/v1/oauth/token",
                "refreshUrl": "/v1/oauth/token",
                "scopes": _SCOPES,
            },
        },
    },
}

_TENANT = {
    "type": "string",
    "format": "uuid",
    "pattern": (
        "^([0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[47][0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}"
        "|0{8}-0{4}-0{4}-0{4}-0{12})$"
    ),
}

PARAMETERS: dict[str, Any] = {
    "TenantId": {
        "name": "X-Tenant-ID",
        "in": "header",
        "description": (
            "The tenant: a UUID of version 4 or 7. A tenant exists as soon as it is named. The pool that everybody "
            "shares has the id of zeros."
        ),
        "schema": _TENANT,
    },
    "TenantInQuery": {
        "name": "tenant",
        "in": "query",
        "description": "The tenant, for browsers that follow an address in a resource: they cannot send headers.",
        "schema": _TENANT,
    },
    "RequestId": {
        "name": "X-Request-ID",
        "in": "header",
        "description": "An id for this request: it is returned, and appears in logs and events.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": (
            "Makes repeating a request safe: for 24 hours the same key and request get the first response "
            "replayed. The same key with another request gets a 422, and while the first one runs a 409."
        ),
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "Entity tags of the resource as it was read: any other state is a 412.",
        "schema": {"type": "string"},
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": (
            "Entity tags: if one is the resource's, the response to a read is a 304 without a body, and that to "
            "a write a 412. With `*` any is."
        ),
        "schema": {"type": "string"},
    },
}

_COUNT = {"type": "integer", "minimum": 0}

HEADERS: dict[str, Any] = {
    "X-Request-ID": {"description": "The id of the request.", "schema": {"type": "string"}},
    "RateLimit-Limit": {
        "description": "Requests per minute. Absent, like the headers below, when there is no limit.",
        "schema": _COUNT,
    },
    "RateLimit-Remaining": {"description": "Requests left.", "schema": _COUNT},
    "RateLimit-Reset": {
        "description": "Seconds until the whole budget is available again.",
        "schema": _COUNT,
    },
    "RateLimit-Policy": {
        "description": "The same as in draft-ietf-httpapi-ratelimit-headers: quota and window in seconds.",
        "schema": {"type": "string", "examples": ['"default";q=100;w=60']},
    },
    "RateLimit": {
        "description": "The same as in draft-ietf-httpapi-ratelimit-headers: what is left, and for how long.",
        "schema": {"type": "string", "examples": ['"default";r=99;t=60']},
    },
    "ETag": {"description": "Identifies this state of the resource.", "schema": {"type": "string"}},
    "Location": {
        "description": "The path of the new resource.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Link": {
        "description": (
            "Links to other pages: `self`, `first`, `prev`, `next`, `last` (RFC 8288). Those of a search are for the "
            "same method and body: `page` and `limit` of the query go before the body's."
        ),
        "schema": {"type": "string"},
    },
    "Idempotent-Replayed": {
        "description": "`true`: the response was replayed for a repeated Idempotency-Key.",
        "schema": {"type": "string", "const": "true"},
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": _COUNT},
    "WWW-Authenticate": {
        "description": "`Bearer`, and what is wrong with the token.",
        "schema": {"type": "string"},
    },
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
        "type": {"type": "string", "format": "uri", "description": "The kind of problem."},
        "title": {"type": "string", "description": "The kind of problem, in words."},
        "status": {"type": "integer", "description": "The status of the response."},
        "detail": {"type": "string", "description": "What is wrong this time."},
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
        {
            "type": "array",
            "items": {"$ref": "#/components/schemas/Fault"},
            "description": "What is wrong, member by member.",
        },
        "A body with violations: all of them.",
    ),
    "CursorExpiredProblem": _problem_with(
        "oldestCursor",
        {"type": "string", "description": "The earliest cursor that there is."},
        "The requested events are no longer kept; `oldestCursor` says where reading can begin.",
    ),
    "Fault": {
        "type": "object",
        "description": "What is wrong with one member of a body.",
        "properties": {
            "field": {"type": "string", "description": "Its path.", "examples": ["items[0].petId"]},
            "message": {"type": "string", "description": "What is wrong, for people."},
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
                "description": "What is wrong, for programs.",
            },
        },
        "required": ["field", "message", "code"],
    },
}

_SPECIAL_SCHEMAS = {422: "ValidationProblem", 410: "CursorExpiredProblem"}
_SPECIAL_HEADERS = {
    401: "WWW-Authenticate",
    409: "Retry-After",
    429: "Retry-After",
    503: "Retry-After",
}
_WHEN = {
    400: "Broken JSON, a bad parameter, or a bad tenant id.",
    401: "No credentials where some are needed, or bad ones.",
    403: "A known caller without the permission, or a token of another tenant.",
    404: "There is no such resource in this tenant.",
    406: "The client does not accept the media type of the response.",
    409: (
        "The present state does not allow it, a name is taken, or (with `Retry-After`) the first request with the same "
        "idempotency key is still running."
    ),
    410: "The requested events are no longer kept.",
    412: "The resource has changed since it was read, or is one that the request excludes.",
    413: "The body is too large: more than 1 MiB, or an image of more than 5 MiB.",
    415: "The media type, charset or content coding of the body is not accepted here.",
    422: "The body has violations.",
    429: "Too many requests.",
    500: "An internal error.",
    503: "The node is shutting down, or a server that it needs is unavailable.",
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
    422: {"errors": [{"field": "name", "message": "is required", "code": "REQUIRED_FIELD"}]},
    410: {"oldestCursor": "AAAAAQ…"},
}
