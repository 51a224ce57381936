"""How streams end, and that nothing is lost by it: logout, expiry, a reader who stops, a node that stops."""

import asyncio
import contextlib
import signal
import time
from pathlib import Path

import jwt

from tests.conformance.conftest import At
from tests.conformance.door import Ability, Event
from tests.conformance.manifest import Door
from tests.conformance.people import Person, World
from tests.conformance.scenario import scenario
from tests.conformance.target import SECRET, Node, Target, one_node, two_nodes
from tests.servers import PostgresServer

#: Enough to open a stream at every door on a busy machine.
SOON_SECONDS = 10.0


def ending_soon(person: Person) -> Person:
    """The same person, with a token that ends soon."""
    assert person.token is not None
    claims = jwt.decode(person.token, SECRET, algorithms=["HS256"], options={"verify_aud": False})
    token = jwt.encode({**claims, "exp": int(time.time() + SOON_SECONDS)}, SECRET, algorithm="HS256")
    return Person(person.tenant, token, person.user_id, person.username)


@scenario(
    "A logout ends every stream of the login, on whatever node", Ability.FOLLOW, spans="all", nodes=True
)
async def test_logout(world: World, at: At, doors: tuple[Door, ...]) -> None:
    customer = await world.customer()
    async with contextlib.AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(at(door, customer, node).follow("#"))
            for door in doors
            for node in world.target.nodes
        ]
        await world.ask("DELETE", "/v1/auth/tokens", customer)
        ends = await asyncio.gather(*(stream.ended() for stream in streams))
    told = [door for door in doors for _ in world.target.nodes]
    assert all(end.code in door.driver.says("unauthorized") for door, end in zip(told, ends, strict=True))


@scenario("A stream ends when its token expires", Ability.FOLLOW, spans="all", own=True)
async def test_expiry(world: World, at: At, doors: tuple[Door, ...]) -> None:
    customer = ending_soon(await world.customer())
    async with contextlib.AsyncExitStack() as stack:
        follow = (at(door, customer, world.target.last).follow("#") for door in doors)
        streams = [await stack.enter_async_context(each) for each in follow]
        ends = await asyncio.gather(*(stream.ended() for stream in streams))
    assert all(end.code in door.driver.says("unauthorized") for door, end in zip(doors, ends, strict=True))


@scenario(
    "A login that is renewed goes on beyond the token it began with",
    Ability.FOLLOW,
    Ability.RENEW,
    spans="all",
    own=True,
)
async def test_renewal(world: World, at: At, doors: tuple[Door, ...]) -> None:
    customer = await world.customer()
    soon = ending_soon(customer)
    assert customer.token is not None
    async with contextlib.AsyncExitStack() as stack:
        drivers = [at(door, soon, world.target.first) for door in doors]
        renewed = [await stack.enter_async_context(driver.follow("pets/+")) for driver in drivers]
        left = [
            await stack.enter_async_context(at(door, soon, world.target.first).follow("pets/+"))
            for door in doors
        ]
        for driver, stream in zip(drivers, renewed, strict=True):
            await driver.renew(stream, customer.token)
        await asyncio.gather(*(stream.ended() for stream in left))
        await world.pet(name="after")
        for stream in renewed:
            assert (await stream.next())["data"]["pet"]["name"] == "after"


@scenario("A reader who stops reading loses nothing, and harms nobody", Ability.FOLLOW, spans="all", own=True)
async def test_slow_readers(world: World, at: At, doors: tuple[Door, ...]) -> None:
    staff = await world.staff()
    pet = await world.pet()
    # More than the buffers of two kernels take for one connection, so that the store has to wait for the reader.
    count, text = 400, "€" * 4_000
    async with contextlib.AsyncExitStack() as stack:
        slow = [
            await stack.enter_async_context(at(door, staff, world.target.last).follow("pets/+"))
            for door in doors
        ]
        quick = await stack.enter_async_context(at(doors[0], staff, world.target.last).follow("pets/+"))
        for stream in slow:
            stream.reading.clear()
        for number in range(count):
            change = {"name": f"Rex {number}", "description": text}
            await world.ask("PATCH", f"/v1/pets/{pet['id']}", staff, change)
        told = await quick.take(count)
        assert [event["data"]["pet"]["name"] for event in told] == [
            f"Rex {number}" for number in range(count)
        ]
        for stream in slow:
            stream.reading.set()
            assert await stream.take(count) == told


async def stop_and_go_on(at: At, doors: tuple[Door, ...], stopped: Node, then: Node) -> None:
    """Stop a node while somebody follows at every door: all are sent off, and each goes on at the next door."""
    gateway = stopped.gateway
    assert gateway is not None
    heard: list[list[Event]] = [[] for _ in doors]
    cursors: list[str] = []
    async with World(Target("those left", (then,))) as world:
        person = await world.customer()
        async with contextlib.AsyncExitStack() as stack:
            follow = (at(door, person, stopped).follow("pets/+") for door in doors)
            streams = [await stack.enter_async_context(each) for each in follow]
            made = [await world.pet(name=f"before {number}") for number in range(5)]
            for told, stream in zip(heard, streams, strict=True):
                told.extend(await stream.take(5))
            gateway.send(signal.SIGTERM)
            for door, told, stream in zip(doors, heard, streams, strict=True):
                end = await stream.ended()
                assert end.code in door.driver.says("service-unavailable"), door.name
                cursors.append(end.cursor or told[-1]["cursor"])
        assert await asyncio.to_thread(gateway.wait) == 0
        if stopped is then:
            await asyncio.to_thread(gateway.start)
        made += [await world.pet(name=f"meanwhile {number}") for number in range(3)]
        able = [(place, door) for place, door in enumerate(doors) if Ability.RESUME in door.offered]
        for (place, _), (_, door) in zip(able, able[1:] + able[:1], strict=True):
            async with at(door, person, then).follow("pets/+", cursor=cursors[place]) as stream:
                heard[place] += await stream.take(3)
            assert [event["data"]["pet"]["id"] for event in heard[place]] == [pet["id"] for pet in made]


@scenario(
    "A node that stops sends its streams off, and they resume elsewhere at another door",
    Ability.FOLLOW, spans="all", own=True,
)  # fmt: skip
async def test_drain(
    at: At, doors: tuple[Door, ...], tmp_path: Path, postgres_server: PostgresServer
) -> None:
    with two_nodes(tmp_path, postgres_server) as target:
        await stop_and_go_on(at, doors, target.first, target.last)


@scenario("A node that comes back goes on where it was, at every door", Ability.FOLLOW, spans="all", own=True)
async def test_restart(at: At, doors: tuple[Door, ...], tmp_path: Path) -> None:
    with one_node(tmp_path) as target:
        await stop_and_go_on(at, doors, target.first, target.first)
