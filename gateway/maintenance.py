"""What has to be done again and again while a node serves."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from core.store import Store
from gateway.settings import Settings

log = logging.getLogger(__name__)

_LONGEST_PAUSE = 30.0


async def maintain(store: Store, settings: Settings, *, tend: float = 1.0, tidy: float = 60.0) -> None:
    """Keep a store in order until cancelled; ``tend`` and ``tidy`` are seconds between two rounds.

    Every node does it: to do it twice changes nothing.
    """
    age = timedelta(days=settings.log_retention_days)

    async def trim_and_sweep() -> None:
        now = store.clock()
        trimmed = await store.storage.trim_log(now - age, settings.log_retention_events)
        if trimmed.events:
            log.info("events left the log", extra={"events": trimmed.events})
        await store.storage.sweep(now)

    async with asyncio.TaskGroup() as group:
        group.create_task(repeat("tending the store", store.tend, tend), name="tend")
        group.create_task(repeat("tidying the storage", trim_and_sweep, tidy), name="tidy")


async def repeat(what: str, work: Callable[[], Awaitable[None]], period: float) -> None:
    """Do something for ever. While it fails the pauses grow, and the log hears of the first failure and of the end."""
    failures = 0
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the next round may go well
            failures += 1
            if failures == 1:
                log.warning("%s failed and will be tried again: %r", what, error)
        else:
            if failures:
                log.info("%s works again after %d failures", what, failures)
            failures = 0
        await asyncio.sleep(min(_LONGEST_PAUSE, period * 2 ** min(failures, 5)) if failures else period)
