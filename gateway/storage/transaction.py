"""One unit of work on a SQL database."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import CursorResult, Executable, delete, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.ports.records import Condition, Query, Record, Taken, TransientFailure
from gateway.storage import log
from gateway.storage.conditions import matching, selected, storable
from gateway.storage.errors import ERRORS, StatementFailed, translated
from gateway.storage.mapping import RecordMapping, mapping_of
from gateway.storage.shielded import undisturbed
from gateway.storage.upserts import NUMBERS, UPSERTS, adding

R = TypeVar("R", bound=Record)


async def run(
    connection: AsyncConnection,
    statement: Executable,
    parameters: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None,
) -> CursorResult[Any]:
    """Execute a statement.

    Raises:
        TransientFailure: see core.ports.
        StorageDown: see core.kernel.errors.
        StatementFailed: the database refused it.
    """
    try:
        return await undisturbed(connection.execute(statement, parameters))
    except ERRORS as error:
        raise translated(error) from None


class SqlTransaction:
    """A core.ports.records.Transaction on a connection whose transaction somebody else begins and ends."""

    def __init__(self, connection: AsyncConnection, tenant: TenantId) -> None:
        self._connection = connection
        self._tenant = tenant
        self._upserts = UPSERTS[connection.dialect.name]
        self._head: int | None = None

    async def get(self, kind: type[R], record_id: str, *, lock: bool = False) -> R | None:
        """See core.ports.records.Transaction; SQLite needs no lock, since it has one writing transaction at a time."""
        if not storable(record_id):
            return None
        of = mapping_of(kind)
        row = (await self._run(of.get_locked if lock else of.get, self._key(record_id))).first()
        return None if row is None else of.record(row)

    async def find(self, query: Query[R], *, lock: bool = False) -> list[R]:
        """See core.ports.records.Transaction."""
        of = mapping_of(query.kind)
        wanted = selected(of.select, of.table, query, self._connection.dialect.name)
        rows = await self._run(wanted.with_for_update() if lock else wanted, {"of_tenant": self._tenant})
        return [of.record(row) for row in rows]

    async def count(self, query: Query[R], most: int | None = None) -> int:
        """See core.ports.records.Transaction."""
        table = mapping_of(query.kind).table
        chosen = (table.c.tenant_id == self._tenant) & matching(table, query.where)
        counted = select(func.count()).select_from(table).where(chosen)
        if most is not None:
            found = select(literal(1)).select_from(table).where(chosen).limit(most)
            counted = select(func.count()).select_from(found.subquery())
        return int((await self._run(counted)).scalar_one())

    async def tally(
        self, kind: type[R], fields: tuple[str, ...], where: tuple[Condition, ...] = ()
    ) -> dict[tuple[object, ...], int]:
        """See core.ports.records.Transaction."""
        table = mapping_of(kind).table
        columns = [table.c[field] for field in fields]
        chosen = (table.c.tenant_id == self._tenant) & matching(table, where)
        rows = await self._run(select(*columns, func.count()).where(chosen).group_by(*columns))
        return {tuple(row[:-1]): row[-1] for row in rows}

    async def insert(self, record: Record) -> None:
        """See core.ports.records.Transaction."""
        of = self._mapping(record)
        await self._change(of, of.insert, of.row(record))

    async def update(self, record: Record) -> None:
        """See core.ports.records.Transaction."""
        of = self._mapping(record)
        changed = await self._change(of, of.update, of.row(record) | self._key(record.id))
        if changed.rowcount != 1:
            raise TransientFailure(f"there is no {of.table.name} row {record.id} any more")

    async def insert_many(self, records: Sequence[Record]) -> None:
        """See core.ports.records.Transaction."""
        if records:
            of = self._mapping(records[0])
            await self._change(of, of.insert, [self._mapping(record).row(record) for record in records])

    async def update_many(self, records: Sequence[Record]) -> None:
        """See core.ports.records.Transaction."""
        if records:
            of = self._mapping(records[0])
            rows = [self._mapping(record).row(record) | self._key(record.id) for record in records]
            await self._change(of, of.update, rows)

    async def delete(self, kind: type[R], record_id: str) -> None:
        """See core.ports.records.Transaction."""
        if storable(record_id):
            await self._run(mapping_of(kind).delete, self._key(record_id))

    async def update_all(
        self, kind: type[R], where: tuple[Condition, ...], values: Mapping[str, object]
    ) -> int:
        """See core.ports.records.Transaction."""
        table = mapping_of(kind).table
        chosen = (table.c.tenant_id == self._tenant) & matching(table, where)
        return (await self._run(update(table).where(chosen).values(**values))).rowcount

    async def delete_all(self, kind: type[R], where: tuple[Condition, ...] = ()) -> int:
        """See core.ports.records.Transaction."""
        table = mapping_of(kind).table
        chosen = (table.c.tenant_id == self._tenant) & matching(table, where)
        return (await self._run(delete(table).where(chosen))).rowcount

    async def next_number(self, series: str) -> int:
        """See core.ports.records.Transaction."""
        return await self.add_number(series, 1)

    async def add_number(self, series: str, amount: int) -> int:
        """See core.ports.records.Transaction."""
        return int((await self._run(self._upserts.add_number, self._series(series, amount))).scalar_one())

    async def add_numbers(self, amounts: Mapping[str, int]) -> dict[str, int]:
        """See core.ports.records.Transaction."""
        values: dict[str, object] = {"of_tenant": self._tenant}
        for place, (name, amount) in enumerate(amounts.items()):
            values |= {f"name_{place}": name, f"number_{place}": amount}
        return {row.name: row.value for row in await self._run(adding(len(amounts)), values)}

    async def numbers(self, names: Sequence[str]) -> dict[str, int]:
        """See core.ports.records.Transaction."""
        found = await self._run(NUMBERS, {"of_tenant": self._tenant, "of_names": names})
        return dict.fromkeys(names, 0) | {row.name: row.value for row in found}

    async def raise_number(self, series: str, number: int) -> None:
        """See core.ports.records.Transaction."""
        await self._run(self._upserts.raise_number, self._series(series, number))

    async def hold_log(self) -> int:
        """See core.ports.records.Transaction."""
        of_tenant = {"of_tenant": self._tenant}
        head = (await self._run(log.HOLD, of_tenant)).scalar()
        if head is None:
            await self._run(self._upserts.new_log, of_tenant)
            head = (await self._run(log.HOLD, of_tenant)).scalar_one()
            if head:
                await self._run(self._upserts.new_positions, of_tenant)
        self._head = int(head)
        return self._head

    async def follow(self, consumer: str) -> int:
        """See core.ports.records.Transaction."""
        head = await self.hold_log()
        place = {"of_consumer": consumer, "of_tenant": self._tenant, "head": head}
        await self._run(self._upserts.follow, place)
        return head

    async def append(self, events: Sequence[Event]) -> None:
        """See core.ports.records.Transaction."""
        if not events:
            return
        if self._head is None:
            raise RuntimeError("the log must be held before events are appended")
        if [event.sequence for event in events] != list(range(self._head + 1, self._head + 1 + len(events))):
            raise ValueError("events must follow the head of the log without a gap")
        if any(event.tenant != self._tenant for event in events):
            raise ValueError("an event of another tenant")
        await self._run(log.APPEND, [log.event_row(event) for event in events])
        self._head = events[-1].sequence
        await self._run(log.MOVE_HEAD, {"of_tenant": self._tenant, "new_head": self._head})

    async def trim_log(self, most: int) -> int:
        """See core.ports.records.Transaction."""
        bounds = (await self._run(log.BOUNDS, {"of_tenant": self._tenant})).first()
        if bounds is None or bounds.floor >= bounds.head:
            return 0
        place = {"of_tenant": self._tenant, "new_floor": min(bounds.floor + most, bounds.head)}
        await self._run(log.FORGET, place)
        await self._run(log.MOVE_FLOOR, place)
        return int(place["new_floor"]) - int(bounds.floor)

    async def forget_log(self) -> None:
        """See core.ports.records.Transaction."""
        for statement in log.FORGET_ALL:
            await self._run(statement, {"of_tenant": self._tenant})

    async def _run(
        self,
        statement: Executable,
        parameters: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None,
    ) -> CursorResult[Any]:
        return await run(self._connection, statement, parameters)

    async def _change(
        self,
        of: RecordMapping[Any],
        statement: Executable,
        values: Mapping[str, object] | Sequence[Mapping[str, object]],
    ) -> CursorResult[Any]:
        try:
            return await self._run(statement, values)
        except StatementFailed as error:
            field = of.taken(error.constraint, error.columns)
            if field is None:
                raise
            raise Taken(field) from None

    def _mapping(self, record: Record) -> RecordMapping[Any]:
        if record.tenant_id != self._tenant:
            raise ValueError("a record of another tenant")
        return mapping_of(type(record))

    def _key(self, record_id: str) -> dict[str, object]:
        return {"of_tenant": self._tenant, "of_id": record_id}

    def _series(self, name: str, number: int) -> dict[str, object]:
        return {"of_tenant": self._tenant, "of_series": name, "number": number}
