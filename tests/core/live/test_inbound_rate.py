"""How fast one client is read; time passes when the tests say so."""

import asyncio
from collections.abc import Callable

import pytest

from core.kernel.errors import Close, CloseReason
from core.kernel.limits import Limits
from core.live.inbound_rate import InboundRate

LIMITS = Limits(message_burst=100, messages_per_second=20)


def skip(seconds: float) -> None:
    """Let time pass."""
    loop = asyncio.get_running_loop()
    now = loop.time() + seconds
    vars(loop)["time"] = lambda: now


def read(rate: InboundRate, count: int, *what: Callable[[], None]) -> float:
    """Read so much as soon as it may be read; gives the seconds that this takes."""
    waited = 0.0
    for _ in range(count):
        delay = rate.delay_seconds
        waited += delay
        skip(delay)
        rate.count()
        for note in what:
            note()
    return waited


async def test_a_burst_is_read_at_once_and_the_rest_more_slowly() -> None:
    rate = InboundRate(LIMITS)
    assert read(rate, 100) == 0
    assert read(rate, 200, rate.message) == pytest.approx(10, abs=0.5)


async def test_the_burst_is_free_again_after_a_while() -> None:
    rate = InboundRate(LIMITS)
    read(rate, 100)
    skip(5)
    assert read(rate, 100) == 0
    skip(2)
    assert read(rate, 40) == pytest.approx(0, abs=0.1)
    assert read(rate, 20) == pytest.approx(1, abs=0.2)


async def test_whoever_only_floods_is_ended() -> None:
    rate, ends = InboundRate(LIMITS), list[Close]()
    rate.on_flood = ends.append
    read(rate, 199)
    assert ends == []
    read(rate, 2)
    assert ends[0].reason is CloseReason.TOO_MANY_MESSAGES


async def test_messages_are_no_flood_however_many() -> None:
    rate, ends = InboundRate(LIMITS), list[Close]()
    rate.on_flood = ends.append
    for _ in range(20):
        read(rate, 90)  # typed at by a machine, or pinged
        read(rate, 1, rate.message)
    assert ends == []


async def test_what_comes_slowly_is_no_flood() -> None:
    rate, ends = InboundRate(LIMITS), list[Close]()
    rate.on_flood = ends.append
    for _ in range(1000):
        rate.count()
        skip(0.051)
    assert ends == []


@pytest.mark.parametrize("lifted", [False, True])
async def test_no_limit_is_none(lifted: bool) -> None:
    rate, ends = InboundRate(LIMITS if lifted else Limits(messages_per_second=0)), list[Close]()
    rate.on_flood = ends.append
    if lifted:
        read(rate, 150)
        rate.lift()
    assert read(rate, 1000) == 0
    assert ends == []


async def test_a_burst_lets_others_in_between() -> None:
    rate = InboundRate(LIMITS)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(50):
        await rate.ready()
        rate.count()
    assert turns >= 50
    task.cancel()
