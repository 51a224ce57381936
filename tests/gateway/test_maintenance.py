"""Chores go on, whatever happens to them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from core.kernel.clock import utc_now
from core.kernel.ids import SHARED_TENANT, new_id
from core.models import examples
from core.services.orders import PLACE_ORDER
from core.services.pets import CREATE_PET
from gateway.maintenance import LogStatistics, maintain, repeat
from gateway.settings import load_settings
from tests.core.stores import UNLIMITED, Shop, open_store
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


async def test_what_nobody_needs_is_removed_and_counted(tmp_path: Path) -> None:
    ahead = timedelta()
    settings = load_settings(tenant_idle_days=40, unpaid_order_minutes=60)
    limits = replace(UNLIMITED, tenant_idle_days=40)
    async with open_store(tmp_path, limits=limits, clock=lambda: utc_now() + ahead) as store:
        shop, swept = Shop(store), Counter[str]()
        pet = await shop.call(CREATE_PET, body=examples.PET_DRAFT)
        await shop.call(PLACE_ORDER, shop.visitor, {"petId": pet.id}, key="k")
        await store.images.put(SHARED_TENANT, new_id(), b"lost")
        chores = asyncio.create_task(maintain(store, settings, swept=swept, tidy=0.01, inspect=0.01))
        await eventually(lambda: swept["images"] == 1)
        assert set(+swept) == {"images"}
        ahead = timedelta(days=40, hours=1)
        await eventually(lambda: swept["unpaid_orders"] == swept["idempotency"] == 1)
        ahead += timedelta(days=1, hours=1)
        await eventually(lambda: swept["tenants"] == 1)
        chores.cancel()
        await asyncio.wait({chores})
        assert set(+swept) == {"images", "unpaid_orders", "idempotency", "tenants"}


async def _is(value: Awaitable[int], wanted: int) -> bool:
    return await value == wanted
