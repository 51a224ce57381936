"""Between records and rows: what storage knows of each kind of record, taken from its table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Generic, TypeVar, cast

from pydantic import BaseModel
from pydantic_core import to_jsonable_python
from sqlalchemy import (
    JSON,
    Delete,
    Insert,
    Row,
    Select,
    Table,
    UniqueConstraint,
    Update,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from core.ports.records import Record
from gateway.storage.tables import RECORDS

R = TypeVar("R", bound=Record)


def fold(text: str) -> str:
    """The text without its case (Unicode's full case folding)."""
    return text.casefold()


@dataclass(frozen=True)
class Unique:
    """Columns that no two rows share; ``field`` is what the caller calls it, ``name`` what PostgreSQL does."""

    name: str
    field: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class RecordMapping(Generic[R]):
    """A kind of record, its table, and its commonest statements, built once so that they are compiled once."""

    model: type[R]
    table: Table
    fields: tuple[str, ...]
    nested: frozenset[str]
    #: Those of them that are never shown.
    hidden: frozenset[str]
    #: Columns that repeat a field, folded, and those that repeat a member of a nested value.
    folded: Mapping[str, str]
    within: Mapping[str, str]
    uniques: tuple[Unique, ...]
    select: Select[tuple[object, ...]]
    everywhere: Select[tuple[object, ...]]
    get: Select[tuple[object, ...]]
    get_locked: Select[tuple[object, ...]]
    insert: Insert
    update: Update
    delete: Delete

    def row(self, record: Record) -> dict[str, object]:
        """The values of the record's columns."""
        model = cast(BaseModel, record)
        values = {name: _plain(getattr(record, name)) for name in self.fields if name not in self.nested}
        if self.nested:
            shown = set(self.nested - self.hidden)
            values |= model.model_dump(mode="json", include=shown, by_alias=False)
            values |= {name: to_jsonable_python(getattr(model, name), by_alias=False) for name in self.hidden}
        for column, field in self.folded.items():
            text = cast(str | None, values[field])
            values[column] = None if text is None else fold(text)
        for column, field in self.within.items():
            nested = cast(Mapping[str, object] | None, values[field])
            values[column] = None if nested is None else nested[column]
        return values

    def record(self, row: Row[tuple[object, ...]]) -> R:
        """The record that a row of ``get``'s columns holds."""
        model = cast(type[BaseModel], self.model)
        return cast(
            R, model.model_validate(dict(zip(self.fields, row, strict=True)), by_name=True, by_alias=False)
        )

    def taken(self, constraint: str | None, columns: Sequence[str]) -> str | None:
        """The field of a violated unique constraint, by its name or its columns; None when it is none of ours."""
        for unique in self.uniques:
            if unique.name == constraint or set(unique.columns) == set(columns):
                return unique.field
        return None


@cache
def mapping_of(model: type[R]) -> RecordMapping[R]:
    """What storage knows of a kind of record."""
    table = RECORDS[cast(type[BaseModel], model)]
    folded, within = (
        {column.name: str(column.info[what]) for column in table.columns if what in column.info}
        for what in ("folds", "within")
    )
    fields = tuple(column.name for column in table.columns if column.name not in folded | within)
    nested = frozenset(column.name for column in table.columns if isinstance(column.type, JSON))
    members = cast(type[BaseModel], model).model_fields
    key = (table.c.tenant_id == bindparam("of_tenant")) & (table.c.id == bindparam("of_id"))
    columns = select(*(table.c[name] for name in fields))
    get = columns.where(key)
    return RecordMapping(
        model=model,
        table=table,
        fields=fields,
        nested=nested,
        hidden=frozenset(name for name in nested if members[name].exclude),
        folded=folded,
        within=within,
        uniques=tuple(_uniques(table)),
        select=columns.where(table.c.tenant_id == bindparam("of_tenant")),
        everywhere=columns,
        get=get,
        get_locked=get.with_for_update(),
        insert=insert(table),
        update=update(table)
        .where(key)
        .values(
            {name: bindparam(name) for name in (*fields, *folded, *within) if name not in ("tenant_id", "id")}
        ),
        delete=delete(table).where(key),
    )


def _uniques(table: Table) -> list[Unique]:
    found = [Unique(str(table.primary_key.name), "id", ("tenant_id", "id"))]
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            columns = tuple(column.name for column in constraint.columns)
            found.append(Unique(str(constraint.name), str(constraint.info["field"]), columns))
    return found


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else value
