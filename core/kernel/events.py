"""Events: what happened, who may see it, and the one envelope that every door shows."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from core.kernel.clock import rfc3339
from core.kernel.cursor import Cursor
from core.kernel.ids import TenantId, new_id
from core.kernel.model import encode


@dataclass(frozen=True, slots=True)
class Audience:
    """Who may see an event besides STAFF, stored with it so that live delivery and resuming agree.

    ``public``: everybody. Else the ``users`` with these ids; ``named``: also any caller who names the subject's id
    literally in a topic filter (an order without an owner). ``personal``: nobody beside them and STAFF, whatever
    topics a device or an API key was granted, since it tells of a person.
    """

    public: bool = False
    users: frozenset[str] = frozenset()
    named: bool = False
    personal: bool = False

    def encode(self) -> str:
        """The stored form: ``*`` (public), else ids separated by commas, with ``?`` among them for ``named`` and ``!``
        for ``personal``."""
        if self.public:
            return "*"
        marks = [mark for mark, held in (("!", self.personal), ("?", self.named)) if held]
        return ",".join([*marks, *sorted(self.users)])

    @classmethod
    def decode(cls, text: str) -> "Audience":
        """Read the stored form."""
        if text == "*":
            return PUBLIC
        parts = set(text.split(",")) - {""}
        return cls(users=frozenset(parts - {"!", "?"}), named="?" in parts, personal="!" in parts)


PUBLIC = Audience(public=True)
STAFF_ONLY = Audience()
NAMED = Audience(named=True)


def visible_to(*users: str | None) -> Audience:
    """STAFF and the users given; None is ignored."""
    return Audience(users=frozenset(user for user in users if user))


def personal_to(*users: str | None) -> Audience:
    """STAFF and the users given, and nobody by a grant; None is ignored."""
    return replace(visible_to(*users), personal=True)


@dataclass(frozen=True, slots=True)
class EventKind:
    """One entry of the event catalogue.

    ``topics`` are templates such as ``orders/{order_id}/payment``: the first is the event's topic, the others are
    further topics it is found under. ``data`` is the model of the payload. An ``ephemeral`` event is never stored
    and has no cursor. Everybody may see a ``public`` event; the others name their audience one by one. A ``personal``
    one tells of a person: no grant of its topic shows it.
    """

    event_type: str
    topics: tuple[str, ...]
    data: type[BaseModel]
    description: str
    ephemeral: bool = False
    public: bool = False
    personal: bool = False


@dataclass(frozen=True)
class Event:
    """One event. ``data`` is encoded JSON; ``sequence`` and ``epoch`` are 0 for an ephemeral event."""

    id: str
    """The id of the event: a UUID of version 7."""
    event_type: str
    """What happened, such as order.status_changed."""
    tenant: TenantId
    """The tenant in which it happened."""
    topic: str
    """The topic that it is published under."""
    timestamp: datetime
    """When it happened."""
    audience: Audience
    data: bytes
    """What there is to know; its members depend on the event type."""
    aliases: tuple[str, ...] = ()
    request_id: str | None = None
    sequence: int = 0
    epoch: int = 0

    def at(self, epoch: int, sequence: int) -> "Event":
        """The same event with its position in the log."""
        return replace(self, epoch=epoch, sequence=sequence)

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic the event is found under, its own first."""
        return (self.topic, *self.aliases)

    @property
    def ephemeral(self) -> bool:
        """Whether the event is outside the log."""
        return self.sequence == 0

    @cached_property
    def cursor(self) -> str | None:
        """The position just after this event, as clients see it; None for an ephemeral event."""
        return Cursor(self.epoch, self.tenant, self.sequence).encode() if self.sequence else None

    @cached_property
    def payload(self) -> Any:
        """The data as Python values, for doors that do not speak JSON."""
        return from_json(self.data)

    @cached_property
    def envelope(self) -> bytes:
        """The envelope as JSON, encoded once for all doors and subscribers."""
        head: dict[str, str] = {
            "id": self.id,
            "eventType": self.event_type,
            "timestamp": rfc3339(self.timestamp),
            "tenantId": self.tenant,
            "topic": self.topic,
        }
        if self.cursor is not None:
            head["cursor"] = self.cursor
        return b"".join((to_json(head)[:-1], b',"data":', self.data, b"}"))


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that is about to be appended: it has no sequence yet."""

    kind: EventKind
    data: BaseModel
    audience: Audience
    keys: dict[str, str] = field(default_factory=dict)

    def to_event(self, tenant: TenantId, now: datetime, request_id: str | None) -> Event:
        """Make the event, still without a position in the log."""
        declared = (self.kind.public, self.kind.personal)
        if (self.audience.public, self.audience.personal) != declared:
            raise ValueError(f"{self.kind.event_type}: its audience is not what its kind declares")
        topics = [template.format(**self.keys) for template in self.kind.topics]
        return Event(
            id=new_id(),
            event_type=self.kind.event_type,
            tenant=tenant,
            topic=topics[0],
            timestamp=now,
            audience=self.audience,
            data=encode(self.data),
            aliases=tuple(topics[1:]),
            request_id=request_id,
        )


def aggregate_of(topics: Iterable[str]) -> Iterable[tuple[str, str]]:
    """The resources that topics are about, as (collection, id): the first two levels of each."""
    for topic in topics:
        collection, _, rest = topic.partition("/")
        yield collection, rest.partition("/")[0]
