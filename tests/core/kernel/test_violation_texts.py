"""What is wrong with a value is said in the store's own words, whatever the value and wherever it stands."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from core.kernel.errors import BadRequest, ValidationFailed, Violation
from core.kernel.validation import check_body, check_params
from core.services.catalogue import OPERATIONS
from core.store.operation import AnyOperation

HOSTILE: tuple[Any, ...] = (
    None,
    True,
    "",
    "x",
    "\0",
    "\ud800",
    "x" * 70_000,
    "9" * 5000,
    "2026-01-31T08:15:00",
    "2026-13-31T08:15:00Z",
    0,
    -1,
    10**400,
    1.5,
    float("inf"),
    float("nan"),
    [],
    [[]],
    [None] * 1500,
    {},
    {"object": "x"},
    {"object": "card"},
    {"x": 1},
)
#: What pydantic would say.
PYDANTIC = (
    "Input should",
    "should ",
    "required,",
    "permitted",
    "Value error",
    "Tuple",
    "pydantic",
    "unable to",
)


def variants(operation: AnyOperation) -> Iterator[Any]:
    """Hostile bodies: as a whole, and in each member and item of the example in turn."""
    yield from HOSTILE
    example = dict(operation.body_example or {})
    names = {field.alias or name for name, field in _body(operation).model_fields.items()}
    for name in names | example.keys():
        yield {other: value for other, value in example.items() if other != name}
        for bad in HOSTILE:
            yield {**example, name: bad}
            inner = example.get(name)
            if isinstance(inner, dict):
                yield from ({**example, name: {**inner, deep: bad}} for deep in (*inner, "unheardOf"))
            elif isinstance(inner, list):
                yield {**example, name: [bad]}
            yield {**example, name: [bad]}
            yield {**example, name: {"unheardOf": bad}}
    yield {**example, "unheardOf": 1}


def _body(operation: AnyOperation) -> type[BaseModel]:
    assert operation.body is not None
    return operation.body


def held_to_it(violations: tuple[Violation, ...]) -> None:
    """No phrase of pydantic's is in them, and no violation that has no words of its own."""
    for violation in violations:
        assert not any(phrase in violation.message for phrase in PYDANTIC), violation
        assert violation.message != "is not valid", violation


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if one.body is not None], ids=lambda one: one.name
)
def test_whatever_is_in_a_body(operation: AnyOperation) -> None:
    for body in variants(operation):
        try:
            check_body(_body(operation), body)
        except ValidationFailed as error:
            held_to_it(error.violations)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_whatever_is_in_a_parameter(operation: AnyOperation) -> None:
    for name in operation.params.model_fields:
        for bad in HOSTILE:
            try:
                check_params(operation.params, {name: bad})
            except BadRequest as error:
                held_to_it(error.violations)
