"""Turns at what only a few can use at once, and slices of the loop."""

import asyncio
from functools import partial

import pytest

from core.kernel.turns import FairTurns, Slices, TooManyWait
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


async def test_slices_of_many_take_turns_and_each_lets_others_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.kernel.turns._TURN_SECONDS", 0.0)
    slices, done = Slices(), list[str]()

    def work(name: str, times: int) -> None:
        done.append(name)
        if times > 1:
            slices.later(partial(work, name, times - 1))

    assert [slices.over, slices.over] == [False, True]
    for name in "abc":
        slices.later(partial(work, name, 3))
    turns = 0
    while len(done) < 9:
        before, turns = len(done), turns + 1
        await asyncio.sleep(0)
        assert len(done) <= before + 1
    assert done == list("abcabcabc")
    assert turns >= 9


async def test_what_waits_for_a_later_turn_gets_it_where_none_was_begun() -> None:
    slices, done = Slices(), list[int]()
    slices.later(lambda: done.append(1))
    assert not done
    await eventually(lambda: done == [1])


async def test_first_pieces_go_before_further_ones_which_go_on_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("core.kernel.turns._TURN_SECONDS", 0.0)
    slices, done = Slices(), list[str]()

    def go_on() -> None:
        done.append("further")
        slices.later(go_on)

    def begin(count: int) -> None:
        done.append("first")
        if count > 1:
            slices.later(partial(begin, count - 1), first=True)

    slices.later(go_on)
    slices.later(partial(begin, 5), first=True)
    await eventually(lambda: done.count("first") == 5)
    assert done[:10] == ["first", "further"] * 5


async def test_who_waits_for_a_turn_gets_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.kernel.turns._TURN_SECONDS", 0.0)
    slices, done = Slices(), list[int]()

    async def work(number: int) -> None:
        await slices.begun()
        done.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(10)]
    while len(done) < 10:
        before = len(done)
        await asyncio.sleep(0)
        assert len(done) <= before + 2
    assert done == list(range(10))
    await asyncio.gather(*tasks)
