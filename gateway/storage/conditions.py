"""Queries as SQL."""

from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar, assert_never

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Select,
    Table,
    and_,
    false,
    func,
    literal,
    not_,
    or_,
    true,
    tuple_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.types import Integer

from core.ports.records import AnyOf, Between, Condition, Contains, Equal, NoneOf, OneOf, Query
from gateway.storage.mapping import fold

T = TypeVar("T")

#: The largest whole number that either database holds.
LARGEST = 2**63 - 1


class _Position(GenericFunction[int]):
    """Where the second text begins in the first, from 1; 0: nowhere.

    Unlike LIKE it has no pattern that must be escaped, or that may be too long.
    """

    type = Integer()
    inherit_cache = True


@compiles(_Position, "sqlite")
def _position_on_sqlite(element: _Position, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.instr(*element.clauses), **options)


@compiles(_Position, "postgresql")
def _position_on_postgresql(element: _Position, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.strpos(*element.clauses), **options)


def storable(value: object) -> bool:
    """Whether a column can hold the value. What is stored equals nothing else, and a database may refuse it."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, int):
        return -LARGEST - 1 <= value <= LARGEST
    return True


def matching(table: Table, where: tuple[Condition, ...]) -> ColumnElement[bool]:
    """All the conditions as one expression."""
    return and_(true(), *(_expression(table, condition) for condition in where))


#: From so many matches on, the first in an order are found sooner by going through all in that order.
_MANY = 2000


def selected(rows: Select[Any], table: Table, query: Query[Any], dialect: str) -> Select[Any]:
    """Of rows of a table those that a query selects, in its order."""
    chosen, order = matching(table, query.where), _ordering(table, query.order)
    if query.matches is not None and dialect == "sqlite":
        # It knows neither how many rows meet a condition nor how many are wanted.
        if query.matches < _MANY:
            order = [_without_index(one) for one in order]
        else:
            chosen = and_(true(), *(_in_order(table, condition, query.order) for condition in query.where))
    found = rows.where(chosen).order_by(*order)
    if query.behind is not None:
        found = found.where(_beyond(table, query.order, query.behind))
    if query.limit is not None:
        found = found.limit(min(query.limit, LARGEST))
    if query.offset:
        found = found.offset(min(query.offset, LARGEST))
    return found


def _in_order(table: Table, condition: Condition, order: str) -> ColumnElement[bool]:
    """A condition that is looked up in an index only where what it finds there comes in the order that is wanted."""
    field = order.removeprefix("-")
    match condition:
        case Between(name) if name == field:
            ordered = True
        case Equal() | OneOf(_, (_,)):
            ordered = field == "id"
        case _:
            ordered = False
    expression = _expression(table, condition)
    return expression if ordered else _without_index(expression)


def _without_index(expression: ColumnElement[T]) -> ColumnElement[T]:
    """An expression whose columns SQLite looks up in no index: https://www.sqlite.org/optoverview.html, section 4."""

    def replace(element: Any, **_: Any) -> ColumnElement[Any] | None:
        if not isinstance(element, Column):
            return None
        return UnaryExpression(element, operator=_PLUS, type_=element.type)

    found: ColumnElement[T] = visitors.replacement_traverse(expression, {}, replace)
    return found


_PLUS: custom_op[Any] = custom_op("+")


def _ordering(table: Table, order: str) -> list[ColumnElement[Any]]:
    """What ORDER BY needs: a missing value comes last upwards, ties go by id."""
    column, down = table.c[order.removeprefix("-")], order.startswith("-")
    by: ColumnElement[Any] = column.desc() if down else column.asc()
    if column.nullable:
        by = by.nulls_first() if down else by.nulls_last()
    # In one direction, so that one index serves both.
    return [by] if column.name == "id" else [by, table.c.id.desc() if down else table.c.id.asc()]


def _beyond(table: Table, order: str, behind: tuple[object, str]) -> ColumnElement[bool]:
    """That a row comes behind a value of the field that orders it, and an id."""
    column, (value, record_id) = table.c[order.removeprefix("-")], behind
    place, edge = [table.c.id], [literal(record_id, table.c.id.type)]
    if column.name != "id":
        place.insert(0, column)
        edge.insert(0, literal(_bounded(value), column.type))
    return tuple_(*place) < tuple_(*edge) if order.startswith("-") else tuple_(*place) > tuple_(*edge)


def _expression(table: Table, condition: Condition) -> ColumnElement[bool]:
    match condition:
        case Equal(field, None):
            return _value(table, field, "").is_(None)
        case Equal(field, value):
            return _value(table, field, value) == value if storable(value) else false()
        case OneOf(field, values) | NoneOf(field, values):
            listed = or_(
                false(),
                *(_expression(table, Equal(field, None)) for value in values if value is None),
                _among(table, field, values),
            )
            return listed if isinstance(condition, OneOf) else not_(listed)
        case Between(field, low, high):
            bounds: list[ColumnElement[bool]] = [true()]
            if low is not None:
                bounds.append(_value(table, field, low) >= _bounded(low))
            if high is not None:
                bounds.append(_value(table, field, high) <= _bounded(high))
            return and_(*bounds)
        case Contains(fields, text):
            searched = fields if storable(text) else ()
            return or_(
                false(), *(_Position(table.c[f"{field}_folded"], fold(text)) > 0 for field in searched)
            )
        case AnyOf(conditions):
            return or_(false(), *(_expression(table, one) for one in conditions))
        case _:
            assert_never(condition)


def _among(table: Table, field: str, values: tuple[object, ...]) -> ColumnElement[bool]:
    usable = [value for value in values if value is not None and storable(value)]
    return _value(table, field, usable[0]).in_(usable) if usable else false()


def _bounded(value: object) -> object:
    return max(-LARGEST, min(value, LARGEST)) if type(value) is int else value


def _value(table: Table, field: str, like: object) -> ColumnElement[Any]:
    """A column, or a member of a nested value, read as what ``like`` is."""
    name, *path = field.split(".")
    column: ColumnElement[Any] = table.c[name]
    if not path:
        return column
    beside = table.c.get(path[-1])
    if beside is not None and beside.info.get("within") == name:
        return beside
    assert isinstance(column.type, JSON), f"{name} has no members"
    member: Any = column[tuple(path)]
    found: ColumnElement[Any]
    match like:
        case bool():
            found = member.as_boolean()
        case int():
            found = member.as_integer()
        case Decimal() | datetime():
            raise TypeError(f"{field} is kept as text")
        case _:
            found = member.as_string()
    return found
