"""The manifest is whole: nothing is missing without a reason, and no reason is without something missing."""

import pytest

from core.services.catalogue import OPERATIONS
from core.store.operation import AnyOperation
from protocols.classic import bindings as classic
from protocols.graphql import bindings as graphql
from protocols.grpc import bindings as grpc
from protocols.mcp import bindings as mcp
from protocols.rest import bindings as rest
from tests.conformance.__main__ import load
from tests.conformance.door import Ability, Driver
from tests.conformance.doors.classic import ClassicDriver
from tests.conformance.doors.graphql import GraphqlDriver
from tests.conformance.doors.grpc import GrpcDriver
from tests.conformance.doors.mcp import McpDriver
from tests.conformance.doors.rest import RestDriver
from tests.conformance.manifest import DOORS, REASONS, Door, Reason
from tests.conformance.report import DOCUMENT, document
from tests.conformance.scenario import SCENARIOS

EVERYTHING = frozenset(operation.name for operation in OPERATIONS) | frozenset(Ability)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_door_offers_something_or_says_why_not_and_never_both(door: Door) -> None:
    assert door.offered | door.missing.keys() == EVERYTHING
    assert not door.offered & door.missing.keys()


@pytest.mark.parametrize(
    ("driver", "bound"),
    [
        (ClassicDriver, [binding.operation for binding in classic.BINDINGS]),
        (RestDriver, [binding.operation for binding in rest.BINDINGS]),
        (GraphqlDriver, [binding.operation for binding in graphql.BINDINGS]),
        (McpDriver, [tool.operation for tool in mcp.TOOLS if tool.operation in OPERATIONS]),
        (GrpcDriver, [operation for binding in grpc.BINDINGS for operation in binding.operations]),
    ],
)
def test_a_driver_calls_every_operation_that_its_door_binds(
    driver: type[Driver], bound: list[AnyOperation]
) -> None:
    assert driver.operations == {operation.name for operation in bound}


def test_every_reason_is_explained_and_given() -> None:
    given = {reason for door in DOORS for reason in door.missing.values()}
    assert REASONS.keys() == set(Reason) == given


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_everything_that_a_door_offers_is_in_a_scenario_there(door: Door) -> None:
    load()
    proved = {need for scenario in SCENARIOS.values() if door in scenario.doors for need in scenario.needs}
    assert door.offered <= proved


def test_every_scenario_has_a_door_and_every_door_a_scenario() -> None:
    load()
    assert all(scenario.doors for scenario in SCENARIOS.values())
    assert {door for scenario in SCENARIOS.values() for door in scenario.doors} == set(DOORS)


def test_the_document_shows_the_matrix() -> None:
    load()
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "write it anew: python -m tests.conformance"
