"""Statements that insert or change a row, whichever it takes: alike in SQLite and PostgreSQL, but not in SQLAlchemy."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Executable, bindparam, case
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from gateway.storage.tables import revocations, series, tenants


@dataclass(frozen=True)
class Upserts:
    """``next_number`` gives the number; ``new_log`` leaves a log that is there as it is."""

    next_number: Executable
    raise_number: Executable
    new_log: Executable
    revoke: Executable


def _greater(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((one < other, other), else_=one)


def _build(insert: Any) -> Upserts:
    number = insert(series).values(
        tenant_id=bindparam("of_tenant"), name=bindparam("of_series"), value=bindparam("number")
    )
    revoke = insert(revocations)
    return Upserts(
        next_number=number.on_conflict_do_update(
            index_elements=["tenant_id", "name"], set_={"value": series.c.value + 1}
        ).returning(series.c.value),
        raise_number=number.on_conflict_do_update(
            index_elements=["tenant_id", "name"],
            set_={"value": _greater(series.c.value, number.excluded.value)},
        ),
        new_log=insert(tenants)
        .values(tenant_id=bindparam("of_tenant"), head=0, floor=0)
        .on_conflict_do_nothing(index_elements=["tenant_id"]),
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
