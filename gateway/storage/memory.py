"""Storage in memory: for tests and trials, gone with the process, otherwise like a database."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic
from typing import TypeVar, cast

from pydantic import BaseModel

from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.ports.coordination import Lag, Lease
from core.ports.log import LogPage, Trimmed
from core.ports.records import Condition, Equal, Query, Record, Taken, TransientFailure
from core.ports.security import Revocation
from gateway.storage.mapping import mapping_of
from gateway.storage.matching import matches, member, ordered
from gateway.storage.tables import EXPIRING, RECORDS, revocations

R = TypeVar("R", bound=Record)
_Rows = Mapping[str, Record]


@dataclass(frozen=True)
class _Tenant:
    """The records of one tenant. Never changed, only replaced: a reader keeps the version it began with."""

    rows: Mapping[type[Record], _Rows] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)


@dataclass
class _Log:
    """One tenant's event log."""

    events: list[Event] = field(default_factory=list)
    floor: int = 0

    @property
    def head(self) -> int:
        return self.floor + len(self.events)

    def older(self, before: datetime) -> int:
        """How many events at the beginning are older than a time."""
        young = (place for place, event in enumerate(self.events) if event.timestamp >= before)
        return next(young, len(self.events))


class MemoryTransaction:
    """A core.ports.records.Transaction on a tenant's present state."""

    def __init__(self, storage: "MemoryStorage", tenant: TenantId, *, writes: bool) -> None:
        self._storage = storage
        self._tenant = tenant
        self._writes = writes
        self._held = False
        self.state = storage.tenants.get(tenant, _Tenant())
        self.appended: list[Event] = []
        self.trimmed = 0
        self.forgets = False
        self.follows: dict[str, int] = {}

    async def get(self, kind: type[R], record_id: str, *, lock: bool = False) -> R | None:
        """See core.ports.records.Transaction."""
        if lock:
            self._must_write()
        return cast(R | None, self._rows(kind).get(record_id))

    async def find(self, query: Query[R], *, lock: bool = False) -> list[R]:
        """See core.ports.records.Transaction."""
        if lock:
            self._must_write()
        found = ordered(self._select(query.kind, query.where), query)
        end = None if query.limit is None else query.offset + query.limit
        return found[query.offset : end]

    async def count(self, query: Query[R], most: int | None = None) -> int:
        """See core.ports.records.Transaction."""
        found = len(self._select(query.kind, query.where))
        return found if most is None else min(found, most)

    async def tally(
        self, kind: type[R], fields: tuple[str, ...], where: tuple[Condition, ...] = ()
    ) -> dict[tuple[object, ...], int]:
        """See core.ports.records.Transaction."""
        return dict(
            Counter(tuple(member(record, name) for name in fields) for record in self._select(kind, where))
        )

    async def insert(self, record: Record) -> None:
        """See core.ports.records.Transaction."""
        if record.id in self._rows(type(record)):
            raise Taken("id")
        self._put(record)

    async def update(self, record: Record) -> None:
        """See core.ports.records.Transaction."""
        if record.id not in self._rows(type(record)):
            raise TransientFailure(f"there is no {type(record).__name__} {record.id} any more")
        self._put(record)

    async def insert_many(self, records: Sequence[Record]) -> None:
        """See core.ports.records.Transaction."""
        for record in records:
            await self.insert(record)

    async def update_many(self, records: Sequence[Record]) -> None:
        """See core.ports.records.Transaction."""
        for record in records:
            await self.update(record)

    async def delete(self, kind: type[R], record_id: str) -> None:
        """See core.ports.records.Transaction."""
        self._replace(kind, {key: record for key, record in self._rows(kind).items() if key != record_id})

    async def update_all(
        self, kind: type[R], where: tuple[Condition, ...], values: Mapping[str, object]
    ) -> int:
        """See core.ports.records.Transaction."""
        changed = {
            record.id: cast(R, cast(BaseModel, record).model_copy(update=dict(values)))
            for record in self._select(kind, where)
        }
        self._replace(kind, {**self._rows(kind), **changed})
        return len(changed)

    async def delete_all(self, kind: type[R], where: tuple[Condition, ...] = ()) -> int:
        """See core.ports.records.Transaction."""
        before = self._rows(kind)
        gone = {record.id for record in self._select(kind, where)}
        self._replace(kind, {key: record for key, record in before.items() if key not in gone})
        return len(gone)

    async def next_number(self, series: str) -> int:
        """See core.ports.records.Transaction."""
        return await self.add_number(series, 1)

    async def add_number(self, series: str, amount: int) -> int:
        """See core.ports.records.Transaction."""
        self._must_write()
        present = self.state.numbers
        number = present.get(series, 0) + amount
        self.state = replace(self.state, numbers={**present, series: number})
        return number

    async def add_numbers(self, amounts: Mapping[str, int]) -> dict[str, int]:
        """See core.ports.records.Transaction."""
        return {name: await self.add_number(name, amount) for name, amount in amounts.items()}

    async def numbers(self, names: Sequence[str]) -> dict[str, int]:
        """See core.ports.records.Transaction."""
        return {name: self.state.numbers.get(name, 0) for name in names}

    async def raise_number(self, series: str, number: int) -> None:
        """See core.ports.records.Transaction."""
        self._must_write()
        present = self.state.numbers
        self.state = replace(self.state, numbers={**present, series: max(number, present.get(series, 0))})

    async def hold_log(self) -> int:
        """See core.ports.records.Transaction."""
        self._must_write()
        self._held = True
        return self._storage.begun_log(self._tenant).head + len(self.appended)

    async def follow(self, consumer: str) -> int:
        """See core.ports.records.Transaction."""
        head = await self.hold_log()
        self.follows.setdefault(consumer, head)
        return head

    async def append(self, events: Sequence[Event]) -> None:
        """See core.ports.records.Transaction."""
        if not events:
            return
        if not self._held:
            raise RuntimeError("the log must be held before events are appended")
        head = self._storage.begun_log(self._tenant).head + len(self.appended)
        if [event.sequence for event in events] != list(range(head + 1, head + 1 + len(events))):
            raise ValueError("events must follow the head of the log without a gap")
        if any(event.tenant != self._tenant for event in events):
            raise ValueError("an event of another tenant")
        self.appended.extend(events)

    async def trim_log(self, most: int) -> int:
        """See core.ports.records.Transaction."""
        self._must_write()
        self.trimmed = min(most, len(self._storage.log(self._tenant).events))
        return self.trimmed

    async def forget_log(self) -> None:
        """See core.ports.records.Transaction."""
        self._must_write()
        self.forgets = True
        self.state = replace(self.state, numbers={})

    def _rows(self, kind: type[Record]) -> _Rows:
        return self.state.rows.get(kind, {})

    def _select(self, kind: type[R], where: tuple[Condition, ...]) -> list[R]:
        mapping_of(kind)
        return [cast(R, record) for record in self._rows(kind).values() if matches(record, where)]

    def _put(self, record: Record) -> None:
        if record.tenant_id != self._tenant:
            raise ValueError("a record of another tenant")
        kind = type(record)
        field = self._storage.taken(self._tenant, self._rows(kind), record)
        if field is not None:
            raise Taken(field)
        self._replace(kind, {**self._rows(kind), record.id: record})

    def _replace(self, kind: type[Record], rows: _Rows) -> None:
        self._must_write()
        self.state = replace(self.state, rows={**self.state.rows, kind: rows})

    def _must_write(self) -> None:
        if not self._writes:
            raise RuntimeError("this transaction only reads")


