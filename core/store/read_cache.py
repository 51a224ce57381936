"""The read cache: single resources stay in memory until an event says that they changed."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core.kernel.events import Event, aggregate_of
from core.kernel.ids import TenantId
from core.kernel.model import Numbered, Resource
from core.ports.log import EventLog

R = TypeVar("R", bound=Resource)
N = TypeVar("N", bound=Numbered)

Key = tuple[str, str]


#: Events seen behind a hole that are remembered; with more of them the hole counts as a loss.
_MAX_AHEAD_EVENTS = 1_024


class _Tenant:
    """What is known of one tenant.

    Every event up to ``head`` was seen, and those in ``ahead`` behind a hole: commits are handed over out of order
    at times. ``behind`` is the log's head at the last look, if it was ahead of us. ``reading`` holds a ticket for
    each read under way that no event has spoilt. ``used``: it was asked for since it was looked at for room.
    ``ids`` are those of resources by their numbers.
    """

    __slots__ = ("ahead", "behind", "head", "ids", "reading", "used", "values")

    def __init__(self, head: int) -> None:
        self.head = head
        self.ahead: set[int] = set()
        self.behind: int | None = None
        self.used = False
        self.values: OrderedDict[Key, Resource] = OrderedDict()
        self.reading: dict[Key, set[object]] = {}
        self.ids: dict[tuple[str, int], str] = {}

    def keep(self, key: Key, value: Resource) -> None:
        self.drop(key)
        self.values[key] = value
        if isinstance(value, Numbered):
            self.ids[(key[0], value.number)] = value.id

    def drop(self, key: Key) -> None:
        value = self.values.pop(key, None)
        if isinstance(value, Numbered):
            self.ids.pop((key[0], value.number), None)


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What the cache holds, how often it was asked, and how often it then had to ask the storage."""

    tenants: int
    values: int
    looks: int
    loads: int


class ReadCache:
    """A bounded cache of resources by (collection, id) within tenants.

    A value is kept only if no event of its resource passed between the read and the keeping. A missing resource
    is never kept. Where events may have been missed, the tenant's values are dropped.
    """

    def __init__(self, log: EventLog, *, per_tenant: int = 10_000, tenants: int = 200) -> None:
        self._log = log
        self._per_tenant = per_tenant
        self._most_tenants = tenants
        self._tenants: OrderedDict[TenantId, _Tenant] = OrderedDict()
        self._looks = 0
        self._loads = 0

    def statistics(self) -> CacheStatistics:
        """Figures for metrics."""
        values = sum(len(known.values) for known in self._tenants.values())
        return CacheStatistics(len(self._tenants), values, self._looks, self._loads)

    def get(self, tenant: TenantId, kind: type[R], record_id: str) -> R | None:
        """The resource, if it is in memory."""
        self._looks += 1
        known = self._tenants.get(tenant)
        if known is None or kind.collection is None:
            return None
        known.used = True
        value = known.values.get((kind.collection, record_id))
        return value if isinstance(value, kind) else None

    def head(self, tenant: TenantId) -> int | None:
        """The sequence of the event up to which what is in memory counts all; None where nothing is."""
        known = self._tenants.get(tenant)
        return None if known is None else known.head

    def by_number(self, tenant: TenantId, kind: type[N], number: int) -> N | None:
        """The resource with that number, if it is in memory."""
        known = self._tenants.get(tenant)
        if known is None or kind.collection is None:
            return None
        record_id = known.ids.get((kind.collection, number))
        return None if record_id is None else self.get(tenant, kind, record_id)

    async def read(
        self, tenant: TenantId, kind: type[R], record_id: str, load: Callable[[], Awaitable[R | None]]
    ) -> R | None:
        """Read a resource that is not in memory, and keep it; ``load`` reads it from storage."""
        self._loads += 1
        if kind.collection is None:
            return await load()
        known = self._tenants.get(tenant)
        if known is None:
            head = (await self._log.heads([tenant])).get(tenant, 0)
            known = self._tenants.setdefault(tenant, _Tenant(head))
            while len(self._tenants) > self._most_tenants:
                self._drop_a_tenant()
        key, ticket = (kind.collection, record_id), object()
        known.reading.setdefault(key, set()).add(ticket)
        try:
            value = await load()
        finally:
            tickets = known.reading.get(key, set())
            untouched = ticket in tickets
            tickets.discard(ticket)
            if not tickets:
                known.reading.pop(key, None)
        if value is not None and untouched and self._tenants.get(tenant) is known:
            known.keep(key, value)
            if len(known.values) > self._per_tenant:
                known.drop(next(iter(known.values)))
        elif not known.values and not known.reading and self._tenants.get(tenant) is known:
            del self._tenants[tenant]  # Nothing was found in what may be a made-up tenant.
        return value

    def _drop_a_tenant(self) -> None:
        """Forget the oldest tenant. One that was used since its last turn has another, so that strangers who read in
        many tenants push out none that is busy.
        """
        while True:
            tenant, known = self._tenants.popitem(last=False)
            if not known.used:
                return
            known.used = False
            self._tenants[tenant] = known

    def on_events(self, tenant: TenantId, events: Sequence[Event]) -> None:
        """Forget what the events changed."""
        known = self._tenants.get(tenant)
        if known is None:
            return
        for event in events:
            if event.sequence > known.head:
                known.ahead.add(event.sequence)
            self._drop(known, aggregate_of(event.topics))
        while known.head + 1 in known.ahead:
            known.head += 1
            known.ahead.remove(known.head)
        if len(known.ahead) > _MAX_AHEAD_EVENTS:
            self.on_lost(tenant)

    def on_lost(self, tenant: TenantId | None) -> None:
        """Drop everything of a tenant, or of all: its events may have been missed."""
        if tenant is None:
            self._tenants.clear()
        else:
            self._tenants.pop(tenant, None)

    async def verify(self) -> None:
        """Compare with the log: a tenant that stays behind it for two looks has missed events, and one without a log is
        gone."""
        heads = await self._log.heads(list(self._tenants))
        for tenant, head in heads.items():
            known = self._tenants.get(tenant)
            if known is None:
                continue
            forgotten = head == 0 < known.head
            if forgotten or (known.behind is not None and known.head < known.behind):
                self.on_lost(tenant)
            else:
                known.behind = head if head > known.head else None

    @staticmethod
    def _drop(known: _Tenant, keys: Iterable[Key]) -> None:
        for key in keys:
            known.drop(key)
            known.reading.pop(key, None)
