"""The targets of the suite, what a scenario is given, and the matrix at the end."""

from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.asyncapi import Contract
from tests.conformance import report
from tests.conformance.door import Driver
from tests.conformance.manifest import REASONS, Door
from tests.conformance.people import Person, World
from tests.conformance.scenario import Scenario
from tests.conformance.target import Node, Target, given, one_node, two_nodes

FRAMES_CHECKED = 500
#: Somebody at a door: (door, person, node; without one the first).
At = Callable[..., Driver]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each scenario against one node, and two where it matters, or against the gateway that was named."""
    named = any("target" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "target" not in metafunc.fixturenames or named:
        return
    found = _scenario_of(metafunc.definition)
    url = metafunc.config.getoption("--url")
    own = ["one-node", "two-nodes"] if found is not None and found.nodes else ["one-node"]
    names = ["given"] if url else own
    metafunc.parametrize("target", names, indirect=True, scope="session")


_doors = pytest.StashKey[tuple[Door, ...]]()
#: By title and door.
_cells = pytest.StashKey[dict[tuple[str, str], str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave a given gateway's settings and its life alone, and tell reports which cells of the matrix they are."""
    for item in items:
        found = _scenario_of(item)
        if found is None or not isinstance(item, pytest.Function):
            continue
        if found.own and config.getoption("--url"):
            item.add_marker(pytest.mark.skip(reason="needs nodes of its own, to stop or to set up"))
        item.stash[_doors] = _doors_of(item.callspec.params)


def _scenario_of(item: pytest.Item) -> Scenario | None:
    marker = item.get_closest_marker("scenario")
    return None if marker is None else marker.args[0]


def _doors_of(values: Mapping[str, Any]) -> tuple[Door, ...]:
    both = tuple(values[name] for name in ("door", "other") if name in values)
    doors: tuple[Door, ...] = values.get("doors", both)
    return doors


def pytest_configure(config: pytest.Config) -> None:
    """Begin with an empty matrix."""
    config.stash[_cells] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what a scenario proved: a cell is good when all its tests are."""
    outcome = yield
    cells = item.config.stash[_cells]
    found = _scenario_of(item)
    if found is None:
        return outcome
    for door in item.stash[_doors]:
        cell = found.title, door.name
        if outcome.failed:
            cells[cell] = report.FAILED
        elif outcome.when == "call" and outcome.passed:
            cells.setdefault(cell, report.PROVED)
    return outcome


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the matrix."""
    cells = config.stash[_cells]
    if not cells:
        return

    def mark(scenario: Scenario, door: Door) -> str:
        reason = door.lacks(scenario.needs)
        return str(reason) if reason else cells.get((scenario.title, door.name), report.NOT_RUN)

    terminalreporter.section("conformance")
    terminalreporter.write_line(report.matrix(mark))
    for reason, why in REASONS.items():
        terminalreporter.write_line(f"{reason}  {why}")


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The nodes that a scenario runs against."""
    options = request.config.option
    directory: Path = tmp_path_factory.mktemp("conformance")
    match request.param:
        case "given":
            yield given(options.url, options.grpc, options.mqtt)
        case "one-node":
            with one_node(directory) as target:
                yield target
        case _:
            with two_nodes(directory, request.getfixturevalue("postgres_server")) as target:
                yield target


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A node where thirty requests a minute are enough."""
    with one_node(tmp_path_factory.mktemp("strict"), rate_limit="30") as target:
        yield target


@pytest.fixture
async def world(target: Target) -> AsyncIterator[World]:
    """A tenant of this scenario alone."""
    async with World(target) as world:
        yield world


@pytest.fixture(scope="session")
def contract() -> Contract:
    """The AsyncAPI document."""
    return Contract.load()


@pytest.fixture
def at(contract: Contract) -> Iterator[At]:
    """Puts somebody at a door; what the doors send them must be what the AsyncAPI document says."""
    frames: list[tuple[str, str | None, dict[str, Any]]] = []

    def put(door: Door, person: Person, node: Node) -> Driver:
        return door.driver(node, person, lambda *frame: frames.append(frame))

    yield put
    # Those of a scenario with a great many are all alike.
    for server, channel, frame in frames[:FRAMES_CHECKED]:
        contract.check(server, channel, "server", frame)
