"""The event log in SQL: every statement on the tables ``events`` and ``tenants``."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, and_, bindparam, case, delete, func, select, true, update
from sqlalchemy import insert as plain_insert

from core.kernel.events import Audience, Event
from core.kernel.ids import TenantId
from core.ports.log import LogPage
from gateway.storage.consumer_sql import SLOWEST
from gateway.storage.tables import events, meta, positions, series, tenants

_MINE = tenants.c.tenant_id == bindparam("of_tenant")
_EVENT = [column for column in events.c if column.name != "tenant_id"]

#: The tenant's counter, held until the transaction ends.
HOLD = select(tenants.c.head).where(_MINE).with_for_update()
BOUNDS = select(tenants.c.floor, tenants.c.head).where(_MINE).with_for_update()
MOVE_HEAD = update(tenants).where(_MINE).values(head=bindparam("new_head"))
APPEND = plain_insert(events)

_page = (
    select(*_EVENT)
    .where(events.c.tenant_id == bindparam("of_tenant"), events.c.sequence > bindparam("after"))
    .order_by(events.c.sequence)
    .limit(bindparam("at_most"))
    .subquery("page")
)
#: One statement, so that the bounds and the events come from one snapshot whatever the isolation level.
READ = (
    select(tenants.c.floor, tenants.c.head, select(meta.c.epoch).scalar_subquery().label("epoch"), *_page.c)
    .select_from(tenants.outerjoin(_page, true()))
    .where(_MINE)
    .order_by(_page.c.sequence)
)
HEADS = select(tenants.c.tenant_id, tenants.c.head).where(
    tenants.c.tenant_id.in_(bindparam("of_tenants", expanding=True))
)

#: Tenants with something to trim, in pages, with what the consumers that are waited for have read.
KEPT = (
    select(tenants.c.tenant_id, tenants.c.head, tenants.c.floor, SLOWEST.label("position"))
    .where(tenants.c.head > tenants.c.floor, tenants.c.tenant_id > bindparam("behind"))
    .order_by(tenants.c.tenant_id)
    .limit(bindparam("at_most"))
)
#: One look into the index of events for each tenant.
NEWEST_TIME = select(func.max(events.c.timestamp)).select_from(
    tenants.join(events, and_(events.c.tenant_id == tenants.c.tenant_id, events.c.sequence == tenants.c.head))
)
#: The oldest event that is young enough. Times need not rise with sequences, and only a beginning of the log can go.
OLDEST_YOUNG = (
    select(events.c.sequence)
    .where(events.c.tenant_id == bindparam("of_tenant"), events.c.timestamp >= bindparam("before"))
    .order_by(events.c.sequence)
    .limit(1)
)
FORGET = delete(events).where(
    events.c.tenant_id == bindparam("of_tenant"), events.c.sequence <= bindparam("new_floor")
)
_head = select(tenants.c.head).where(_MINE).scalar_subquery()
#: All that is kept of a tenant beside its records, the mark that later logs begin behind among it.
FORGET_ALL = (
    update(meta).where(meta.c.forgotten_head < _head).values(forgotten_head=_head),
    *(
        delete(table).where(table.c.tenant_id == bindparam("of_tenant"))
        for table in (events, positions, tenants, series)
    ),
)
MOVE_FLOOR = (
    update(tenants)
    .where(_MINE)
    .values(
        floor=case((tenants.c.floor < bindparam("new_floor"), bindparam("new_floor")), else_=tenants.c.floor)
    )
)


def event_row(event: Event) -> dict[str, object]:
    """The columns of an event."""
    return {
        "tenant_id": event.tenant,
        "sequence": event.sequence,
        "id": event.id,
        "event_type": event.event_type,
        "topic": event.topic,
        "aliases": event.aliases,
        "audience": event.audience.encode(),
        "data": event.data.decode(),
        "timestamp": event.timestamp,
        "request_id": event.request_id,
    }


def log_page(tenant: TenantId, rows: Sequence[Row[Any]]) -> LogPage:
    """What ``READ`` gave."""
    if not rows:
        return LogPage([], 0, 0)
    found = [_event(tenant, row) for row in rows if row.sequence is not None]
    return LogPage(found, rows[0].floor, rows[0].head)


def _event(tenant: TenantId, row: Row[Any]) -> Event:
    return Event(
        id=row.id,
        event_type=row.event_type,
        tenant=tenant,
        topic=row.topic,
        timestamp=row.timestamp,
        audience=Audience.decode(row.audience),
        data=row.data.encode(),
        aliases=tuple(row.aliases),
        request_id=row.request_id,
        sequence=row.sequence,
        epoch=row.epoch,
    )
