"""Time that passes when a test says so: what is due later happens now, however slow the machine is."""

import asyncio
import time
from datetime import timedelta

from core.kernel.clock import Clock, utc_now


def skip(seconds: float) -> None:
    """Let the clock of the running loop, which ends with the test, jump ahead.

    Time-outs of the test's own jump as well, those that are running.
    """
    loop = asyncio.get_running_loop()
    # Any other, such as uvloop's, has a clock of its own that nobody can set.
    assert isinstance(loop, asyncio.BaseEventLoop)
    before = loop.time
    vars(loop)["time"] = lambda: before() + seconds


def clock_of_loop() -> Clock:
    """The time of day, which jumps ahead with the clock of the running loop."""
    loop = asyncio.get_running_loop()
    return lambda: utc_now() + timedelta(seconds=loop.time() - time.monotonic())
