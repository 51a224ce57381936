"""Which doors there are, what each offers, and why one lacks something. The matrix comes from here.

It is checked both ways (test_manifest.py): a driver that offers less than the catalogue says why for each thing, and
nothing that it offers has a reason to be missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from core.services.catalogue import OPERATIONS
from tests.conformance.door import Ability, Driver
from tests.conformance.doors.classic import ClassicDriver
from tests.conformance.doors.graphql import GraphqlDriver, GraphqlSseDriver
from tests.conformance.doors.grpc import GrpcDriver
from tests.conformance.doors.mcp import McpDriver
from tests.conformance.doors.mqtt import Mqtt3Driver, MqttDriver, MqttSocketDriver
from tests.conformance.doors.rest import RestDriver
from tests.conformance.doors.socketio import SocketIoDriver, SocketIoPollingDriver
from tests.conformance.doors.sse import SseDriver
from tests.conformance.doors.websocket import WebSocketDriver


class Reason(StrEnum):
    """Why a door lacks something; the value is the mark in the matrix."""

    CALLS_ONLY = "c"
    LIVE_ONLY = "l"
    ON_DEMAND = "d"
    SAME_CALLS = "s"
    PROTOCOL = "p"
    CHOICE = "o"
    OWN_WORK = "w"
    CLASSIC = "k"
    ASSISTANTS = "a"


REASONS: Mapping[Reason, str] = {
    Reason.CALLS_ONLY: "the door answers requests and follows nothing: SSE is beside it, on the same port",
    Reason.LIVE_ONLY: "the door carries what happens; all else is asked for over REST, GraphQL or gRPC",
    Reason.ON_DEMAND: "chats are held by calls and by following their topic; there is no chat connection",
    Reason.SAME_CALLS: "another transport of the door beside it, where the same is proved",
    Reason.PROTOCOL: "the protocol has no way to say it",
    Reason.CHOICE: "left to the other doors on purpose: nobody asks it of this one",
    Reason.CLASSIC: "what follows the rules of the classic Petstore API is at its door alone, and nothing else",
    Reason.ASSISTANTS: "there is no tool for it: those that there are do what assistants need for people they work for",
    Reason.OWN_WORK: "the store's own work, done when an agent comes; no client asks for it",
}

#: An operation's name, or an ability.
Thing = Ability | str
ALL_OPERATIONS = frozenset(operation.name for operation in OPERATIONS)


@dataclass(frozen=True)
class Door:
    """A door of the matrix. ``missing`` has a reason for each operation and ability that the driver does not offer."""

    name: str
    driver: type[Driver]
    missing: Mapping[Thing, Reason] = field(default_factory=dict, hash=False)

    @property
    def offered(self) -> frozenset[Thing]:
        """What can be done here."""
        return self.driver.operations | self.driver.abilities

    def lacks(self, needs: Iterable[Thing]) -> Reason | None:
        """Why a scenario with these needs cannot run here; None when it can."""
        return next((self.missing[need] for need in needs if need not in self.offered), None)


def _missing(*groups: tuple[Iterable[Thing], Reason]) -> dict[Thing, Reason]:
    return {thing: reason for things, reason in groups for thing in things}


_CLASSIC_OPERATIONS = frozenset(operation.name for operation in OPERATIONS if operation.classic)
#: For the door of the classic API; the doors of calls say so, at the others it is as with all calls.
_CLASSIC = (_CLASSIC_OPERATIONS, Reason.CLASSIC)
_CALLS = ALL_OPERATIONS | {
    Ability.IF_MATCH,
    Ability.IDEMPOTENCY,
    Ability.ECHO,
    Ability.ASK,
    Ability.DECIDE,
}
_LIVE = frozenset({Ability.FOLLOW, Ability.RESUME, Ability.CONVERSE, Ability.RENEW})
_OWN_WORK = (("assignWaitingChats",), Reason.OWN_WORK)
#: Nobody but a device publishes, and it finds a topic to publish to where it speaks a protocol of devices; elsewhere it
#: calls an operation.
_NOT_FOR_DEVICES = ((Ability.PUBLISH,), Reason.CHOICE)
#: Resources are a notion of assistants; elsewhere one reads by a call what a topic says has changed.
_NOT_FOR_ASSISTANTS = ((Ability.RESOURCES,), Reason.CHOICE)
_WHERE_DEVICES_TALK = _missing(
    (_CALLS, Reason.LIVE_ONLY), ((Ability.CONVERSE,), Reason.ON_DEMAND), _NOT_FOR_ASSISTANTS
)
_WHERE_PEOPLE_TALK = _missing((_CALLS, Reason.LIVE_ONLY), _NOT_FOR_DEVICES, _NOT_FOR_ASSISTANTS)

DOORS: tuple[Door, ...] = (
    Door(
        "REST",
        RestDriver,
        _missing(
            (_LIVE, Reason.CALLS_ONLY),
            _OWN_WORK,
            _NOT_FOR_DEVICES,
            _NOT_FOR_ASSISTANTS,
            _CLASSIC,
        ),
    ),
    Door(
        "Classic",
        ClassicDriver,
        _missing(
            (_CALLS - _CLASSIC_OPERATIONS, Reason.CLASSIC),
            (_LIVE, Reason.CALLS_ONLY),
            _OWN_WORK,
            _NOT_FOR_DEVICES,
            _NOT_FOR_ASSISTANTS,
        ),
    ),
    Door(
        "SSE",
        SseDriver,
        _missing(
            (_CALLS, Reason.LIVE_ONLY),
            ((Ability.CONVERSE, Ability.RENEW), Reason.PROTOCOL),
            _NOT_FOR_DEVICES,
            _NOT_FOR_ASSISTANTS,
        ),
    ),
    Door("WebSocket", WebSocketDriver, _WHERE_PEOPLE_TALK),
    Door("Socket.IO", SocketIoDriver, _WHERE_PEOPLE_TALK),
    Door("Socket.IO polling", SocketIoPollingDriver, _WHERE_PEOPLE_TALK),
    Door("MQTT 5", MqttDriver, _WHERE_DEVICES_TALK),
    Door(
        "MQTT 3.1.1",
        Mqtt3Driver,
        {
            **_WHERE_DEVICES_TALK,
            **_missing(((Ability.RESUME, Ability.RENEW, Ability.PUBLISH), Reason.PROTOCOL)),
        },
    ),
    Door("MQTT over WebSocket", MqttSocketDriver, _WHERE_DEVICES_TALK),
    Door(
        "GraphQL",
        GraphqlDriver,
        _missing(
            (("getPetImage", Ability.RENEW, Ability.ECHO), Reason.PROTOCOL),
            ((Ability.CONVERSE,), Reason.ON_DEMAND),
            _OWN_WORK,
            _NOT_FOR_DEVICES,
            _NOT_FOR_ASSISTANTS,
            _CLASSIC,
        ),
    ),
    Door(
        "GraphQL over SSE",
        GraphqlSseDriver,
        _missing(
            (_CALLS - {Ability.ASK}, Reason.SAME_CALLS),
            ((Ability.CONVERSE,), Reason.ON_DEMAND),
            ((Ability.RENEW,), Reason.PROTOCOL),
            _NOT_FOR_DEVICES,
            _NOT_FOR_ASSISTANTS,
        ),
    ),
    Door(
        "gRPC",
        GrpcDriver,
        _missing(
            ((Ability.RENEW, Ability.ECHO), Reason.PROTOCOL),
            _OWN_WORK,
            _NOT_FOR_DEVICES,
            _NOT_FOR_ASSISTANTS,
            _CLASSIC,
        ),
    ),
    Door(
        "MCP",
        McpDriver,
        _missing(
            (
                (_CALLS | {Ability.CONVERSE}) - McpDriver.operations - McpDriver.abilities,
                Reason.ASSISTANTS,
            ),
            ((Ability.RENEW,), Reason.PROTOCOL),
            _OWN_WORK,
            _NOT_FOR_DEVICES,
            _CLASSIC,
        ),
    ),
)
