"""Queries answered without a database; conditions.py says the same in SQL."""

from collections.abc import Sequence
from typing import Any, TypeVar, assert_never

from core.ports.records import AnyOf, Between, Condition, Contains, Equal, NoneOf, OneOf, Query, Record
from gateway.storage.mapping import fold

R = TypeVar("R", bound=Record)


def matches(record: Record, where: tuple[Condition, ...]) -> bool:
    """Whether all the conditions hold."""
    return all(_holds(record, condition) for condition in where)


def ordered(records: Sequence[R], query: Query[R]) -> list[R]:
    """Sort by the query's field, a missing value last upwards, ties by id; only those that it wants by their place."""
    name, down = query.order.removeprefix("-"), query.order.startswith("-")

    def place(record: R) -> tuple[tuple[bool, Any], str]:
        return _place(member(record, name), record.id)

    found = sorted(records, key=place, reverse=down)
    if query.behind is None:
        return found
    edge = _place(*query.behind)
    return [record for record in found if (place(record) < edge if down else place(record) > edge)]


def _place(value: Any, record_id: str) -> tuple[tuple[bool, Any], str]:
    return (value is None, 0 if value is None else value), record_id


def member(record: Record, field: str) -> Any:
    """A field, or with dots a member of a nested value; None where something on the way is missing."""
    value: Any = record
    for name in field.split("."):
        if value is None:
            return None
        value = getattr(value, name)
    return value


def _holds(record: Record, condition: Condition) -> bool:
    match condition:
        case Equal(field, value):
            return bool(member(record, field) == value)
        case OneOf(field, values):
            return member(record, field) in values
        case NoneOf(field, values):
            return member(record, field) not in values
        case Between(field, low, high):
            value = member(record, field)
            return value is not None and (low is None or value >= low) and (high is None or value <= high)
        case Contains(fields, text):
            texts = [member(record, field) for field in fields]
            return any(value is not None and fold(text) in fold(value) for value in texts)
        case AnyOf(conditions):
            return any(_holds(record, one) for one in conditions)
        case _:
            assert_never(condition)
