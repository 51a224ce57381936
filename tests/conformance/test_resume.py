"""A cursor of any door resumes at any other: what was missed comes once, in order, and then what happens."""

import asyncio

from tests.conformance.conftest import At
from tests.conformance.door import Ability, Event
from tests.conformance.manifest import Door
from tests.conformance.people import World
from tests.conformance.scenario import scenario
from tests.conformance.test_events import everywhere


def names(events: list[Event]) -> list[str]:
    """The pets that were created."""
    return [event["data"]["pet"]["name"] for event in events]


@scenario(
    "Where any door left off, any other goes on", Ability.FOLLOW, Ability.RESUME, spans="all", nodes=True
)
async def test_resume(world: World, at: At, doors: tuple[Door, ...]) -> None:
    person = await world.customer()
    # Each reader is somebody else, so that nobody needs more requests than a gateway may allow in a minute.
    made = ["one", "two", "three"]
    cursors: list[tuple[str, str]] = []
    async with everywhere(world, at, doors, person, "pets/+") as streams:
        for name in made:
            await world.pet(name=name)
        for stream in streams:
            heard = await stream.take(3)
            assert names(heard) == made
            cursors.append((stream.cursor, heard[1]["cursor"]))
    for number, (acknowledged, behind_two) in enumerate(cursors):
        reader = await world.customer(f"reader-{number}")
        made.append(f"missed {number}")
        await world.pet(name=made[-1])
        for cursor, place in ((acknowledged, 0), (behind_two, 2)):
            async with everywhere(world, at, doors, reader, "pets/+", cursor=cursor) as streams:
                made.append(f"live {len(made)}")
                await world.pet(name=made[-1])
                told = await asyncio.gather(*(stream.take(len(made) - place) for stream in streams))
            assert names(told[0]) == made[place:]
            assert all(each == told[0] for each in told)


@scenario("A quiet subscriber whose line is cut misses nothing", Ability.FOLLOW, Ability.RESUME, nodes=True)
async def test_quiet(world: World, at: At, door: Door) -> None:
    async with at(door, world.visitor, world.target.last).follow("pets/+") as stream:
        cursor = stream.cursor
        assert not stream.untold
    await world.pet(name="missed")
    async with at(door, world.visitor, world.target.first).follow("pets/+", cursor=cursor) as stream:
        await world.pet(name="live")
        assert names(await stream.take(2)) == ["missed", "live"]
        assert not stream.untold


@scenario("earliest asks for all that is kept", Ability.RESUME)
async def test_earliest(world: World, at: At, door: Door) -> None:
    for name in ("one", "two"):
        await world.pet(name=name)
    async with at(door, world.visitor, world.target.last).follow("pets/+", cursor="earliest") as stream:
        assert names(await stream.take(2)) == ["one", "two"]
        await world.pet(name="three")
        assert names(await stream.take(1)) == ["three"]
        assert not stream.untold
