"""Resources are what calls give, and a cue leads to what every live door tells."""

import asyncio

from tests.conformance.conftest import At
from tests.conformance.door import Ability, refusal
from tests.conformance.manifest import DOORS, Door
from tests.conformance.people import World
from tests.conformance.scenario import scenario
from tests.conformance.test_events import everywhere

_NOWHERE = "019e2d15-51aa-7c36-9e02-7d4b6f8a0c12"


@scenario(
    "A resource is what a call gives, and is there for whom it is there by a call", Ability.RESOURCES, nodes=True
)  # fmt: skip
async def test_resources(world: World, at: At, door: Door) -> None:
    person, calls = await world.customer(), next(found for found in DOORS if found.name == "REST")
    order = await world.order(person)
    reader = at(door, person, world.target.last)
    for path in (f"pets/{order['petId']}", f"orders/{order['id']}", "inventory"):
        shown = await reader.read_resource(f"petstore://{path}")
        assert shown.value == await world.ask("GET", f"/v1/{path}", person)
    async with World(world.target) as elsewhere:
        for other in (world.visitor, await world.customer("other"), elsewhere.visitor):
            for order_id in (order["id"], _NOWHERE):
                by_call = await refusal(at(calls, other, world.target.last).call("getOrder", id=order_id))
                resource = at(door, other, world.target.last).read_resource(f"petstore://orders/{order_id}")
                assert (await refusal(resource)).code == by_call.code == "not-found"


@scenario("Nobody is told of changes by cues whose events they may not follow", Ability.RESOURCES)
async def test_refused(world: World, at: At, door: Door) -> None:
    order = await world.order(await world.customer())
    live = next(found for found in DOORS if found.name == "SSE")
    for person, code in ((world.visitor, "unauthorized"), (await world.customer("other"), "forbidden")):
        for order_id in (order["id"], _NOWHERE):
            events = at(live, person, world.target.first).follow(f"orders/{order_id}/#")
            cues = at(door, person, world.target.first).listen(f"petstore://orders/{order_id}")
            assert (await refusal(cues)).code == (await refusal(events)).code == code


@scenario(
    "A cue leads to what has changed, and its cursor to all that follows at every live door",
    Ability.RESOURCES, nodes=True
)  # fmt: skip
async def test_cues(world: World, at: At, door: Door) -> None:
    live = tuple(found for found in DOORS if {Ability.FOLLOW, Ability.RESUME} <= found.offered)
    person = await world.customer()
    order = await world.order(person)
    uri = f"petstore://orders/{order['id']}"
    reader = at(door, person, world.target.last)
    async with reader.listen(uri) as cues:
        seen = await reader.read_resource(uri)
        await world.pet(name="before")
        await world.ask("DELETE", f"/v1/orders/{order['id']}", person)
        changed, cursor = await cues.next()
    assert changed == uri
    shown = await reader.read_resource(uri)
    assert shown.value == await world.ask("GET", f"/v1/orders/{order['id']}", person)
    assert shown.value["status"] == "CANCELLED"
    topics = ("orders/+/status", "pets/+")
    async with everywhere(world, at, live, person, *topics, cursor=seen.cursor) as streams:
        told = await asyncio.gather(*(stream.take(2) for stream in streams))
    assert all(each == told[0] for each in told)
    before, cancelled = told[0]
    assert before["data"]["pet"]["name"] == "before"
    assert cancelled["data"]["order"] == shown.value
    await world.pet(name="after")
    for place in (cursor, shown.cursor):
        async with everywhere(world, at, live, person, *topics, cursor=place) as streams:
            told = await asyncio.gather(*(stream.take(1) for stream in streams))
        assert all(each == told[0] for each in told)
        assert told[0][0]["data"]["pet"]["name"] == "after"
