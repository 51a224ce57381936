"""Events as messages of the broker."""

from collections.abc import Iterator

from core.kernel.events import Event
from core.live.current_state import has_state
from core.models.pets import PET_DELETED
from gateway.broker.acl import prefix_of
from gateway.broker.link import Outgoing

#: The last levels of the topics whose retained message is cleared when the pet is deleted.
_PET_STATE_LEVELS = ("status", "availability")


def messages_of(event: Event) -> Iterator[Outgoing]:
    """An event under each of its topics, retained where it describes a current state; but the broker keeps nothing that
    tells of a person, since the gateway could not make it forget that.

    A deleted pet's retained messages are cleared (MQTT 5.0, section 3.3.1.3: an empty payload).
    """
    prefix = prefix_of(event.tenant)
    properties = (("eventId", event.id), ("eventType", event.event_type), ("cursor", event.cursor or ""))
    for topic in event.topics:
        retain = has_state(topic) and not event.audience.personal
        yield Outgoing(prefix + topic, event.envelope, retain, properties)
    if event.event_type == PET_DELETED.event_type:
        for last in _PET_STATE_LEVELS:
            yield Outgoing(f"{prefix}{event.topic}/{last}", b"", True, properties)
