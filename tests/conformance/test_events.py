"""What happens is told alike at every live door: the same events, ids, cursors and data, in the same order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tests.conformance.conftest import At
from tests.conformance.door import Ability, Event, Stream, refusal
from tests.conformance.manifest import DOORS, Door
from tests.conformance.people import Person, World
from tests.conformance.scenario import scenario
from tests.conformance.test_orders import payment

LAST = "the last of them"


@contextlib.asynccontextmanager
async def everywhere(
    world: World, at: At, doors: tuple[Door, ...], person: Person, *topics: str, cursor: str | None = None
) -> AsyncIterator[list[Stream]]:
    """Somebody follows topics at every door, half of them at each node."""
    nodes = world.target.nodes
    async with contextlib.AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(
                at(door, person, nodes[place % len(nodes)]).follow(*topics, cursor=cursor)
            )
            for place, door in enumerate(doors)
        ]
        yield streams


async def trade(world: World) -> dict[str, Any]:
    """Let all kinds of things happen: pets, an order that is paid and cancelled, one of nobody; the order."""
    staff, customer = await world.staff(), await world.customer()
    pet = await world.pet(species="CAT")
    await world.ask("PATCH", f"/v1/pets/{pet['id']}", staff, {"description": "x" * 300})
    order: dict[str, Any] = await world.ask(
        "POST", "/v1/orders", customer, {"petId": pet["id"]}, node=world.target.last
    )
    await world.ask("POST", f"/v1/orders/{order['id']}/payment", customer, payment())
    await world.ask("DELETE", f"/v1/orders/{order['id']}", customer)
    await world.order(world.visitor)
    other = await world.order(await world.customer("other"))
    await world.ask("DELETE", f"/v1/orders/{other['id']}", staff)
    return order


async def all_hear(world: World, streams: list[Stream]) -> list[Event]:
    """What all streams were told until now, which is the same for all of them."""
    await world.pet(name=LAST)

    def is_last(event: Event) -> bool:
        return bool(event["eventType"] == "pet.created" and event["data"]["pet"]["name"] == LAST)

    told = [await stream.until(is_last) for stream in streams]
    for other in told[1:]:
        assert other == told[0]
    sequence = [event["cursor"] for event in told[0]]
    assert len(set(sequence)) == len(sequence)
    return told[0]


@scenario("A pet's life is followed from its first day to its last", Ability.FOLLOW, nodes=True)
async def test_follow(world: World, at: At, door: Door) -> None:
    staff = await world.staff()
    async with at(door, world.visitor, world.target.last).follow("pets/#") as stream:
        pet = await world.pet()
        event = await stream.next()
        assert (event["eventType"], event["topic"]) == ("pet.created", f"pets/{pet['id']}")
        assert event["data"]["pet"] == pet
        await world.ask("PATCH", f"/v1/pets/{pet['id']}", staff, {"name": "Rexy"})
        await world.ask("PATCH", f"/v1/pets/{pet['id']}", staff, {"status": "NOT_AVAILABLE"})
        await world.ask("DELETE", f"/v1/pets/{pet['id']}", staff)
        told = [event, *await stream.until(lambda event: event["eventType"] == "pet.deleted")]
    assert [event["eventType"] for event in told if event["topic"] == f"pets/{pet['id']}"] == [
        "pet.created",
        "pet.updated",
        "pet.deleted",
    ]
    assert {event["tenantId"] for event in told} == {world.tenant}


@scenario("One who sees everything is told the same at every door", Ability.FOLLOW, spans="all", nodes=True)
async def test_all(world: World, at: At, doors: tuple[Door, ...]) -> None:
    async with everywhere(world, at, doors, await world.staff(), "#") as streams:
        order = await trade(world)
        told = await all_hear(world, streams)
    kinds = {event["eventType"] for event in told}
    assert kinds >= {
        "pet.created", "pet.updated", "pet.status_changed", "pet.availability_changed", "order.created",
        "order.status_changed", "payment.processing", "payment.succeeded", "payment.refunded", "inventory.changed",
    }  # fmt: skip
    assert {event["data"]["order"]["id"] for event in told if event["topic"].startswith("orders/")} > {
        order["id"]
    }


@scenario("Each kind of topic filter chooses the same at every door", Ability.FOLLOW, spans="all")
async def test_filters(world: World, at: At, doors: tuple[Door, ...]) -> None:
    staff = await world.staff()
    chosen = (
        ("pets/+",),
        ("pets/#",),
        ("+/+/status", "pets/+"),
        ("orders/+/status", "orders/#", "pets/+"),
        ("orders/#", "payments/#", "pets/+"),
        ("inventory/CAT/stock", "pets/+"),
    )
    names = []
    for topics in chosen:
        async with everywhere(world, at, doors, staff, *topics) as streams:
            await trade(world)
            told = await all_hear(world, streams)
        assert len({event["id"] for event in told}) == len(told)
        names.append([event["topic"] for event in told])
    one, deep, statuses, overlapping, paid, stock = names
    assert all(topic.count("/") == 1 for topic in one)
    assert len(deep) > len(one)
    # A payment is found under its own status too.
    assert {topic.rpartition("/")[2] for topic in statuses if topic.count("/") == 2} == {"status", "payment"}
    assert len(paid) == len(overlapping)
    assert {topic.rpartition("/")[2] for topic in paid} >= {"status", "payment"}
    assert {topic for topic in stock if topic.startswith("inventory")} == {"inventory/CAT/stock"}


@scenario("Wide filters are narrowed to what one may see, alike at every door", Ability.FOLLOW, spans="all")
async def test_rights(world: World, at: At, doors: tuple[Door, ...]) -> None:
    customer, other = await world.customer(), await world.customer("other")
    async with (
        World(world.target) as stranger,
        everywhere(world, at, doors, world.visitor, "#") as of_visitor,
        everywhere(world, at, doors, customer, "#") as of_customer,
        everywhere(world, at, doors, other, "#") as of_other,
        everywhere(stranger, at, doors, await stranger.staff(), "#") as of_stranger,
    ):
        mine = await trade(world)
        public = await all_hear(world, [*of_visitor])
        for streams in (of_customer, of_other):
            told = await asyncio.gather(
                *(stream.until(lambda event: event["id"] == public[-1]["id"]) for stream in streams)
            )
            assert all(each == told[0] for each in told)
            private = [event for event in told[0] if event not in public]
            assert private
            owners = {event["data"]["order"]["userId"] for event in private}
            assert owners == {(customer if streams is of_customer else other).user_id}
        theirs = await all_hear(stranger, of_stranger)
        assert {event["topic"].partition("/")[0] for event in public} == {"pets", "inventory"}
        assert theirs
        assert {event["tenantId"] for event in theirs} == {stranger.tenant}
    assert mine["userId"] == customer.user_id


@scenario("Whoever knows an order of nobody by its id may follow it", Ability.FOLLOW)
async def test_anonymous(world: World, at: At, door: Door) -> None:
    order = await world.order(world.visitor)
    async with at(door, world.visitor, world.target.last).follow(f"orders/{order['id']}/#") as stream:
        await world.ask("DELETE", f"/v1/orders/{order['id']}", world.visitor)
        event = await stream.next()
        assert (event["eventType"], event["data"]["newStatus"]) == ("order.status_changed", "CANCELLED")


@scenario("A reading that a device publishes is told at every live door", Ability.PUBLISH, nodes=True)
async def test_telemetry(world: World, at: At, door: Door) -> None:
    pet, other = await world.pet(), await world.pet()
    staff = await world.staff()
    made = await world.ask("POST", "/v1/devices", staff, {"name": "Collar", "petIds": [pet["id"]]})
    device = at(
        door, Person(world.tenant, made["password"], made["id"], made["username"]), world.target.first
    )
    live = tuple(found for found in DOORS if Ability.FOLLOW in found.offered)
    async with everywhere(world, at, live, world.visitor, "pets/+/health") as streams:
        for topic, payload in (
            (f"telemetry/pets/{other['id']}/health", {"heartRateBpm": 90}),
            (f"telemetry/pets/{pet['id']}/health", {"heartRateBpm": -1}),
            (f"pets/{pet['id']}", {"heartRateBpm": 90}),
        ):
            await refusal(device.publish(topic, payload))
        await device.publish(
            f"telemetry/pets/{pet['id']}/health", {"heartRateBpm": 92, "activity": "WALKING"}
        )
        told = await asyncio.gather(*(stream.next() for stream in streams))
        assert all(event == told[0] for event in told)
        assert told[0]["eventType"] == "pet.health_reported"
        assert told[0]["data"]["deviceId"] == made["id"]
        assert told[0]["data"]["reading"]["heartRateBpm"] == 92
        assert not any(stream.untold for stream in streams)
