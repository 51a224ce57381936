"""An external broker beside two nodes is told what their own doors tell."""

from urllib.parse import urlsplit

import pytest

from tests.conformance.conftest import At
from tests.conformance.door import Event
from tests.conformance.manifest import DOORS
from tests.conformance.people import Person, World
from tests.conformance.target import Node
from tests.conformance.test_events import LAST, trade

#: Under these each event has one topic; a broker tells a payment under its second one, payments/…/status, as well.
TOPICS = ("pets/#", "orders/#", "inventory/#")


def _is_last(event: Event) -> bool:
    return event["eventType"] == "pet.created" and bool(event["data"]["pet"]["name"] == LAST)


@pytest.mark.parametrize("target", ["two-nodes"], indirect=True, scope="session")
async def test_the_broker_is_told_the_same_events_in_the_same_order_with_the_same_cursors(
    world: World, at: At
) -> None:
    sse, mqtt = (next(door for door in DOORS if door.name == name) for name in ("SSE", "MQTT 5"))
    broker = world.target.broker
    assert broker is not None
    # The broker has accounts of its own, and here none: whoever connects may hear everything.
    at_broker = at(mqtt, Person(world.tenant), Node("", "", urlsplit(broker).netloc))
    async with (
        at(sse, await world.staff(), world.target.last).follow(*TOPICS) as told,
        at_broker.follow(*TOPICS) as heard,
    ):
        await trade(world)
        await world.pet(name=LAST)
        expected, events = await told.until(_is_last), await heard.until(_is_last)
    assert {event["eventType"] for event in events} >= {
        "order.created",
        "payment.refunded",
        "inventory.changed",
    }
    assert events == expected
