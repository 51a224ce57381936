"""Chores go on, whatever happens to them."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from core.kernel.clock import utc_now
from core.kernel.ids import SHARED_TENANT, new_id
from gateway.maintenance import LogStatistics, maintain, repeat
from gateway.settings import load_settings
from tests.core.stores import open_store
from tests.gateway.storage.records import an_event, announce
from tests.waiting import eventually


async def test_a_chore_that_fails_is_tried_again_and_the_log_hears_of_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway.maintenance")
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds in (2, 3, 4):
            raise ConnectionError("away")

    task = asyncio.create_task(repeat("the chore", work, 0.001))
    await eventually(lambda: rounds > 10)
    task.cancel()
    assert [record.getMessage() for record in caplog.records] == [
        "the chore failed and will be tried again: ConnectionError('away')",
        "the chore works again after 3 failures",
    ]


async def test_the_log_is_kept_for_a_consumer_that_is_behind_but_not_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load_settings(log_retention_days=1, log_retention_events=1)
    async with open_store(tmp_path) as store:
        consumer, figures, now = new_id(), LogStatistics(), store.clock()
        await store.storage.enrol(consumer)
        ages = (10, 3.5, 2.9, 2, 0)
        await announce(
            store.storage, *(an_event(SHARED_TENANT, at=now - timedelta(days=age)) for age in ages)
        )

        async def floor() -> int:
            return (await store.storage.read_log(SHARED_TENANT, 0, 1)).floor

        keeping = asyncio.create_task(
            maintain(store, settings, consumers=[consumer], figures=figures, tidy=0.01)
        )
        await eventually(lambda: _is(floor(), 2))
        await eventually(lambda: figures.held == 2)
        assert (figures.counters.trimmed, figures.counters.unread) == (2, 2)
        lease = await store.storage.take_lease(consumer, "me", 60)
        assert lease is not None
        await store.storage.advance(lease, consumer, SHARED_TENANT, 5)
        await eventually(lambda: _is(floor(), 4))
        await eventually(lambda: figures.held == 0)
        keeping.cancel()
        await asyncio.wait({keeping})
    assert figures.counters.unread == 2
    (complaint,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert complaint.getMessage() == f"2 events left the log before {consumer} had read them"


async def test_a_clock_that_is_wrong_takes_only_what_is_old_by_the_log_s_own_time(tmp_path: Path) -> None:
    settings = load_settings(log_retention_days=1)
    wrong = timedelta()
    async with open_store(tmp_path, clock=lambda: utc_now() + wrong) as store:
        now = store.clock()
        ages = (3, 2, 0.5, 0)
        await announce(
            store.storage, *(an_event(SHARED_TENANT, at=now - timedelta(days=age)) for age in ages)
        )
        wrong = timedelta(days=365)
        figures = LogStatistics()
        keeping = asyncio.create_task(maintain(store, settings, figures=figures, tidy=0.01))
        await eventually(lambda: figures.counters.trimmed == 2)
        rounds = 0
        sweep = store.storage.sweep

        async def counted(now: datetime) -> Mapping[str, int]:
            nonlocal rounds
            rounds += 1
            return await sweep(now)

        store.storage.sweep = counted  # type: ignore[method-assign]
        await eventually(lambda: rounds > 5)
        keeping.cancel()
        await asyncio.wait({keeping})
        assert figures.counters.trimmed == 2


async def _is(value: Awaitable[int], wanted: int) -> bool:
    return await value == wanted
