"""The garbage collector: what outlives a full collection is spared the next one, and looked at again some day."""

import asyncio
import gc
import weakref

from gateway import garbage
from tests.waiting import eventually


class Node:
    """A part of a cycle."""

    def __init__(self) -> None:
        self.itself = self


async def test_what_outlives_a_full_collection_is_not_looked_at_again() -> None:
    with garbage.sparing_what_stays():
        stays = [Node() for _ in range(1_000)]
        assert any(one is stays for one in gc.get_objects())
        spared = gc.get_freeze_count()
        gc.collect()
        assert gc.get_freeze_count() >= spared + 1_000
        assert not any(one is stays for one in gc.get_objects())


async def test_cycles_among_what_is_spared_are_found_once_there_is_twice_as_much() -> None:
    with garbage.sparing_what_stays():
        cycle = Node()
        freed = weakref.ref(cycle)
        gc.collect()
        del cycle
        gc.collect()
        assert freed() is not None
        there = gc.get_freeze_count()
        stays: list[object] = []
        while len(stays) < there:
            stays += [[] for _ in range(there // 4)]
            gc.collect()
        await eventually(lambda: freed() is None)
        assert gc.get_freeze_count() >= 2 * there


async def test_a_new_cycle_is_collected_as_ever() -> None:
    with garbage.sparing_what_stays():
        freed = weakref.ref(Node())
        gc.collect()
        assert freed() is None


async def test_everything_is_as_before_in_the_end() -> None:
    before = gc.get_threshold(), list(gc.callbacks)
    with garbage.sparing_what_stays():
        await asyncio.sleep(0)
    assert (gc.get_threshold(), gc.callbacks) == before
    assert gc.get_freeze_count() == 0
