"""Periodic tasks of a serving node."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from core.kernel.backoff import backoff_seconds
from core.services.cancelled_orders import CancelledOrders
from core.services.idle_tenants import note_seen, sweep_idle
from core.services.orphan_images import OrphanImages
from core.services.payments import settle_abandoned
from core.services.unpaid_orders import cancel_unpaid
from core.store.store import Store
from gateway.settings import Settings

log = logging.getLogger(__name__)

_LONGEST_PAUSE_SECONDS = 30.0
#: An event stays for a durable consumer that has yet to read it, but no longer than so many times its age limit.
_HELD_AGE_FACTOR = 3
#: Of a tenant's events no larger share leaves the log for its age in one round.
_TRIMMED_SHARE = 0.1


@dataclass(slots=True)
class Trims:
    """Events that left the log since the process started; ``unread`` of them a durable consumer will never see."""

    trimmed: int = 0
    unread: int = 0


@dataclass(slots=True)
class LogStatistics:
    """``held``: events that would have left the log, but are kept for a durable consumer that is behind."""

    held: int = 0
    counters: Trims = field(default_factory=Trims)


async def maintain(
    store: Store,
    settings: Settings,
    *,
    consumers: Sequence[str] = (),
    figures: LogStatistics | None = None,
    swept: Counter[str] | None = None,
    tend: float = 1.0,
    tidy: float = 60.0,
    inspect: float = 3600.0,
) -> None:
    """Run the periodic tasks until cancelled; ``tend``, ``tidy`` and ``inspect`` are the seconds between two rounds.

    ``swept`` counts what was removed, by where it was.
    Every node runs them: running them twice changes nothing. Events are held for the ``consumers`` given, those that
    the settings enable: a disabled consumer holds nothing.
    """
    age = timedelta(days=settings.log_retention_days)
    figures = LogStatistics() if figures is None else figures
    swept = Counter() if swept is None else swept
    orphans, cancelled = OrphanImages(store), CancelledOrders(store)

    async def trim_and_sweep() -> None:
        now = store.clock()
        # By the log's own time, and only a part of it at once: a clock that is wrong for a while must not take all.
        newest = min(now, await store.storage.newest_time() or now)
        trimmed = await store.storage.trim_log(
            newest - age,
            settings.log_retention_events,
            share=_TRIMMED_SHARE,
            held_by=consumers,
            held_since=newest - _HELD_AGE_FACTOR * age,
        )
        figures.held = trimmed.held
        figures.counters.trimmed += trimmed.events
        figures.counters.unread += trimmed.unread
        if trimmed.events:
            log.info("events left the log", extra={"events": trimmed.events})
        if trimmed.unread:
            log.error(
                "%d events left the log before %s had read them", trimmed.unread, " and ".join(consumers)
            )
        swept.update(await store.storage.sweep(now))

    async def settle() -> None:
        await settle_abandoned(store)

    async def cancel_orders() -> None:
        if settings.unpaid_order_minutes:
            minutes = timedelta(minutes=settings.unpaid_order_minutes)
            swept["unpaid_orders"] += await cancel_unpaid(store, minutes)

    async def remove_cancelled() -> None:
        if settings.cancelled_order_days:
            swept["orders"] += await cancelled.sweep(timedelta(days=settings.cancelled_order_days))

    async def mind_tenants() -> None:
        await note_seen(store)
        if settings.tenant_idle_days:
            swept["tenants"] += await sweep_idle(store, timedelta(days=settings.tenant_idle_days))

    async def remove_orphans() -> None:
        swept["images"] += await orphans.sweep()

    async with asyncio.TaskGroup() as group:
        group.create_task(repeat("tending the store", store.tend, tend), name="tend")
        group.create_task(repeat("tidying the storage", trim_and_sweep, tidy), name="tidy")
        group.create_task(repeat("settling payments", settle, tidy), name="payments")
        group.create_task(repeat("cancelling unpaid orders", cancel_orders, tidy), name="unpaid orders")
        group.create_task(repeat("minding idle tenants", mind_tenants, tidy), name="idle tenants")
        group.create_task(
            repeat("removing cancelled orders", remove_cancelled, inspect), name="cancelled orders"
        )
        group.create_task(repeat("looking for orphan images", remove_orphans, inspect), name="orphan images")


async def repeat(what: str, work: Callable[[], Awaitable[None]], period: float) -> None:
    """Run work for ever. While it fails the pauses grow; the first failure and the recovery are logged."""
    failures = 0
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever the error is, the next round may succeed
            failures += 1
            if failures == 1:
                log.warning("%s failed and will be tried again: %r", what, error)
        else:
            if failures:
                log.info("%s works again after %d failures", what, failures)
            failures = 0
        pause = period
        if failures:
            pause = backoff_seconds(failures, first=2 * period, longest=_LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(pause)
