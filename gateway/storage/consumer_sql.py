"""Leases and durable consumers in SQL: every statement on ``leases``, ``consumers`` and ``positions``."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Executable,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from gateway.storage.tables import consumers, leases, positions, tenants

_OURS = and_(
    leases.c.name == bindparam("of_name"),
    leases.c.holder == bindparam("of_holder"),
    leases.c.fence == bindparam("of_fence"),
)
DROP = update(leases).where(_OURS).values(expires_at=0)
#: Locked, so that nobody takes the lease between this look and the commit.
STILL_OURS = select(leases.c.fence).where(_OURS).with_for_update(read=True)

_position = func.coalesce(positions.c.sequence, 0)
_place_there = and_(
    positions.c.tenant_id == tenants.c.tenant_id, positions.c.consumer == bindparam("of_consumer")
)
READS_ALL = select(consumers.c.name).where(consumers.c.name == bindparam("of_consumer"))
#: Of a consumer that reads every log.
LAGGING = (
    select(tenants.c.tenant_id, _position.label("position"), tenants.c.head)
    .select_from(tenants.outerjoin(positions, _place_there))
    .where(tenants.c.head > _position, tenants.c.tenant_id > bindparam("behind"))
    .order_by(tenants.c.tenant_id)
    .limit(bindparam("at_most"))
)
#: Of one that reads some: what it costs does not depend on how many others there are.
LAGGING_FOLLOWED = (
    select(positions.c.tenant_id, positions.c.sequence.label("position"), tenants.c.head)
    .select_from(positions.join(tenants, _place_there))
    .where(tenants.c.head > positions.c.sequence, positions.c.tenant_id > bindparam("behind"))
    .order_by(positions.c.tenant_id)
    .limit(bindparam("at_most"))
)
_held_by: BindParameter[Any] = bindparam("held_by", expanding=True)
_has_place = (
    exists()
    .where(positions.c.consumer == consumers.c.name, positions.c.tenant_id == tenants.c.tenant_id)
    .correlate(consumers, tenants)
)
#: Of each tenant: what the slowest of some consumers has read; NULL when none of them reads the log.
SLOWEST = case(
    (exists().where(consumers.c.name.in_(_held_by), ~_has_place).correlate(tenants), 0),
    else_=select(func.min(positions.c.sequence))
    .where(positions.c.consumer.in_(_held_by), positions.c.tenant_id == tenants.c.tenant_id)
    .correlate(tenants)
    .scalar_subquery(),
)


_PLACE = (
    bindparam("of_consumer", type_=positions.c.consumer.type),
    bindparam("of_tenant", type_=positions.c.tenant_id.type),
    bindparam("new_position", type_=positions.c.sequence.type),
)


@dataclass(frozen=True)
class Consuming:
    """Statements that SQLAlchemy writes differently for each database.

    ``take`` gives the fence, or nothing while somebody else holds the lease; ``enrol`` gives the name of a consumer
    that is new; ``begin`` puts it at the end of every log; ``advance`` moves a position that is behind.
    """

    take: Executable
    enrol: Executable
    begin: Executable
    advance: Any


def _build(insert: Any, now: ColumnElement[int]) -> Consuming:
    taking = insert(leases).values(
        name=bindparam("of_name"),
        holder=bindparam("of_holder"),
        fence=1,
        expires_at=now + bindparam("milliseconds", type_=BigInteger),
    )
    ours = leases.c.holder == taking.excluded.holder
    return Consuming(
        take=taking.on_conflict_do_update(
            index_elements=["name"],
            set_={
                "holder": taking.excluded.holder,
                "fence": case((ours, leases.c.fence), else_=leases.c.fence + 1),
                "expires_at": taking.excluded.expires_at,
            },
            where=ours | (leases.c.expires_at <= now),
        ).returning(leases.c.fence),
        enrol=insert(consumers)
        .values(name=bindparam("of_consumer"))
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(consumers.c.name),
        begin=insert(positions).from_select(
            ["consumer", "tenant_id", "sequence"], select(_PLACE[0], tenants.c.tenant_id, tenants.c.head)
        ),
        advance=_forward(insert(positions).values(dict(zip(positions.c.keys(), _PLACE, strict=True)))),
    )


def _forward(moving: Any) -> Any:
    return moving.on_conflict_do_update(
        index_elements=["consumer", "tenant_id"],
        set_={"sequence": moving.excluded.sequence},
        where=positions.c.sequence < moving.excluded.sequence,
    )


_held = STILL_OURS.cte("held")
_moved = _forward(
    postgresql_insert(positions).from_select(positions.c.keys(), select(*_PLACE).select_from(_held))
)
#: PostgreSQL does it in one statement, and so holds no lock while it waits for us: a process that is frozen then would
#: keep everybody else from the lease.
ADVANCE_AT_ONCE = select(_held.c.fence).add_cte(_moved.cte("moved"))

#: By the name of SQLAlchemy's dialect.
CONSUMING = {
    # Days since noon of the first of January 4713 BC, of which the Unix epoch is 2440587.5.
    "sqlite": _build(sqlite_insert, cast((func.julianday("now") - 2440587.5) * 86_400_000, BigInteger)),
    "postgresql": _build(
        postgresql_insert, cast(func.extract("epoch", func.clock_timestamp()) * 1000, BigInteger)
    ),
}
