"""What every storage promises when many write at once, or stop in the middle."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import pytest

from core.kernel.ids import TenantId, new_id
from core.models.pets import Pet, PetStatus
from core.ports.records import Query, Taken, TransientFailure
from core.ports.storage import Storage
from tests.gateway.storage import records
from tests.gateway.storage.records import a_pet, a_tenant, an_event, announce, put
from tests.waiting import TIMEOUT_SECONDS

T = TypeVar("T")


class ChangedMindError(Exception):
    """Raised in the middle of a transaction."""


async def _until_it_works(run: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await run()
        except TransientFailure:
            await asyncio.sleep(0)


async def test_of_many_who_want_one_pet_exactly_one_gets_it(nodes: tuple[Storage, Storage]) -> None:
    tenant = a_tenant()
    pet = a_pet(tenant)
    await put(nodes[0], pet)

    async def reserve(storage: Storage) -> bool:
        async with storage.write(tenant) as tx:
            found = await tx.get(Pet, pet.id, lock=True)
            assert found is not None
            if found.status is not PetStatus.AVAILABLE:
                return False
            await asyncio.sleep(0)
            await tx.update(found.model_copy(update={"status": PetStatus.PENDING}))
            await tx.append([an_event(tenant).at(1, await tx.hold_log() + 1)])
            return True

    outcomes = await asyncio.gather(*(_until_it_works(partial(reserve, nodes[n % 2])) for n in range(40)))
    assert outcomes.count(True) == 1
    assert (await nodes[0].read_log(tenant, 0, 10)).head == 1


async def test_no_update_is_lost(nodes: tuple[Storage, Storage]) -> None:
    tenant = a_tenant()
    pet = a_pet(tenant, age_months=0)
    await put(nodes[0], pet)

    async def grow(storage: Storage) -> None:
        async with storage.write(tenant) as tx:
            found = await tx.get(Pet, pet.id, lock=True)
            assert found is not None
            await tx.update(found.model_copy(update={"age_months": found.age_months + 1}))

    await asyncio.gather(*(_until_it_works(partial(grow, nodes[n % 2])) for n in range(30)))
    async with nodes[0].read(tenant) as tx:
        grown = await tx.get(Pet, pet.id)
    assert grown is not None
    assert grown.age_months == 30


async def test_sequences_and_numbers_have_no_gaps_and_readers_see_no_holes(
    nodes: tuple[Storage, Storage],
) -> None:
    tenant, epoch = a_tenant(), await nodes[0].epoch()
    writers_done = asyncio.Event()

    async def write(storage: Storage, rng: random.Random) -> list[str]:
        written: list[str] = []
        for _ in range(4):
            count = rng.randint(1, 3)

            async def attempt(count: int = count) -> list[str]:
                async with storage.write(tenant) as tx:
                    number = await tx.next_number("pets")
                    await tx.insert(a_pet(tenant, number))
                    head = await tx.hold_log()
                    events = [an_event(tenant).at(epoch, head + place) for place in range(1, count + 1)]
                    await tx.append(events)
                    if rng.random() < 0.25:
                        raise ChangedMindError
                return [event.id for event in events]

            try:
                written += await _until_it_works(attempt)
            except ChangedMindError:
                continue
        return written

    async def read(storage: Storage) -> list[str]:
        seen: list[str] = []
        while True:
            last_look = writers_done.is_set()
            page = await storage.read_log(tenant, len(seen), 7)
            assert [event.sequence for event in page.events] == list(
                range(len(seen) + 1, len(seen) + 1 + len(page.events))
            )
            assert page.head >= len(seen) + len(page.events)
            seen += [event.id for event in page.events]
            if last_look and not page.events:
                return seen
            await asyncio.sleep(0)

    readers = [asyncio.create_task(read(node)) for node in nodes]
    written = await asyncio.gather(*(write(nodes[n % 2], random.Random(n)) for n in range(8)))
    writers_done.set()
    for seen in await asyncio.gather(*readers):
        assert sorted(seen) == sorted(event for events in written for event in events)
    async with nodes[0].read(tenant) as tx:
        pets = await tx.find(Query(Pet, order="number"))
    assert [pet.number for pet in pets] == list(range(1, len(pets) + 1))


async def test_a_unique_thing_is_taken_once_by_many_at_once(nodes: tuple[Storage, Storage]) -> None:
    tenant, username = a_tenant(), new_id()

    async def register(storage: Storage, where: TenantId) -> bool:
        try:
            await put(storage, records.a_device(where, username))
        except Taken:
            return False
        return True

    tries = (
        _until_it_works(partial(register, nodes[n % 2], tenant if n % 3 else a_tenant())) for n in range(20)
    )
    assert (await asyncio.gather(*tries)).count(True) == 1


async def test_tenants_write_at_once_without_losing_events(nodes: tuple[Storage, Storage]) -> None:
    tenants = [a_tenant() for _ in range(4)]
    await asyncio.gather(
        *(
            _until_it_works(partial(announce, nodes[n % 2], an_event(tenant)))
            for n in range(10)
            for tenant in tenants
        )
    )
    assert await nodes[0].heads(tenants) == dict.fromkeys(tenants, 10)


async def test_trimming_while_others_write_loses_no_new_event(nodes: tuple[Storage, Storage]) -> None:
    tenant = a_tenant()

    async def write() -> None:
        for _ in range(20):
            await _until_it_works(lambda: announce(nodes[0], an_event(tenant)))

    writer = asyncio.create_task(write())
    while not writer.done():
        await _until_it_works(lambda: nodes[1].trim_log(None, 3))
        page = await nodes[1].read_log(tenant, 0, 100)
        assert [event.sequence for event in page.events] == list(range(page.floor + 1, page.head + 1))
        await asyncio.sleep(0)
    await writer
    await nodes[1].trim_log(None, 3)
    page = await nodes[1].read_log(tenant, 0, 100)
    assert (page.floor, page.head) == (17, 20)


async def test_a_writer_cancelled_between_two_statements_holds_nothing(
    nodes: tuple[Storage, Storage],
) -> None:
    tenant = a_tenant()
    pet = a_pet(tenant)
    await put(nodes[0], pet)
    reached = asyncio.Event()

    async def stop_halfway() -> None:
        async with nodes[0].write(tenant) as tx:
            await tx.get(Pet, pet.id, lock=True)
            await tx.update(pet.model_copy(update={"name": "Rex"}))
            await tx.hold_log()
            reached.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stop_halfway())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(TIMEOUT_SECONDS), nodes[1].write(tenant) as tx:
        assert await tx.get(Pet, pet.id, lock=True) == pet
        assert await tx.hold_log() == 0


async def test_cancelling_at_any_moment_is_all_or_nothing_and_leaks_no_connection(
    nodes: tuple[Storage, Storage],
) -> None:
    storage, other = nodes
    tenant, epoch = a_tenant(), await storage.epoch()

    async def buy(number: int) -> None:
        async with storage.write(tenant) as tx:
            await tx.insert(a_pet(tenant, number, id=f"p{number}"))
            await tx.get(Pet, f"p{number}", lock=True)
            await tx.append([an_event(tenant, str(number)).at(epoch, await tx.hold_log() + 1)])
        async with storage.read(tenant) as tx:
            await tx.count(Query(Pet))
        await storage.read_log(tenant, 0, 1)

    # More often than there are connections, each time a little later.
    for number in range(1, 61):
        task = asyncio.create_task(buy(number))
        for _ in range(number):
            await asyncio.sleep(0 if number % 2 else 0.0001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # Nothing is still held: whoever comes next need not wait for a time-out.
        async with asyncio.timeout(3), other.write(tenant) as tx:
            await tx.hold_log()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        # Every connection can be had again, at once.
        await asyncio.gather(*(_until_it_works(partial(buy, n)) for n in range(1001, 1031)))
    async with storage.read(tenant) as tx:
        bought = {pet.number for pet in await tx.find(Query(Pet))}
    page = await storage.read_log(tenant, 0, 1000)
    assert {event.payload["text"] for event in page.events} == {str(number) for number in bought}
    assert len(page.events) == page.head == len(bought)
