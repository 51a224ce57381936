"""What the AsyncAPI document says of the door."""

from typing import Any

from core.kernel.errors import CloseReason
from core.kernel.events import EventKind
from core.models import examples
from core.models.catalogue import EVENTS
from protocols.asyncapi import (
    CURSOR,
    Channel,
    DoorDescription,
    MessageDescription,
    closed,
    envelope,
    envelope_example,
)
from protocols.http.error_data import ExpiredData
from protocols.sse.errors import ClosedData
from protocols.sse.wire import RETRY_MILLISECONDS, CursorData

_RETRY = {"type": "integer", "minimum": 0, "description": "Milliseconds to wait before reconnecting."}
_TEXT = {"type": "string"}
#: What a request may say; the headers Authorization, X-API-Key, X-Tenant-ID and Last-Event-ID count too.
_QUERY = {
    "type": "object",
    "properties": {
        "topics": {**_TEXT, "description": "MQTT topic filters (`+`, `#`), separated by commas."},
        "cursor": {
            **_TEXT,
            "description": "The cursor to resume from, or `earliest`; Last-Event-ID takes precedence.",
        },
        "token": {**_TEXT, "description": "An access token, for browsers that cannot send headers."},
        "tenant": {**_TEXT, "description": "The tenant, for browsers that cannot send headers."},
    },
    "required": ["topics"],
}


def _event(name: str) -> dict[str, Any]:
    return {"type": "string", "const": name}


def _of(kind: EventKind) -> MessageDescription:
    headers: dict[str, Any] = {"id": CURSOR, "event": _event(kind.event_type)}
    example = {"id": examples.CURSOR, "event": kind.event_type}
    if kind.ephemeral:
        del headers["id"], example["id"]
    return MessageDescription(
        kind.event_type,
        kind.event_type,
        kind.description,
        envelope(kind),
        envelope_example(kind),
        closed(headers),
        example,
    )


_CURSOR = MessageDescription(
    "cursor",
    "cursor",
    "The position of the stream, sent first and then at intervals.",
    CursorData,
    {"cursor": examples.CURSOR},
    closed({"id": CURSOR, "event": _event("cursor"), "retry": _RETRY}, "retry"),
    {"id": examples.CURSOR, "event": "cursor", "retry": RETRY_MILLISECONDS},
)
_EXPIRED = MessageDescription(
    "cursor-expired",
    "cursor-expired",
    "The stream ends: its cursor expired while it was read. Reconnecting begins at the oldest position that is kept.",
    ExpiredData,
    {"oldestCursor": examples.CURSOR},
    closed({"id": CURSOR, "event": _event("cursor-expired")}),
    {"id": examples.CURSOR, "event": "cursor-expired"},
)
_CLOSED = MessageDescription(
    "closed",
    "closed",
    "The stream ends for another reason.",
    ClosedData,
    {"reason": CloseReason.DRAINING.value, "message": "This node is shutting down.", "resumable": True},
    closed({"event": _event("closed")}),
    {"event": "closed"},
)

DOOR = DoorDescription(
    "sse",
    (
        Channel(
            "events",
            "/v1/events",
            "Events, as Server-Sent Events.",
            "The headers of a message are the fields of its block (`id`, `event`, `retry`), its payload is the field "
            "`data`. Reconnecting with the last `id` as `Last-Event-ID` delivers what was missed, each event once.",
            sent=(*map(_of, EVENTS.values()), _CURSOR, _EXPIRED, _CLOSED),
            sending={"http": {"method": "GET", "query": _QUERY, "bindingVersion": "0.3.0"}},
        ),
    ),
)
