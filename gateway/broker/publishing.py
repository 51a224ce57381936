"""Events as messages of the broker."""

from collections.abc import Iterator

from core.kernel.events import Event
from core.live.current_state import has_state
from core.models.pets import PET_DELETED
from gateway.broker.acl import prefix_of
from gateway.broker.link import Outgoing

#: Topics beneath a pet's own whose retained message goes with the pet.
_OF_A_PET = ("status", "availability")


def messages_of(event: Event) -> Iterator[Outgoing]:
    """An event under every topic it is found under, retained where it says how things are.

    A pet that is deleted takes its retained messages with it (MQTT 5.0, section 3.3.1.3: an empty payload).
    """
    prefix = prefix_of(event.tenant)
    properties = (("eventId", event.id), ("eventType", event.event_type), ("cursor", event.cursor or ""))
    for topic in event.topics:
        yield Outgoing(prefix + topic, event.envelope, has_state(topic), properties)
    if event.event_type == PET_DELETED.event_type:
        for last in _OF_A_PET:
            yield Outgoing(f"{prefix}{event.topic}/{last}", b"", True, properties)
