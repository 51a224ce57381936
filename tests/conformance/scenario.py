"""How a test becomes a scenario: it says what it needs, and runs through every door that offers it."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, TypeVar

import pytest

from tests.conformance.manifest import DOORS, Door, Thing

F = TypeVar("F", bound=Callable[..., Any])
#: ``each`` door alone, every pair of doors (``door`` and ``other``), or ``all`` doors at once (``doors``).
Spans = Literal["each", "pairs", "all"]


@dataclass(frozen=True)
class Scenario:
    """A test of the suite.

    ``own``: it stops nodes or wants settings of its own, so it leaves given ones alone. ``nodes``: it matters at which
    node something is done or seen, so that it runs on two nodes as well as on one.
    """

    title: str
    needs: tuple[Thing, ...]
    spans: Spans
    own: bool
    nodes: bool
    module: str

    @property
    def doors(self) -> tuple[Door, ...]:
        """The doors that it runs through."""
        return tuple(door for door in DOORS if door.lacks(self.needs) is None)


#: Every scenario by its title.
SCENARIOS: dict[str, Scenario] = {}


def in_order() -> list[Scenario]:
    """The scenarios by their modules, and within one as they stand there, whoever imported what first."""
    return sorted(SCENARIOS.values(), key=lambda scenario: scenario.module)


def scenario(
    title: str, *needs: Thing, spans: Spans = "each", own: bool = False, nodes: bool = False
) -> Callable[[F], F]:
    """Make a test a scenario.

    It is given ``world`` (a tenant of its own on the target), and by ``spans`` ``door``, ``door`` and ``other``, or
    ``doors``.
    """
    assert title not in SCENARIOS, f"two scenarios are called '{title}'"

    def mark(test: F) -> F:
        found = SCENARIOS[title] = Scenario(title, needs, spans, own, nodes, test.__module__)
        names, cases = _cases(found)
        marked: F = pytest.mark.scenario(found)(pytest.mark.parametrize(names, cases)(test))
        return marked

    return mark


def _cases(found: Scenario) -> tuple[str, list[Any]]:
    doors = found.doors
    match found.spans:
        case "each":
            return "door", [pytest.param(door, id=door.name) for door in doors]
        case "pairs":
            pairs = product(doors, repeat=2)
            return "door,other", [
                pytest.param(*pair, id="-".join(door.name for door in pair)) for pair in pairs
            ]
        case "all":
            return "doors", [pytest.param(doors, id="all")]
