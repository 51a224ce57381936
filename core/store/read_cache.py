"""The read cache: resources, and what was found among them, stay in memory until an event says that they changed."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from core.kernel.events import Event, aggregate_of
from core.kernel.ids import TenantId
from core.kernel.model import Numbered, Resource
from core.ports.log import EventLog

R = TypeVar("R", bound=Resource)
N = TypeVar("N", bound=Numbered)
T = TypeVar("T")

Key = tuple[str, str]


#: Events seen behind a hole that are remembered; with more of them the hole counts as a loss.
_MAX_AHEAD_EVENTS = 1_024
#: Findings that are kept of a tenant.
_MAX_FINDINGS = 100


class _Tenant:
    """What is known of one tenant.

    Every event up to ``head`` was seen, and those in ``ahead`` behind a hole: commits are handed over out of order
    at times. ``behind`` is the log's head at the last look, if it was ahead of us. ``reading`` holds a ticket for
    each read under way that no event has spoilt. ``used``: it was asked for since it was looked at for room.
    ``ids`` are those of resources by their numbers. ``findings`` are what was found in a collection, by what was
    sought; ``seeking`` are searches under way that no event has spoilt, by the collection and what is sought.
    """

    __slots__ = ("ahead", "behind", "findings", "head", "ids", "reading", "seeking", "used", "values")

    def __init__(self, head: int) -> None:
        self.head = head
        self.ahead: set[int] = set()
        self.behind: int | None = None
        self.used = False
        self.values: OrderedDict[Key, Resource] = OrderedDict()
        self.reading: dict[Key, set[object]] = {}
        self.ids: dict[tuple[str, int], str] = {}
        self.findings: OrderedDict[Key, object] = OrderedDict()
        self.seeking: dict[str, dict[str, asyncio.Future[object]]] = {}

    def keep(self, key: Key, value: Resource) -> None:
        self.drop(key)
        self.values[key] = value
        if isinstance(value, Numbered):
            self.ids[(key[0], value.number)] = value.id

    def drop_findings(self, collection: str) -> None:
        if self.seeking:
            self.seeking.pop(collection, None)
        if self.findings:
            for key in [key for key in self.findings if key[0] == collection]:
                del self.findings[key]

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
        known = await self._enter(tenant)
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
        elif not (known.values or known.reading or known.findings) and self._tenants.get(tenant) is known:
            del self._tenants[tenant]  # Nothing was found in what may be a made-up tenant.
        return value

    async def recall(
        self, tenant: TenantId, collection: str, sought: str, find: Callable[[], Awaitable[T]]
    ) -> T:
        """What was found in a collection when the same was sought before, unless anything in it has changed since;
        ``find`` finds it in storage. Callers who seek the same may see the same, and it is short."""
        self._looks += 1
        key = (collection, sought)
        known = self._tenants.get(tenant)
        if known is not None and key in known.findings:
            known.used = True
            known.findings.move_to_end(key)
            return cast(T, known.findings[key])
        known = await self._enter(tenant)
        if (under_way := known.seeking.get(collection, {}).get(sought)) is not None:
            # One looks for all who seek the same meanwhile; when that one leaves, each looks for themselves.
            await asyncio.wait((under_way,))
            if not under_way.cancelled():
                return cast(T, under_way.result())
        self._loads += 1
        seeking: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        known.seeking.setdefault(collection, {})[sought] = seeking
        try:
            found = await find()
            seeking.set_result(found)
        finally:
            seeking.cancel()
            searches = known.seeking.get(collection, {})
            untouched = searches.get(sought) is seeking
            if untouched:
                del searches[sought]
            if not searches:
                known.seeking.pop(collection, None)
        if untouched and self._tenants.get(tenant) is known:
            known.findings[key] = found
            if len(known.findings) > _MAX_FINDINGS:
                known.findings.popitem(last=False)
        return found

    async def _enter(self, tenant: TenantId) -> _Tenant:
        known = self._tenants.get(tenant)
        if known is None:
            head = (await self._log.heads([tenant])).get(tenant, 0)
            known = self._tenants.setdefault(tenant, _Tenant(head))
            while len(self._tenants) > self._most_tenants:
                self._drop_a_tenant()
        return known

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
            known.drop_findings(key[0])
            known.reading.pop(key, None)
