"""What happens is told alike at every live door."""

from tests.conformance.conftest import At
from tests.conformance.door import Ability
from tests.conformance.manifest import Door
from tests.conformance.people import World
from tests.conformance.scenario import scenario
from tests.conformance.shapes import compact


@scenario("A pet's life is followed", Ability.FOLLOW)
async def test_follow(world: World, at: At, door: Door) -> None:
    staff = await world.staff()
    async with at(door, world.visitor, world.target.last).follow("pets/#") as stream:
        pet = await world.pet()
        event = await stream.next()
        assert event["eventType"] == "pet.created"
        assert compact(event["data"]["pet"]) == pet
        await world.ask("DELETE", f"/v1/pets/{pet['id']}", staff)
        await stream.until(lambda event: event["eventType"] == "pet.deleted")
