"""What the AsyncAPI document says of the door: a channel for each form of topic, and where devices publish."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic.alias_generators import to_camel

from core.kernel.errors import CloseReason, ErrorCode
from core.kernel.events import EventKind
from core.live.current_state import has_state
from core.models import examples
from core.models.catalogue import EVENTS
from core.models.readings import TELEMETRY_TOPIC, ReadingDraft
from protocols.asyncapi import (
    CURSOR,
    Channel,
    DoorDescription,
    MessageDescription,
    closed,
    envelope,
    envelope_example,
    placeless,
)
from protocols.mqtt.errors import CONNECT_CODES, DISCONNECT_CODES, PUBLISH_CODES, SUBSCRIBE_CODES

_BINDING_VERSION = "0.2.0"
_JSON = {
    "mqtt": {
        "payloadFormatIndicator": 1,
        "contentType": "application/json",
        "bindingVersion": _BINDING_VERSION,
    }
}
_MEANING = {
    "tenantId": "A private tenant: a UUID of version 4 or 7.",
    "petId": "The id of a pet.",
    "orderId": "The id of an order.",
    "paymentId": "The id of a payment.",
    "adoptionId": "The id of an application.",
    "species": "DOG, CAT, RABBIT, BIRD, REPTILE or OTHER.",
    "chatId": "The id of a chat.",
    "webhookId": "The id of a webhook.",
}
#: A visitor names a private tenant by its topics; other callers may name their own.
_PREFIX = "tenants/{tenantId}/"


def _of(kind: EventKind) -> MessageDescription:
    placed = not kind.ephemeral
    return MessageDescription(
        kind.event_type,
        kind.event_type,
        kind.description,
        envelope(kind),
        envelope_example(kind),
        *_properties(kind, placed=placed),
        bindings=_JSON,
    )


def _state_of(kind: EventKind) -> MessageDescription:
    example = envelope_example(kind)
    del example["cursor"]
    return MessageDescription(
        f"{kind.event_type}.retained",
        kind.event_type,
        f"{kind.description} Retained: the current state, which has no position in the log.",
        placeless(kind),
        example,
        *_properties(kind, placed=False),
        bindings=_JSON,
    )


def _properties(kind: EventKind, *, placed: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The user properties and an example of them."""
    properties: dict[str, Any] = {
        "eventId": {"type": "string", "format": "uuid"},
        "eventType": {"type": "string", "const": kind.event_type},
    }
    example = {"eventId": examples.EVENT_ID, "eventType": kind.event_type}
    if placed:
        properties["cursor"], example["cursor"] = CURSOR, examples.CURSOR
    return closed(properties), example


def _address(topic: str) -> str:
    return re.sub(r"{(\w+)}", lambda found: f"{{{to_camel(found[1])}}}", topic)


def _key(topic: str) -> str:
    return ".".join(level for level in topic.split("/") if not level.startswith("{"))


def _parameters(address: str) -> dict[str, str]:
    return {name: _MEANING[name] for name in re.findall(r"{(\w+)}", address)}


def _channels() -> Iterator[Channel]:
    found: dict[str, list[EventKind]] = {}
    for kind in EVENTS.values():
        for topic in kind.topics:
            found.setdefault(topic, []).append(kind)
    for topic, kinds in found.items():
        stateful = has_state(topic)
        summary = "Events, and the current state as a retained message." if stateful else "Events."
        for prefix in ("", _PREFIX):
            address = prefix + _address(topic)
            yield Channel(
                _key(address),
                address,
                summary,
                parameters=_parameters(address),
                sent=(*map(_of, kinds), *(map(_state_of, kinds) if stateful else ())),
                sending=_delivery(qos=1, retain=stateful),
            )
    for prefix in ("", _PREFIX):
        address = prefix + _address(TELEMETRY_TOPIC)
        yield Channel(
            _key(address),
            address,
            "What a device reports about the pets it was provisioned with. Only devices publish here, and nobody "
            "can subscribe.",
            parameters=_parameters(address),
            received=(_TELEMETRY,),
            receiving=_delivery(qos=2, retain=False),
        )


def _delivery(*, qos: int, retain: bool) -> dict[str, Any]:
    return {"mqtt": {"qos": qos, "retain": retain, "bindingVersion": _BINDING_VERSION}}


_TELEMETRY = MessageDescription(
    "telemetry",
    "telemetry",
    "The health of a pet: at least one value. Every subscriber to the pet gets it.",
    ReadingDraft,
    examples.READING,
)


def _codes(table: Iterable[tuple[ErrorCode | CloseReason, Any]]) -> dict[str, int]:
    return {key.value: int(code) for key, code in table}


DOOR = DoorDescription(
    "mqtt",
    tuple(_channels()),
    {
        "x-reason-codes": {
            "CONNACK": _codes(CONNECT_CODES.items()),
            "SUBACK": _codes(SUBSCRIBE_CODES.items()),
            "PUBACK": _codes(PUBLISH_CODES.items()),
            "DISCONNECT": _codes(DISCONNECT_CODES.items()),
        }
    },
)
