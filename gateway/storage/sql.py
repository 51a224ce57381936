"""Storage on a SQL database: what SQLite and PostgreSQL have in common."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import datetime
from typing import TypeVar

from sqlalchemy import delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.kernel.ids import TenantId
from core.ports.coordination import Lag, Lease
from core.ports.log import LogPage, Trimmed
from core.ports.records import Equal, Query, Record
from core.ports.security import Revocation
from gateway.storage import consumer_sql, log
from gateway.storage.conditions import matching, selected, storable
from gateway.storage.consumer_sql import CONSUMING
from gateway.storage.errors import ERRORS, translated
from gateway.storage.mapping import mapping_of
from gateway.storage.shielded import undisturbed
from gateway.storage.tables import EXPIRING, meta, revocations
from gateway.storage.transaction import SqlTransaction, run
from gateway.storage.upserts import UPSERTS

R = TypeVar("R", bound=Record)

#: How much one statement asks for or one transaction trims, so that nothing waits long for it.
_BATCH_ROWS = 1000
#: Expired rows that one transaction removes.
_SWEPT_ROWS = 500


class SqlStorage:
    """A core.ports.storage.Storage.

    ``single`` runs one reading statement, ``readers`` reading transactions that see one snapshot, ``writers``
    writing ones: engines that differ in how they begin. ``instant``, where several processes share the database, runs
    one writing statement without a transaction around it. ``turn`` lets as many writers in as the database can have at
    once.
    """

    def __init__(
        self,
        *,
        single: AsyncEngine,
        readers: AsyncEngine,
        writers: AsyncEngine,
        instant: AsyncEngine | None = None,
        turn: AbstractAsyncContextManager[object] | None = None,
    ) -> None:
        self._single = single
        self._readers = readers
        self._writers = writers
        self._instant = instant
        self._turn = turn or nullcontext()

    @asynccontextmanager
    async def read(self, tenant: TenantId) -> AsyncIterator[SqlTransaction]:
        """See core.ports.storage.Storage; it never waits for a writer."""
        async with _connection(self._readers) as connection:
            yield SqlTransaction(connection, tenant)

    @asynccontextmanager
    async def write(self, tenant: TenantId) -> AsyncIterator[SqlTransaction]:
        """See core.ports.storage.Storage."""
        async with self._begin() as connection:
            yield SqlTransaction(connection, tenant)

    async def locate(self, kind: type[R], field: str, value: object) -> R | None:
        """See core.ports.storage.Storage."""
        of = mapping_of(kind)
        if not storable(value):
            return None
        async with _connection(self._single) as connection:
            row = (
                await run(
                    connection, of.everywhere.where(matching(of.table, (Equal(field, value),))).limit(1)
                )
            ).first()
        return None if row is None else of.record(row)

    async def epoch(self) -> int:
        """See core.ports.storage.Storage."""
        async with _connection(self._single) as connection:
            return int((await run(connection, select(meta.c.epoch))).scalar_one())

    async def read_log(self, tenant: TenantId, after: int, limit: int) -> LogPage:
        """See core.ports.storage.Storage."""
        async with _connection(self._single) as connection:
            found = await run(connection, log.READ, {"of_tenant": tenant, "after": after, "at_most": limit})
            return log.log_page(tenant, found.all())

    async def heads(self, tenants: Sequence[TenantId]) -> dict[TenantId, int]:
        """See core.ports.storage.Storage."""
        found: dict[TenantId, int] = dict.fromkeys(tenants, 0)
        async with _connection(self._single) as connection:
            for start in range(0, len(tenants), _BATCH_ROWS):
                rows = await run(connection, log.HEADS, {"of_tenants": tenants[start : start + _BATCH_ROWS]})
                found.update((row.tenant_id, row.head) for row in rows)
        return found

    async def newest_time(self) -> datetime | None:
        """See core.ports.storage.Storage."""
        async with _connection(self._single) as connection:
            newest: datetime | None = (await run(connection, log.NEWEST_TIME)).scalar()
        return newest

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
        trimmed = held = unread = 0
        behind = ""
        while True:
            page = {"behind": behind, "at_most": _BATCH_ROWS, "held_by": held_by}
            async with _connection(self._single) as connection:
                kept = (await run(connection, log.KEPT, page)).all()
            for row in kept:
                tenant, head, floor = row.tenant_id, row.head, row.floor
                target = wanted = await self._target(tenant, head, floor, before, keep, share)
                if row.position is not None and row.position < wanted:
                    old = 0 if held_since is None else await self._last_older(tenant, head, held_since)
                    target = max(floor, min(wanted, max(row.position, old)))
                    held += wanted - target
                    unread += max(0, target - max(floor, row.position))
                while floor < target:
                    floor = min(floor + _BATCH_ROWS, target)
                    trimmed += await self._trim(tenant, floor)
            if len(kept) < _BATCH_ROWS:
                return Trimmed(trimmed, held, unread)
            behind = kept[-1].tenant_id

    async def _target(
        self, tenant: TenantId, head: int, floor: int, before: datetime | None, keep: int | None, share: float
    ) -> int:
        """The sequence up to which a log is to be forgotten."""
        target = floor if keep is None else max(floor, head - keep)
        if before is None:
            return target
        most = floor + max(1, int((head - floor) * share))
        return max(target, min(most, await self._last_older(tenant, head, before)))

    async def _last_older(self, tenant: TenantId, head: int, before: datetime) -> int:
        async with _connection(self._single) as connection:
            young = (
                await run(connection, log.OLDEST_YOUNG, {"of_tenant": tenant, "before": before})
            ).scalar()
        return head if young is None else int(young) - 1

    async def _trim(self, tenant: TenantId, new_floor: int) -> int:
        async with self._begin() as connection:
            place = {"of_tenant": tenant, "new_floor": new_floor}
            gone = (await run(connection, log.FORGET, place)).rowcount
            await run(connection, log.MOVE_FLOOR, place)
            return gone

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """See core.ports.storage.Storage."""
        asked = {"of_name": name, "of_holder": holder, "milliseconds": round(seconds * 1000)}
        async with self._at_once() as connection:
            fence = (await run(connection, CONSUMING[connection.dialect.name].take, asked)).scalar()
        return None if fence is None else Lease(name, holder, int(fence))

    async def drop_lease(self, lease: Lease) -> None:
        """See core.ports.storage.Storage."""
        async with self._at_once() as connection:
            await run(connection, consumer_sql.DROP, _named(lease))

    async def enrol(self, consumer: str) -> None:
        """See core.ports.storage.Storage."""
        async with self._begin() as connection:
            statements, named = CONSUMING[connection.dialect.name], {"of_consumer": consumer}
            if (await run(connection, statements.enrol, named)).scalar() is not None:
                await run(connection, statements.begin, named)

    async def lagging(self, consumer: str, behind: str, limit: int) -> list[Lag]:
        """See core.ports.storage.Storage."""
        page = {"of_consumer": consumer, "behind": behind, "at_most": limit}
        async with _connection(self._single) as connection:
            # Two statements, since one for both kinds makes PostgreSQL look at every tenant.
            reads_all = (await run(connection, consumer_sql.READS_ALL, page)).scalar() is not None
            lagging = consumer_sql.LAGGING if reads_all else consumer_sql.LAGGING_FOLLOWED
            rows = await run(connection, lagging, page)
            return [Lag(row.tenant_id, row.position, row.head) for row in rows]

    async def advance(self, lease: Lease, consumer: str, tenant: TenantId, sequence: int) -> bool:
        """See core.ports.storage.Storage."""
        place = {"of_consumer": consumer, "of_tenant": tenant, "new_position": sequence}
        async with self._at_once() as connection:
            if self._instant is not None:
                found = await run(connection, consumer_sql.ADVANCE_AT_ONCE, place | _named(lease))
                return found.scalar() is not None
            if (await run(connection, consumer_sql.STILL_OURS, _named(lease))).scalar() is None:
                return False
            await run(connection, CONSUMING[connection.dialect.name].advance, place)
            return True

    async def survey(self, query: Query[R]) -> list[R]:
        """See core.ports.storage.Storage."""
        of = mapping_of(query.kind)
        async with _connection(self._single) as connection:
            rows = await run(connection, selected(of.everywhere, of.table, query, connection.dialect.name))
            return [of.record(row) for row in rows]

    async def revoke(self, subjects: Sequence[str], at: datetime, until: datetime) -> None:
        """See core.ports.storage.Storage."""
        if not subjects:
            return
        async with self._begin() as connection:
            # In one order everywhere, so that two nodes that revoke the same ones do not wait for each other.
            rows = [
                {"subject": subject, "revoked_at": at, "expires_at": until}
                for subject in sorted(set(subjects))
            ]
            await run(connection, UPSERTS[connection.dialect.name].revoke, rows)

    async def revocations(self, since: datetime) -> list[Revocation]:
        """See core.ports.storage.Storage."""
        wanted = select(revocations.c.subject, revocations.c.revoked_at).where(
            revocations.c.revoked_at >= since
        )
        async with _connection(self._single) as connection:
            rows = await run(connection, wanted.order_by(revocations.c.revoked_at, revocations.c.subject))
            return [Revocation(row.subject, row.revoked_at) for row in rows]

    async def sweep(self, now: datetime) -> dict[str, int]:
        """See core.ports.storage.Storage."""
        expiring = [mapping_of(kind).table.c[field] for kind, field in EXPIRING.items()]
        swept = {}
        for column in [*expiring, revocations.c.expires_at]:
            table, gone = column.table, 0
            key = tuple_(*table.primary_key.columns)
            some = select(*table.primary_key.columns).where(column <= now).limit(_SWEPT_ROWS)
            while True:
                async with self._begin() as connection:
                    batch = (await run(connection, delete(table).where(key.in_(some)))).rowcount
                gone += batch
                if batch < _SWEPT_ROWS:
                    break
            swept[table.name] = gone
        return swept

    async def ping(self) -> None:
        """See core.ports.storage.Storage."""
        async with _connection(self._single) as connection:
            await run(connection, select(1))

    async def close(self) -> None:
        """See core.ports.storage.Storage."""
        for engine in {
            engine.sync_engine.pool: engine for engine in (self._single, self._readers, self._writers)
        }.values():
            await engine.dispose()

    def _at_once(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """For what nobody may be kept waiting by, should this process be frozen in the middle."""
        return self._begin() if self._instant is None else _connection(self._instant)

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        async with self._turn, _connection(self._writers) as connection:
            yield connection
            try:
                await undisturbed(connection.commit())
            except ERRORS as error:
                raise translated(error) from None


def _named(lease: Lease) -> dict[str, object]:
    return {"of_name": lease.name, "of_holder": lease.holder, "of_fence": lease.fence}


@asynccontextmanager
async def _connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection from the pool; what was not committed on it is rolled back at the end."""
    connection = engine.connect()
    try:
        connection = await undisturbed(_start(connection))
        yield connection
    finally:
        if connection.sync_connection is not None:
            await undisturbed(connection.close())


async def _start(connection: AsyncConnection) -> AsyncConnection:
    try:
        return await connection.start()
    except ERRORS as error:
        raise translated(error) from None