class MemoryStorage:
    """A core.ports.storage.Storage. One transaction writes at a time; none that reads waits."""

    def __init__(self) -> None:
        self.tenants: dict[TenantId, _Tenant] = {}
        self._logs: dict[TenantId, _Log] = {}
        self._forgotten_head = 0
        self._turn = asyncio.Lock()
        self._epoch = secrets.randbelow(2**32 - 1) + 1
        self._revocations: dict[str, tuple[datetime, datetime]] = {}
        self._leases: dict[str, tuple[Lease, float]] = {}
        self._consumers: dict[str, dict[TenantId, int]] = {}
        #: The consumers that read every log, whether or not they have a position in it.
        self._enrolled: set[str] = set()

    @asynccontextmanager
    async def read(self, tenant: TenantId) -> AsyncIterator[MemoryTransaction]:
        """See core.ports.storage.Storage."""
        yield MemoryTransaction(self, tenant, writes=False)

    @asynccontextmanager
    async def write(self, tenant: TenantId) -> AsyncIterator[MemoryTransaction]:
        """See core.ports.storage.Storage."""
        async with self._turn:
            transaction = MemoryTransaction(self, tenant, writes=True)
            yield transaction
            self.tenants[tenant] = transaction.state
            if transaction.trimmed:
                log = self._logs[tenant]
                del log.events[: transaction.trimmed]
                log.floor += transaction.trimmed
            if transaction.forgets:
                self._forget_log(tenant)
            elif transaction.appended or transaction.follows:
                if tenant not in self._logs:
                    self._begin_log(tenant)
                self._logs[tenant].events.extend(transaction.appended)
                for consumer, head in transaction.follows.items():
                    self._consumers.setdefault(consumer, {}).setdefault(tenant, head)

    def log(self, tenant: TenantId) -> _Log:
        """A tenant's log as it is now; one in which nothing has happened is kept nowhere."""
        return self._logs.get(tenant, _Log())

    def begun_log(self, tenant: TenantId) -> _Log:
        """The same where something happens now: a new log begins behind all that were forgotten."""
        return self._logs.get(tenant, _Log(floor=self._forgotten_head))

    def _begin_log(self, tenant: TenantId) -> None:
        log = self._logs[tenant] = self.begun_log(tenant)
        if log.floor:
            for consumer in self._enrolled:
                self._consumers[consumer][tenant] = log.floor

    def _forget_log(self, tenant: TenantId) -> None:
        if (log := self._logs.pop(tenant, None)) is not None:
            self._forgotten_head = max(self._forgotten_head, log.head)
        for positions in self._consumers.values():
            positions.pop(tenant, None)

    def taken(self, tenant: TenantId, own: _Rows, record: Record) -> str | None:
        """The first unique field of the record that another one has already; ``own`` are the tenant's records."""
        kind = type(record)
        others = [other for other in own.values() if other.id != record.id]
        for unique in mapping_of(kind).uniques:
            values = [getattr(record, column) for column in unique.columns]
            rivals = list(others)
            if "tenant_id" not in unique.columns:
                rivals += [
                    other
                    for name, state in self.tenants.items()
                    if name != tenant
                    for other in state.rows.get(kind, {}).values()
                ]
            if None not in values and any(
                values == [getattr(other, column) for column in unique.columns] for other in rivals
            ):
                return unique.field
        return None

    async def locate(self, kind: type[R], field: str, value: object) -> R | None:
        """See core.ports.storage.Storage."""
        for state in self.tenants.values():
            for record in state.rows.get(kind, {}).values():
                if matches(record, (Equal(field, value),)):
                    return cast(R, record)
        return None

    async def epoch(self) -> int:
        """See core.ports.storage.Storage."""
        return self._epoch

    async def read_log(self, tenant: TenantId, after: int, limit: int) -> LogPage:
        """See core.ports.storage.Storage."""
        log = self.log(tenant)
        start = max(0, after - log.floor)
        return LogPage(log.events[start : start + limit], log.floor, log.head)

    async def heads(self, tenants: Sequence[TenantId]) -> dict[TenantId, int]:
        """See core.ports.storage.Storage."""
        return {tenant: self.log(tenant).head for tenant in tenants}

    async def newest_time(self) -> datetime | None:
        """See core.ports.storage.Storage."""
        return max((log.events[-1].timestamp for log in self._logs.values() if log.events), default=None)

    async def trim_log(
        self,
        before: datetime | None,
        keep: int | None,
        *,
        share: float = 1.0,
        held_by: Sequence[str] = (),
        held_since: datetime | None = None,
    ) -> Trimmed:
        """See core.ports.storage.Storage."""
        async with self._turn:
            trimmed = held = unread = 0
            for tenant, log in self._logs.items():
                most = max(1, int(len(log.events) * share))
                wanted = count = max(
                    0 if keep is None else len(log.events) - keep,
                    0 if before is None else min(most, log.older(before)),
                )
                positions = [self._position(name, tenant) for name in held_by]
                position = min((one for one in positions if one is not None), default=log.head)
                read = max(0, position - log.floor)
                if read < wanted:
                    count = min(wanted, max(read, 0 if held_since is None else log.older(held_since)))
                    held += wanted - count
                    unread += max(0, count - read)
                count = max(0, count)
                del log.events[:count]
                log.floor += count
                trimmed += count
            return Trimmed(trimmed, held, unread)

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """See core.ports.storage.Storage."""
        now = monotonic()
        lease, until = self._leases.get(name, (Lease(name, holder, 1), 0.0))
        if lease.holder != holder:
            if until > now:
                return None
            lease = Lease(name, holder, lease.fence + 1)
        self._leases[name] = (lease, now + seconds)
        return lease

    async def drop_lease(self, lease: Lease) -> None:
        """See core.ports.storage.Storage."""
        if self._leases.get(lease.name, (None, 0.0))[0] == lease:
            self._leases[lease.name] = (lease, 0.0)

    async def enrol(self, consumer: str) -> None:
        """See core.ports.storage.Storage."""
        self._enrolled.add(consumer)
        self._consumers.setdefault(consumer, {tenant: log.head for tenant, log in self._logs.items()})

    def _position(self, consumer: str, tenant: TenantId) -> int | None:
        """How far a consumer has read a log; None where it does not read it."""
        return self._consumers.get(consumer, {}).get(tenant, 0 if consumer in self._enrolled else None)

    async def lagging(self, consumer: str, behind: str, limit: int) -> list[Lag]:
        """See core.ports.storage.Storage."""
        found = [
            Lag(tenant, position, log.head)
            for tenant, log in sorted(self._logs.items())
            if tenant > behind
            and (position := self._position(consumer, tenant)) is not None
            and log.head > position
        ]
        return found[:limit]

    async def advance(self, lease: Lease, consumer: str, tenant: TenantId, sequence: int) -> bool:
        """See core.ports.storage.Storage."""
        if self._leases.get(lease.name, (None, 0.0))[0] != lease:
            return False
        positions = self._consumers.setdefault(consumer, {})
        positions[tenant] = max(sequence, positions.get(tenant, 0))
        return True

    async def survey(self, query: Query[R]) -> list[R]:
        """See core.ports.storage.Storage."""
        rows = (state.rows.get(query.kind, {}).values() for state in self.tenants.values())
        found = [cast(R, record) for some in rows for record in some if matches(record, query.where)]
        end = None if query.limit is None else query.offset + query.limit
        return ordered(found, query)[query.offset : end]

    async def revoke(self, subjects: Sequence[str], at: datetime, until: datetime) -> None:
        """See core.ports.storage.Storage."""
        for subject in subjects:
            known = self._revocations.get(subject, (at, until))
            self._revocations[subject] = (max(at, known[0]), max(until, known[1]))

    async def revocations(self, since: datetime) -> list[Revocation]:
        """See core.ports.storage.Storage."""
        found = [Revocation(subject, at) for subject, (at, _) in self._revocations.items() if at >= since]
        return sorted(found, key=lambda revocation: (revocation.revoked_at, revocation.subject))

    async def sweep(self, now: datetime) -> dict[str, int]:
        """See core.ports.storage.Storage."""
        swept: Counter[str] = Counter()
        async with self._turn:
            for tenant, state in self.tenants.items():
                rows = dict(state.rows)
                for kind, expiry in EXPIRING.items():
                    kept = rows.get(cast(type[Record], kind), {})
                    rows[cast(type[Record], kind)] = left = {
                        key: record
                        for key, record in kept.items()
                        if (end := getattr(record, expiry)) is None or end > now
                    }
                    swept[RECORDS[kind].name] += len(kept) - len(left)
                self.tenants[tenant] = replace(state, rows=rows)
            young = {subject: times for subject, times in self._revocations.items() if times[1] > now}
            swept[revocations.name] = len(self._revocations) - len(young)
            self._revocations = young
        return swept

    async def ping(self) -> None:
        """See core.ports.storage.Storage."""

    async def close(self) -> None:
        """See core.ports.storage.Storage; what is in memory stays until the storage is forgotten."""
