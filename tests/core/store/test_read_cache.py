"""The read cache never shows what an event has overtaken."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import pytest

from core.kernel.clock import utc_now
from core.kernel.events import PUBLIC, Event
from core.kernel.ids import SHARED_TENANT, TenantId, new_id
from core.kernel.model import Resource
from core.store.read_cache import ReadCache

T = SHARED_TENANT


class Thing(Resource):
    collection: ClassVar[str | None] = "pets"
    version: int = 0


class Nameless(Resource):
    pass


class Heads:
    """As much of a storage as the cache asks for: where the logs end."""

    def __init__(self) -> None:
        self.known: dict[TenantId, int] = {}

    async def heads(self, tenants: Sequence[TenantId]) -> dict[TenantId, int]:
        return {tenant: self.known.get(tenant, 0) for tenant in tenants}


class Shelf:
    """Where things are read from; a read waits for ``gate``."""

    def __init__(self) -> None:
        self.version: int | None = 1
        self.reads = 0
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self) -> Thing | None:
        self.reads += 1
        self.asked.set()
        version = self.version
        await self.gate.wait()
        return None if version is None else Thing(id="a", tenant_id=T, version=version)


def event(sequence: int, topic: str = "pets/a") -> Event:
    return Event(new_id(), "pet.updated", T, topic, utc_now(), PUBLIC, b"{}", sequence=sequence, epoch=1)


@pytest.fixture
def heads() -> Heads:
    return Heads()


@pytest.fixture
def cache(heads: Heads) -> ReadCache:
    return ReadCache(heads, per_tenant=3, tenants=2)  # type: ignore[arg-type]


async def test_a_resource_is_loaded_once_and_then_served_from_memory(cache: ReadCache) -> None:
    shelf = Shelf()
    first = await cache.read(T, Thing, "a", shelf.load)
    assert cache.get(T, Thing, "a") is first
    assert shelf.reads == 1
    assert cache.statistics().values == 1


async def test_an_event_of_the_resource_makes_the_cache_forget_it(cache: ReadCache) -> None:
    shelf = Shelf()
    await cache.read(T, Thing, "a", shelf.load)
    cache.on_events(T, [event(1, "pets/b")])
    assert cache.get(T, Thing, "a") is not None
    cache.on_events(T, [event(2)])
    assert cache.get(T, Thing, "a") is None


async def test_a_value_read_before_an_event_is_not_kept_after_it(cache: ReadCache) -> None:
    shelf = Shelf()
    shelf.gate.clear()
    reading = asyncio.create_task(cache.read(T, Thing, "a", shelf.load))
    await shelf.asked.wait()
    cache.on_events(T, [event(1)])
    shelf.gate.set()
    assert await reading == Thing(id="a", tenant_id=T, version=1)
    assert cache.get(T, Thing, "a") is None


async def test_of_two_reads_that_an_event_parts_only_the_later_is_kept(cache: ReadCache) -> None:
    early, late = Shelf(), Shelf()
    early.gate.clear()
    late.version = 2
    late.gate.clear()
    first = asyncio.create_task(cache.read(T, Thing, "a", early.load))
    await early.asked.wait()
    cache.on_events(T, [event(1)])
    second = asyncio.create_task(cache.read(T, Thing, "a", late.load))
    await late.asked.wait()
    late.gate.set()
    await second
    early.gate.set()
    await first
    kept = cache.get(T, Thing, "a")
    assert kept is not None
    assert kept.version == 2


async def test_a_missing_resource_is_never_kept(cache: ReadCache) -> None:
    shelf = Shelf()
    shelf.version = None
    assert await cache.read(T, Thing, "a", shelf.load) is None
    shelf.version = 1
    assert await cache.read(T, Thing, "a", shelf.load) is not None


async def test_a_failed_read_leaves_nothing_behind(cache: ReadCache) -> None:
    async def fail() -> Thing | None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await cache.read(T, Thing, "a", fail)
    assert cache.get(T, Thing, "a") is None
    assert await cache.read(T, Thing, "a", Shelf().load) is not None


async def test_a_resource_whose_changes_nobody_announces_is_never_kept(cache: ReadCache) -> None:
    async def load() -> Nameless | None:
        return Nameless(id="a", tenant_id=T)

    assert await cache.read(T, Nameless, "a", load) is not None
    assert cache.get(T, Nameless, "a") is None


async def test_commits_handed_over_out_of_order_cost_the_other_resources_nothing(
    cache: ReadCache, heads: Heads
) -> None:
    await cache.read(T, Thing, "a", Shelf().load)
    cache.on_events(T, [event(2, "pets/b")])
    cache.on_events(T, [event(1, "pets/c")])
    heads.known[T] = 2
    for _ in range(3):
        await cache.verify()
    assert cache.get(T, Thing, "a") is not None


async def test_an_event_that_never_comes_makes_the_cache_forget_the_tenant_at_the_second_look(
    cache: ReadCache, heads: Heads
) -> None:
    await cache.read(T, Thing, "a", Shelf().load)
    cache.on_events(T, [event(2, "pets/b")])
    heads.known[T] = 2
    await cache.verify()
    assert cache.get(T, Thing, "a") is not None
    await cache.verify()
    assert cache.get(T, Thing, "a") is None


async def test_too_many_events_behind_a_hole_count_as_a_loss(cache: ReadCache) -> None:
    await cache.read(T, Thing, "a", Shelf().load)
    cache.on_events(T, [event(sequence, "pets/b") for sequence in range(2, 1100)])
    assert cache.get(T, Thing, "a") is None


async def test_what_is_kept_is_bounded_in_each_tenant_and_in_tenants(cache: ReadCache) -> None:
    for name in "abcde":
        await cache.read(T, Thing, name, Shelf().load)
    assert cache.statistics().values == 3
    for _ in range(4):
        await cache.read(TenantId(new_id()), Thing, "a", Shelf().load)
    assert cache.statistics().tenants == 2


async def test_strangers_who_read_in_many_tenants_push_out_no_busy_one(cache: ReadCache) -> None:
    shelf = Shelf()
    await cache.read(T, Thing, "a", shelf.load)
    for number in range(20):
        assert cache.get(T, Thing, "a") is not None
        await cache.read(TenantId(str(number)), Thing, "a", shelf.load)
    assert cache.statistics().tenants == 2
    shelf.version = None
    for number in range(20):
        await cache.read(TenantId(f"made up {number}"), Thing, "a", shelf.load)
        assert cache.get(T, Thing, "a") is not None
    assert cache.statistics().tenants == 1


async def test_a_tenant_without_a_log_is_forgotten_when_it_had_one(cache: ReadCache, heads: Heads) -> None:
    heads.known[T] = 3
    await cache.read(T, Thing, "a", Shelf().load)
    await cache.verify()
    assert cache.get(T, Thing, "a") is not None
    del heads.known[T]
    await cache.verify()
    assert cache.get(T, Thing, "a") is None


async def test_a_loss_of_all_empties_the_cache(cache: ReadCache) -> None:
    await cache.read(T, Thing, "a", Shelf().load)
    cache.on_lost(None)
    assert cache.get(T, Thing, "a") is None
    cache.on_events(T, [event(1)])
    cache.on_lost(T)


# --- what was found in a collection ---


class Search:
    """What finds things; it waits for ``gate``."""

    def __init__(self) -> None:
        self.found = ["a"]
        self.searches = 0
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def find(self) -> list[str]:
        self.searches += 1
        self.asked.set()
        found = list(self.found)
        await self.gate.wait()
        return found


async def test_what_was_sought_before_is_found_in_memory_until_anything_there_changes(
    cache: ReadCache,
) -> None:
    search = Search()
    for _ in range(2):
        assert await cache.recall(T, "pets", "small", search.find) == ["a"]
    assert search.searches == 1
    assert await cache.recall(T, "pets", "large", search.find) == ["a"]
    assert search.searches == 2
    cache.on_events(T, [event(1, "orders/a/status")])
    await cache.recall(T, "pets", "small", search.find)
    assert search.searches == 2
    search.found = []
    cache.on_events(T, [event(2, "pets/other/status")])
    assert await cache.recall(T, "pets", "small", search.find) == []
    assert search.searches == 3


async def test_what_was_found_before_an_event_is_not_kept_after_it(cache: ReadCache) -> None:
    search = Search()
    search.gate.clear()
    seeking = asyncio.create_task(cache.recall(T, "pets", "small", search.find))
    await search.asked.wait()
    search.found = ["b"]
    cache.on_events(T, [event(1, "pets/b")])
    search.gate.set()
    assert await seeking == ["a"]
    assert await cache.recall(T, "pets", "small", search.find) == ["b"]


async def test_a_loss_makes_it_seek_again_and_findings_are_bounded(cache: ReadCache) -> None:
    search = Search()
    await cache.recall(T, "pets", "small", search.find)
    cache.on_lost(T)
    await cache.recall(T, "pets", "small", search.find)
    assert search.searches == 2
    for number in range(100):
        await cache.recall(T, "pets", str(number), search.find)
    await cache.recall(T, "pets", "small", search.find)
    assert search.searches == 103


async def test_one_looks_for_all_who_seek_the_same_and_the_others_go_on_without_it(cache: ReadCache) -> None:
    search = Search()
    search.gate.clear()
    first, *others = [asyncio.create_task(cache.recall(T, "pets", "small", search.find)) for _ in range(3)]
    await search.asked.wait()
    assert search.searches == 1
    first.cancel()
    search.gate.set()
    assert await asyncio.gather(*others) == [["a"], ["a"]]
    assert search.searches in (2, 3)
    assert await cache.recall(T, "pets", "small", search.find) == ["a"]
    search.gate.clear()
    cache.on_events(T, [event(1)])
    old = asyncio.create_task(cache.recall(T, "pets", "small", search.find))
    search.asked.clear()
    await search.asked.wait()
    search.found = ["b"]
    cache.on_events(T, [event(2)])
    search.gate.set()
    assert await cache.recall(T, "pets", "small", search.find) == ["b"]
    assert await old == ["a"]
