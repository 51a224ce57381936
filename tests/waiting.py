"""Bounded waiting for a condition: the only place where tests sleep."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

POLL_SECONDS = 0.01
#: How long a test waits for what will come, on however busy a machine; only a failure lets anything take as long.
TIMEOUT_SECONDS = 60.0


@overload
async def eventually(condition: Callable[[], Awaitable[T]], timeout: float = ...) -> T: ...


@overload
async def eventually(condition: Callable[[], T], timeout: float = ...) -> T: ...


async def eventually(condition: Callable[[], object], timeout: float = TIMEOUT_SECONDS) -> object:
    """Ask `condition`, plain or async, until it answers something true, and return that answer.

    Raises AssertionError after `timeout` seconds. What the condition raises goes through at once, so a
    condition that may fail for a while says so by returning something false.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - time.monotonic()):
                answer = await answer
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(_complaint(condition, timeout, answer))
        await asyncio.sleep(POLL_SECONDS)


async def within(awaitable: Awaitable[T], timeout: float = TIMEOUT_SECONDS) -> T:
    """Wait for something that will come.

    Not ``asyncio.wait_for``, which in Python 3.11 takes no notice of being cancelled when the result comes in the same
    turn of the loop: a reader that is cancelled then reads on, and whoever waits for its end waits for ever.

    Raises:
        TimeoutError: it did not come.
    """
    async with asyncio.timeout(timeout):
        return await awaitable


def wait_until(condition: Callable[[], T], timeout: float = TIMEOUT_SECONDS) -> T:
    """Do the same as `eventually` outside an event loop."""
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(_complaint(condition, timeout, answer))
        time.sleep(POLL_SECONDS)
    return answer


def _complaint(condition: Callable[[], object], timeout: float, answer: object) -> str:
    code = getattr(condition, "__code__", None)
    place = f"{code.co_filename}:{code.co_firstlineno}" if code else repr(condition)
    return f"still not so after {timeout:g} s: {place} answers {answer!r}"
