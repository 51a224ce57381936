"""Durable consumers read every tenant's log, each event at least once and in order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from core.hub.consumers import Consumer
from core.hub.leases import LeaseLost
from core.kernel.errors import StorageDown
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.ports.coordination import Lag, Lease
from gateway.storage.memory import MemoryStorage
from tests.core.hub.world import TrackedStorage, draft
from tests.waiting import TIMEOUT_SECONDS, eventually

NAME = "reader"
LONG = 600.0


class Broken(Exception):
    """The handler cannot go on."""


@dataclass
class Reader:
    """A consumer and what it handed over."""

    storage: TrackedStorage
    consumer: Consumer
    lease: Lease
    seen: dict[TenantId, list[int]] = field(default_factory=dict)
    pages: list[int] = field(default_factory=list)
    failure: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    busy: int = 0
    busiest: int = 0

    async def handle(self, tenant: TenantId, events: Sequence[Event]) -> None:
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await self.gate.wait()
        finally:
            self.busy -= 1
        self.pages.append(len(events))
        self.seen.setdefault(tenant, []).extend(event.sequence for event in events)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(self.consumer.run(self.lease, self.handle))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task})


def a_tenant() -> TenantId:
    return TenantId(str(uuid4()))


async def a_reader(storage: TrackedStorage, **options: float) -> Reader:
    lease = await storage.take_lease(NAME, "me", LONG)
    assert lease is not None
    consumer = Consumer(storage, NAME, **options)  # type: ignore[arg-type]
    await consumer.enrol()
    reader = Reader(storage, consumer, lease)
    reader.gate.set()
    return reader


async def test_what_happened_before_it_was_known_is_not_read_and_all_that_follows_is() -> None:
    storage, tenant, later = TrackedStorage(), a_tenant(), a_tenant()
    await storage.append(*(draft("t", tenant=tenant) for _ in range(3)))
    reader = await a_reader(storage, poll=0.05)
    await storage.append(draft("t", tenant=tenant))
    async with reader.running():
        await storage.append(draft("t", tenant=later), draft("t", tenant=later))
        await eventually(lambda: reader.seen == {tenant: [4], later: [1, 2]})
    assert reader.consumer.statistics().counters.consumed == 3


async def test_it_is_woken_at_once_and_looks_by_itself() -> None:
    storage, tenant = TrackedStorage(), a_tenant()
    reader = await a_reader(storage, poll=LONG)
    async with reader.running():
        await eventually(lambda: reader.consumer.statistics().behind == 0)
        events = await storage.append(draft("t", tenant=tenant))
        reader.consumer.on_events(tenant, events)
        await eventually(lambda: reader.seen == {tenant: [1]})
        await storage.append(draft("t", tenant=tenant))
        reader.consumer.on_lost(None)
        await eventually(lambda: reader.seen == {tenant: [1, 2]})


async def test_pages_are_bounded_and_tenants_take_turns() -> None:
    storage = TrackedStorage()
    reader = await a_reader(storage, page=10, tenants=3, poll=0.05)
    tenants = [a_tenant() for _ in range(10)]
    for tenant in tenants:
        await storage.append(*(draft("t", tenant=tenant) for _ in range(25)))
    async with reader.running():
        await eventually(lambda: sum(map(len, reader.seen.values())) == 250)
    assert reader.seen == {tenant: list(range(1, 26)) for tenant in tenants}
    assert max(reader.pages) == 10
    assert reader.busiest <= 3


async def test_what_was_with_the_handler_when_it_ended_is_read_again_and_nothing_before_it() -> None:
    storage, tenant = TrackedStorage(), a_tenant()
    reader = await a_reader(storage, page=4, poll=0.05)
    await storage.append(*(draft("t", tenant=tenant) for _ in range(10)))
    stuck = asyncio.Event()

    async def handle(tenant: TenantId, events: Sequence[Event]) -> None:
        await reader.handle(tenant, events)
        if len(reader.pages) == 2:
            stuck.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(reader.consumer.run(reader.lease, handle))
    await stuck.wait()
    task.cancel()
    await asyncio.wait({task})
    async with reader.running():
        await eventually(lambda: reader.seen[tenant][-1] == 10)
    assert reader.seen[tenant] == [1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7, 8, 9, 10]


async def test_a_handler_that_fails_ends_it_without_a_step_forward_and_without_harm_to_other_tenants() -> (
    None
):
    storage, tenants = TrackedStorage(), [a_tenant(), a_tenant()]
    reader = await a_reader(storage, poll=0.05)
    for tenant in tenants:
        await storage.append(draft("t", tenant=tenant))
    reader.failure = Broken()
    async with reader.running() as task:
        await asyncio.wait({task}, timeout=TIMEOUT_SECONDS)
        assert isinstance(task.exception(), Broken)
    assert len(await storage.lagging(NAME, "", 10)) == 1
    async with reader.running():
        await eventually(lambda: _all_read(storage))
    assert sorted(map(len, reader.seen.values())) == [1, 2]


async def _all_read(storage: MemoryStorage) -> bool:
    return await storage.lagging(NAME, "", 10) == []


async def test_who_lost_the_lease_stops_and_leaves_the_position_alone() -> None:
    storage, tenant = TrackedStorage(), a_tenant()
    reader = await a_reader(storage, poll=0.05)
    await storage.append(draft("t", tenant=tenant))
    await storage.drop_lease(reader.lease)
    assert await storage.take_lease(NAME, "you", LONG) is not None
    async with reader.running() as task:
        await asyncio.wait({task}, timeout=TIMEOUT_SECONDS)
        assert isinstance(task.exception(), LeaseLost)
    assert await storage.lagging(NAME, "", 10) == [Lag(tenant, 0, 1)]


async def test_events_that_left_the_log_unread_are_told_of_and_the_rest_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage, tenant, empty = TrackedStorage(), a_tenant(), a_tenant()
    reader = await a_reader(storage, poll=0.05)
    await storage.append(*(draft("t", tenant=tenant) for _ in range(5)))
    await storage.append(draft("t", tenant=empty))
    await storage.trim_log(None, 2)
    await storage.trim_log(draft("t").timestamp, None)
    await storage.append(draft("t", tenant=tenant))
    async with reader.running():
        await eventually(lambda: reader.seen == {tenant: [6]})
        await eventually(lambda: _all_read(storage))
    assert reader.consumer.statistics().counters.lost == 6
    assert {record.getMessage() for record in caplog.records if record.levelname == "ERROR"} == {
        "reader: 5 events had left the log before they could be read",
        "reader: 1 events had left the log before they could be read",
    }


async def test_while_the_storage_is_away_it_waits(caplog: pytest.LogCaptureFixture) -> None:
    storage, tenant = TrackedStorage(), a_tenant()
    reader = await a_reader(storage, poll=0.02)
    present, away = storage.lagging, True

    async def lagging(consumer: str, behind: str, limit: int) -> list[Lag]:
        if away:
            raise StorageDown("away")
        return await present(consumer, behind, limit)

    storage.lagging = lagging  # type: ignore[method-assign]
    await storage.append(draft("t", tenant=tenant))
    async with reader.running():
        await eventually(lambda: caplog.records)
        away = False
        await eventually(lambda: reader.seen == {tenant: [1]})
    assert len(caplog.records) == 1
