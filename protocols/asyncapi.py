"""What a live door declares of itself, in the terms of AsyncAPI 3.0: channels, and the messages that go over them.

Each live door has an ``asyncapi.py`` of its own with a `DoorDescription`, made from the tables that it works with.
``gateway.contracts.asyncapi`` puts the doors together. A payload is JSON Schema in which a pydantic model, or an
`Extended` one, may stand wherever a schema may: for what is read into it in a message that the door receives, for
what is written of it in one that it sends.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from core.kernel.describing import texts_of
from core.kernel.events import Event, EventKind
from core.live.chat_messages import CHAT_FORMS
from core.models import examples
from core.models.catalogue import EVENTS

#: A place in the log.
CURSOR = {
    "type": "string",
    "minLength": 1,
    "description": "A position in the log, from which every door can resume.",
}
CHAT_ID = {"type": "string", "description": "The chat that the message belongs to."}
_TEXTS = texts_of(Event)


@dataclass(frozen=True, slots=True)
class Extended:
    """A model with members beside its own, all of them required."""

    model: type[BaseModel]
    members: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MessageDescription:
    """One kind of message that a door sends or receives.

    ``key`` names it in the document, behind the door's name; messages with the same key are the same. ``name`` is what
    it is called on the wire. Without a ``payload`` it is all headers. ``replies`` are what it is answered with.
    """

    key: str
    name: str
    summary: str
    payload: Any = None
    example: Any = None
    headers: Any = None
    headers_example: Any = None
    replies: tuple["MessageDescription", ...] = ()
    bindings: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Channel:
    """Where messages go: ``received`` from clients, ``sent`` to them unasked. ``parameters`` are those of the address.

    The ``address`` is None where clients say for themselves where messages go. ``bindings`` are the channel's own,
    ``receiving`` and ``sending`` those of its operations.
    """

    key: str
    address: str | None
    summary: str
    description: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    received: tuple[MessageDescription, ...] = ()
    sent: tuple[MessageDescription, ...] = ()
    bindings: Mapping[str, Any] = field(default_factory=dict)
    receiving: Mapping[str, Any] = field(default_factory=dict)
    sending: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DoorDescription:
    """What a live door offers. ``extensions`` are what is true of each of its servers and has no word in AsyncAPI."""

    name: str
    channels: tuple[Channel, ...]
    extensions: Mapping[str, Any] = field(default_factory=dict)


def closed(properties: Mapping[str, Any], *optional: str) -> dict[str, Any]:
    """The schema of an object with these members and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def summary_of(model: type[BaseModel]) -> str:
    """The first line of what a model says of itself, as Markdown."""
    return (model.__doc__ or "").partition("\n")[0].replace("``", "`")


# --- events ---


def envelope(kind: EventKind) -> dict[str, Any]:
    """A reference to the schema of the envelope of an event, which `envelopes` has."""
    return {"$ref": f"#/components/schemas/{kind.event_type}"}


def envelopes() -> dict[str, dict[str, Any]]:
    """The schema of the envelope of each kind of event, by event type."""
    return {kind.event_type: _envelope(kind) for kind in EVENTS.values()}


def placeless(kind: EventKind) -> dict[str, Any]:
    """The schema of the envelope of what has no place in the log, so that no cursor says where."""
    return _envelope(kind, placed=False)


def _envelope(kind: EventKind, *, placed: bool = True) -> dict[str, Any]:
    members: dict[str, Any] = {
        "id": {"type": "string", "format": "uuid", "description": _TEXTS["id"]},
        "eventType": {"type": "string", "const": kind.event_type, "description": _TEXTS["event_type"]},
        "timestamp": {"type": "string", "format": "date-time", "description": _TEXTS["timestamp"]},
        "tenantId": {"type": "string", "format": "uuid", "description": _TEXTS["tenant"]},
        "topic": {"type": "string", "pattern": _pattern(kind.topics[0]), "description": _TEXTS["topic"]},
        "cursor": CURSOR,
        "data": kind.data,
    }
    if kind.ephemeral or not placed:
        del members["cursor"]
    return {"description": kind.description, **closed(members)}


def _pattern(topic: str) -> str:
    levels = ("[^/]+" if level.startswith("{") else level for level in topic.split("/"))
    return f"^{'/'.join(levels)}$"


def envelope_example(kind: EventKind) -> dict[str, Any]:
    """An event as clients see it."""
    place = {} if kind.ephemeral else {"cursor": examples.CURSOR}
    return {
        "id": examples.EVENT_ID,
        "eventType": kind.event_type,
        "timestamp": "2026-03-03T16:20:09.118Z",
        "tenantId": examples.TENANT_ID,
        "topic": kind.topics[0].format(**examples.PLACES),
        **place,
        "data": examples.EVENTS[kind.event_type],
    }


# --- events as chat clients see them ---


def chat_messages(
    make: Callable[[str, EventKind, Extended, dict[str, Any]], MessageDescription], **more: Any
) -> Iterator[MessageDescription]:
    """A message for each name of what happens in chats, of its name, kind, data and an example of that.

    ``more`` are members that the door adds to the data.
    """
    for event_type, form in CHAT_FORMS.items():
        kind = EVENTS[event_type]
        place = {} if kind.ephemeral else {"cursor": CURSOR}
        whole = examples.EVENTS[event_type]
        example = whole if form.part is None else whole[form.part]
        shown = {field.alias or name for name, field in form.shown.model_fields.items()}
        example = {key: value for key, value in example.items() if key in shown}
        example |= dict.fromkeys(place, examples.CURSOR) | dict.fromkeys(more, examples.CHAT_ID)
        for name in form.names:
            yield make(name, kind, Extended(form.shown, place | more), example)
