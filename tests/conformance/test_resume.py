"""A cursor of any door resumes at any other: what was missed comes once, in order, and then what happens."""

from tests.conformance.conftest import At
from tests.conformance.door import Ability, Event
from tests.conformance.manifest import Door
from tests.conformance.people import World
from tests.conformance.scenario import scenario


def names(events: list[Event]) -> list[str]:
    """The pets that were created."""
    return [event["data"]["pet"]["name"] for event in events]


@scenario("Where one door left off, the other goes on", Ability.FOLLOW, Ability.RESUME, spans="pairs")
async def test_resume(world: World, at: At, door: Door, other: Door) -> None:
    person = await world.customer()
    async with at(door, person, world.target.first).follow("pets/+") as stream:
        for name in ("one", "two", "three"):
            await world.pet(name=name)
        heard = await stream.take(3)
        assert names(heard) == ["one", "two", "three"]
    for name in ("four", "five"):
        await world.pet(name=name)
    for last in (heard[1]["cursor"], stream.cursor):
        missed = ["three"] if last == heard[1]["cursor"] else ["one", "two", "three"]
        async with at(other, person, world.target.last).follow("pets/+", cursor=last) as resumed:
            await world.pet(name="live")
            told = await resumed.until(lambda event: event["data"]["pet"]["name"] == "live")
        assert names(told)[: len(missed) + 2] == [*missed, "four", "five"]
        assert len({event["id"] for event in told}) == len(told)
        assert [event for event in told if event in heard] == heard[-len(missed) :]


@scenario("earliest asks for all that is kept", Ability.RESUME)
async def test_earliest(world: World, at: At, door: Door) -> None:
    for name in ("one", "two"):
        await world.pet(name=name)
    async with at(door, world.visitor, world.target.last).follow("pets/+", cursor="earliest") as stream:
        assert names(await stream.take(2)) == ["one", "two"]
        await world.pet(name="three")
        assert names(await stream.take(1)) == ["three"]
        assert not stream.untold
