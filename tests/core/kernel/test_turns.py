"""Turns at what only a few can use at once."""

import asyncio

import pytest

from core.kernel.turns import FairTurns, TooManyWait
from tests.waiting import eventually


class Users:
    """Those who use the places, and those who have."""

    def __init__(self, turns: FairTurns) -> None:
        self.turns = turns
        self.at_once = 0
        self.done: list[str] = []

    async def use(self, name: str) -> None:
        async with self.turns.turn(name):
            self.at_once += 1
            assert self.at_once <= 2
            for _ in range(3):
                await asyncio.sleep(0)
            self.at_once -= 1
            self.done.append(name)


async def test_whoever_asks_for_many_delays_the_others_by_one_each() -> None:
    users = Users(FairTurns(2, most=100, most_of_one=100))
    await asyncio.gather(*(users.use("flood") for _ in range(20)), users.use("one"), users.use("other"))
    assert {"one", "other"} <= set(users.done[:5])
    assert users.turns.free == 2


async def test_a_flood_is_refused_where_others_may_wait() -> None:
    users = Users(FairTurns(2, most=5, most_of_one=3))
    names = ["flood"] * 7 + ["one", "other", "late"]
    results = await asyncio.gather(*(users.use(name) for name in names), return_exceptions=True)
    refused = [name for name, result in zip(names, results, strict=True) if isinstance(result, TooManyWait)]
    assert refused == ["flood", "flood", "late"]


async def test_who_leaves_while_waiting_holds_no_place() -> None:
    users = Users(FairTurns(2, most=100, most_of_one=100))
    tasks = [asyncio.create_task(users.use("a")) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks[2:6]:
        task.cancel()
    await asyncio.wait(tasks)
    assert len(users.done) == 6
    assert users.turns.free == 2


async def test_a_failure_frees_the_place() -> None:
    turns = FairTurns(1, most=1, most_of_one=1)
    with pytest.raises(ZeroDivisionError):
        async with turns.turn("a"):
            raise ZeroDivisionError
    await eventually(lambda: turns.free == 1)
