"""Statements that insert or change a row, whichever it takes: alike in SQLite and PostgreSQL, but not in SQLAlchemy."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Executable, TextClause, bindparam, case, select, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from gateway.storage.tables import consumers, meta, positions, revocations, series, tenants

#: The numbers kept under some names.
NUMBERS = select(series.c.name, series.c.value).where(
    series.c.tenant_id == bindparam("of_tenant"), series.c.name.in_(bindparam("of_names", expanding=True))
)
_OF_TENANT = bindparam("of_tenant", type_=tenants.c.tenant_id.type)


@cache
def adding(names: int) -> TextClause:
    """What adds to so many numbers and gives the sums. As text: SQLAlchemy compiles inserts of many rows each time."""
    rows = ", ".join(f"(:of_tenant, :name_{place}, :number_{place})" for place in range(names))
    return text(
        f"INSERT INTO series (tenant_id, name, value) VALUES {rows} ON CONFLICT (tenant_id, name) "  # noqa: S608 - placeholders alone
        "DO UPDATE SET value = series.value + excluded.value RETURNING name, value"
    )


@dataclass(frozen=True)
class Upserts:
    """``add_number`` gives the sum. ``new_log`` leaves a log that is there as it is; ``new_positions`` puts the durable
    consumers that read all logs at the beginning of one that begins behind others; ``follow`` puts one at a place,
    unless it has one in that log."""

    add_number: Executable
    raise_number: Executable
    new_log: Executable
    new_positions: Executable
    follow: Executable
    revoke: Executable


def _greater(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((one < other, other), else_=one)


def _build(insert: Any) -> Upserts:
    number = insert(series).values(
        tenant_id=bindparam("of_tenant"), name=bindparam("of_series"), value=bindparam("number")
    )
    revoke = insert(revocations)
    return Upserts(
        add_number=number.on_conflict_do_update(
            index_elements=["tenant_id", "name"], set_={"value": series.c.value + number.excluded.value}
        ).returning(series.c.value),
        raise_number=number.on_conflict_do_update(
            index_elements=["tenant_id", "name"],
            set_={"value": _greater(series.c.value, number.excluded.value)},
        ),
        # The condition keeps SQLite from taking ON CONFLICT for that of a join.
        new_log=insert(tenants)
        .from_select(
            tenants.c.keys(),
            select(_OF_TENANT, meta.c.forgotten_head, meta.c.forgotten_head).where(meta.c.epoch > 0),
        )
        .on_conflict_do_nothing(index_elements=["tenant_id"]),
        new_positions=insert(positions)
        .from_select(
            positions.c.keys(),
            select(consumers.c.name, tenants.c.tenant_id, tenants.c.floor)
            .select_from(consumers.join(tenants, tenants.c.tenant_id == bindparam("of_tenant")))
            .where(tenants.c.floor > 0),
        )
        .on_conflict_do_nothing(index_elements=["consumer", "tenant_id"]),
        follow=insert(positions)
        .values(
            consumer=bindparam("of_consumer"), tenant_id=bindparam("of_tenant"), sequence=bindparam("head")
        )
        .on_conflict_do_nothing(index_elements=["consumer", "tenant_id"]),
        revoke=revoke.on_conflict_do_update(
            index_elements=["subject"],
            set_={
                "revoked_at": _greater(revocations.c.revoked_at, revoke.excluded.revoked_at),
                "expires_at": _greater(revocations.c.expires_at, revoke.excluded.expires_at),
            },
        ),
    )


#: By the name of SQLAlchemy's dialect.
UPSERTS = {"sqlite": _build(sqlite_insert), "postgresql": _build(postgresql_insert)}
