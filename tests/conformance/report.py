"""The matrix: which scenario was proved at which door, on a terminal and in docs/conformance.md."""

from collections.abc import Callable
from pathlib import Path

from tests.conformance.door import Ability
from tests.conformance.manifest import DOORS, REASONS, Door, Reason
from tests.conformance.scenario import SCENARIOS, Scenario, in_order

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"
PROVED, FAILED, NOT_RUN = "✓", "✗", "·"

#: What stands in a cell.
Mark = Callable[[Scenario, Door], str]

_TEXT = """# Conformance

A fact of the store holds on every door that can show it: the same names, ids, rules, errors and cursors. One suite
proves it. Each scenario is written once, in [tests/conformance](../tests/conformance), and run through every door by a
small driver that speaks the door's protocol with a client that people use; what comes back is compared as it is, to
the last member.

    make conformance                            # one node on embedded parts; two with PostgreSQL, Redis and Mosquitto
    make conformance URL=https://store.example  # a running gateway

Where it matters at which node something is done or seen, a scenario runs on two nodes as well as on one.

Against a given gateway every scenario works in a private tenant that it makes up and empties, so that nothing else is
touched; gRPC and MQTT are looked for at their usual ports of the same host, or where `GRPC=host:port` and
`MQTT=host:port` say. Scenarios that stop nodes or need settings of their own are left out there. The gateway's rate
limit has to be off, or high.

At MCP somebody follows topics as assistants do: they ask again and again, by `recent_events`, what has happened after
the last cursor. That a stream has ended means there that the next question is refused, or that nobody answers.

`make test` runs the suite too. A door without something says why, in a manifest that is checked both ways: what is
missing without a reason fails, and so does a reason for what is there.
"""


def proved_by_tests(scenario: Scenario, door: Door) -> str:
    """The mark of a suite in which everything passes, as CI requires."""
    reason = door.lacks(scenario.needs)
    return PROVED if reason is None else str(reason)


def document() -> str:
    """The text of docs/conformance.md."""
    tables = _table(proved_by_tests), _abilities()
    # An operation that the store runs by itself has a reason, and no scenario that asks for it.
    shown = [reason for reason in Reason if any(f"| {reason} " in table for table in tables)]
    lacking = "\n".join(f"| {reason} | {REASONS[reason]} |" for reason in shown)
    return (
        f"{_TEXT}\n## The matrix\n\n{tables[0]}\n\n"
        f"`{PROVED}` proved by every run of the tests, and of a scenario with ² on two nodes as well. The letters:\n\n"
        f"| | why a door is left out |\n|---|---|\n{lacking}\n\n"
        f"## What else the doors offer\n\n{tables[1]}\n"
    )


def _table(mark: Mark) -> str:
    head = ["scenario", *(door.name for door in DOORS)]
    rows = [
        [f"{scenario.title}{' ²' * scenario.nodes}", *(mark(scenario, door) for door in DOORS)]
        for scenario in in_order()
    ]
    lines = [head, ["---", *(":-:" for _ in DOORS)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _abilities() -> str:
    rows = []
    for ability in Ability:
        marks = (PROVED if ability in door.offered else str(door.missing[ability]) for door in DOORS)
        rows.append(f"| {ability} | {' | '.join(marks)} |")
    head = f"| | {' | '.join(door.name for door in DOORS)} |\n|---|{'|'.join(':-:' for _ in DOORS)}|"
    return "\n".join([head, *rows])


def matrix(mark: Mark) -> str:
    """The matrix for a terminal: the doors are numbered, for their names are longer than their columns."""
    wide = max(map(len, SCENARIOS), default=0)
    lines = [f"{number:>{wide + 4}} {door.name}" for number, door in enumerate(DOORS, start=1)]
    lines.append(" " * (wide + 2) + "".join(f"{number:>3}" for number in range(1, len(DOORS) + 1)))
    for scenario in in_order():
        marks = "".join(f"{mark(scenario, door):>3}" for door in DOORS)
        lines.append(f"{scenario.title:<{wide + 2}}{marks}")
    return "\n".join(lines)
