"""What the OpenAPI document says of the door: a path item, and the schema of what streams there."""

from typing import Any

from core.kernel.describing import texts_of
from core.kernel.events import Event

_TEXTS = texts_of(Event)
_ENVELOPE = "#/components/schemas/Event"
_PROBLEMS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    410: "CursorExpired",
    429: "RateLimitExceeded",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


def _parameter(name: str, place: str, description: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "description": description, "schema": {"type": "string"}, **more}


PATHS: dict[str, Any] = {
    "/v1/events": {
        "get": {
            "operationId": "followEvents",
            "tags": ["Events"],
            "summary": "Follow events live",
            "description": (
                "Server-Sent Events. The first event, and one every 15 seconds, is of type `cursor`: its data "
                '`{"cursor": …}` is the stream\'s position, and so is its `id`. Reconnecting with the last `id` as '
                "`Last-Event-ID`, or as a cursor on any other door, delivers each missed event once, in order, and "
                "then live events. A stream that the store ends says why in an event of type `closed` or "
                "`cursor-expired`. Events that the caller may not see are left out."
            ),
            "security": [{}, {"bearerAuth": []}, {"apiKeyAuth": []}],
            "parameters": [
                _parameter(
                    "topics",
                    "query",
                    "MQTT topic filters (`+`, `#`), separated by commas.",
                    required=True,
                    example="orders/+/status,pets/#",
                ),
                _parameter("Last-Event-ID", "header", "The last `id` seen; takes precedence over `cursor`."),
                _parameter(
                    "cursor", "query", "The cursor to resume from, or `earliest` for all that is kept."
                ),
                _parameter("token", "query", "An access token, for browsers that cannot send headers."),
                _parameter("tenant", "query", "The tenant, for browsers that cannot send headers."),
                {"$ref": "#/components/parameters/TenantId"},
            ],
            "responses": {
                "200": {
                    "description": "The stream.",
                    "content": {
                        "text/event-stream": {
                            "itemSchema": {
                                "type": "object",
                                "properties": {
                                    "id": {"type": "string", "description": "The cursor after this block."},
                                    "event": {
                                        "type": "string",
                                        "description": "The event type, `cursor`, `closed` or `cursor-expired`.",
                                    },
                                    "data": {
                                        "type": "string",
                                        "contentMediaType": "application/json",
                                        "contentSchema": {
                                            "anyOf": [
                                                {"$ref": _ENVELOPE},
                                                {"$ref": "#/components/schemas/StreamCursor"},
                                                {"$ref": "#/components/schemas/StreamClosed"},
                                                {"$ref": "#/components/schemas/StreamCursorExpired"},
                                            ]
                                        },
                                    },
                                    "retry": {"type": "integer", "description": "Milliseconds."},
                                },
                            }
                        }
                    },
                },
                **{
                    str(status): {"$ref": f"#/components/responses/{name}"}
                    for status, name in _PROBLEMS.items()
                },
            },
        }
    }
}

_CURSOR = {"type": "string", "description": "A cursor, to resume from."}

SCHEMAS: dict[str, Any] = {
    "StreamCursor": {
        "type": "object",
        "description": "The position of an event stream.",
        "properties": {"cursor": _CURSOR},
        "required": ["cursor"],
    },
    "StreamClosed": {
        "type": "object",
        "description": "Why an event stream ended, and whether to reconnect with the last event id.",
        "properties": {
            "reason": {"type": "string", "description": "Why, for programs."},
            "message": {"type": "string", "description": "Why, for people."},
            "resumable": {"type": "boolean", "description": "Whether to come back with the last event id."},
        },
        "required": ["reason", "message", "resumable"],
    },
    "StreamCursorExpired": {
        "type": "object",
        "description": "An event stream ended because its cursor expired: where reading can begin.",
        "properties": {"oldestCursor": _CURSOR},
        "required": ["oldestCursor"],
    },
    "Event": {
        "type": "object",
        "description": "An event; the envelope is the same on every door.",
        "properties": {
            "id": {"type": "string", "format": "uuid", "description": _TEXTS["id"]},
            "eventType": {
                "type": "string",
                "examples": ["order.status_changed"],
                "description": _TEXTS["event_type"],
            },
            "timestamp": {"type": "string", "format": "date-time", "description": _TEXTS["timestamp"]},
            "tenantId": {"type": "string", "format": "uuid", "description": _TEXTS["tenant"]},
            "topic": {
                "type": "string",
                "description": _TEXTS["topic"],
                "examples": ["orders/019e2d11-0b52-7c44-8a13-2f4e6b9d1c05/status"],
            },
            "cursor": {
                "type": "string",
                "description": "The position after this event in the log; ephemeral events have none.",
            },
            "data": {"type": "object", "description": _TEXTS["data"]},
        },
        "required": ["id", "eventType", "timestamp", "tenantId", "topic", "data"],
    },
}
