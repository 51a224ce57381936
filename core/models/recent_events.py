"""What has happened since a place in the log, a page at a time."""

from typing import Any

from pydantic import Field

from core.kernel.model import Model, Params, Timestamp


class RecentEventsQuery(Params):
    """Which events, and since when."""

    topics: list[str] = Field(min_length=1)
    """MQTT topic filters, such as pets/# (whatever happens to pets) or orders/+/status."""
    after: str | None = Field(default=None, max_length=200)
    """A cursor, of an earlier answer or from any other door, or ``earliest`` for all that is kept; without it the
    latest events."""
    limit: int = Field(default=20, ge=1, le=100)
    """Events in the answer, at most."""


class LoggedEvent(Model):
    """One event, as every door shows it."""

    id: str
    """The id of the event: a UUID of version 7."""
    event_type: str
    """What happened, such as order.status_changed."""
    timestamp: Timestamp
    """When it happened."""
    tenant_id: str
    """The tenant in which it happened."""
    topic: str
    """The topic that it is published under."""
    cursor: str
    """The place just behind it."""
    data: dict[str, Any]
    """What there is to know; its members depend on the event type."""


class RecentEvents(Model):
    """Some events in the order in which they happened, and where to go on."""

    events: list[LoggedEvent]
    """The events."""
    cursor: str
    """What to ask with as ``after`` next time: nothing is missed and nothing comes twice."""
    more: bool
    """Whether there may be more of them already."""
