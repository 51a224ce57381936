"""The targets of the suite, what a scenario is given, and the matrix at the end."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.door import Driver
from tests.conformance.manifest import Door
from tests.conformance.people import Person, World
from tests.conformance.scenario import Scenario
from tests.conformance.target import Node, Target, given, one_node, two_nodes

#: Somebody at a door: (door, person, node; without one the first).
At = Callable[..., Driver]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each scenario against one node and against two, or against the gateway that was named."""
    if "target" not in metafunc.fixturenames:
        return
    url = metafunc.config.getoption("--url")
    names = ["given"] if url else ["one-node", "two-nodes"]
    metafunc.parametrize("target", names, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave a given gateway's settings and its life alone."""
    if not config.getoption("--url"):
        return
    for item in items:
        found = scenario_of(item)
        if found is not None and found.own:
            item.add_marker(pytest.mark.skip(reason="needs nodes of its own, to stop or to set up"))


def scenario_of(item: pytest.Item) -> Scenario | None:
    """The scenario that a test is."""
    marker = item.get_closest_marker("scenario")
    return None if marker is None else marker.args[0]


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


@pytest.fixture
async def world(target: Target) -> AsyncIterator[World]:
    """A tenant of this scenario alone."""
    world = World(target)
    yield world
    await world.leave()


@pytest.fixture
def at() -> At:
    """Puts somebody at a door."""

    def put(door: Door, person: Person, node: Node) -> Driver:
        return door.driver(node, person, lambda *_: None)

    return put
