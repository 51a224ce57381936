"""Work that one process does at a time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from time import monotonic

import pytest

from core.hub.leases import Leaseholder, LeaseLost
from core.kernel.errors import StorageDown
from core.ports.coordination import Lease
from gateway.storage.memory import MemoryStorage
from tests.waiting import eventually

NAME = "work"


class Storage(MemoryStorage):
    """Storage that may be made to fail, or to keep whoever asks about leases waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        await self.answers.wait()
        if self.away:
            raise StorageDown("away")
        return await super().take_lease(name, holder, seconds)

    async def drop_lease(self, lease: Lease) -> None:
        await self.answers.wait()
        if self.away:
            raise StorageDown("away")
        await super().drop_lease(lease)

    @property
    def remaining(self) -> float:
        """Seconds that the lease goes on."""
        return self._leases[NAME][1] - monotonic()


class Worker:
    """A worker that wants the lease, and notes when it has it."""

    def __init__(self, storage: MemoryStorage, holder: str, *, lasts: float = 3) -> None:
        self.leases: list[Lease] = []
        self.working = False
        self.left_early: list[bool] = []
        self._storage = storage
        self.failure: BaseException | None = None
        self.leaseholder = Leaseholder(storage, NAME, holder, self._work, lasts=lasts, every=0.02)

    async def _work(self, lease: Lease) -> None:
        self.leases.append(lease)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        self.working = True
        try:
            await asyncio.Event().wait()
        finally:
            self.working = False
            if isinstance(self._storage, Storage):
                self.left_early.append(self._storage.remaining > 0)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Worker"]:
        task = asyncio.create_task(self.leaseholder.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait({task})


async def passing(seconds: float) -> None:
    """Let some time go by in which things may go wrong."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    await eventually(lambda: loop.time() > until)


async def test_one_works_and_another_takes_over_when_he_stops() -> None:
    storage = MemoryStorage()
    one, other = Worker(storage, "one", lasts=60), Worker(storage, "other", lasts=60)
    async with one.running():
        await eventually(lambda: one.working)
        async with other.running():
            await passing(0.2)
            assert (one.working, other.working) == (True, False)
        assert one.leaseholder.lease is not None
    assert not one.working
    async with other.running():
        await eventually(lambda: other.working)
        assert other.leases[0].fence > one.leases[0].fence
        assert len(one.leases) == 1


async def test_a_lease_is_prolonged_for_as_long_as_its_holder_works() -> None:
    storage = MemoryStorage()
    one = Worker(storage, "one", lasts=2)
    async with one.running():
        await eventually(lambda: one.working)
        await passing(4)
        assert one.working
        assert len(one.leases) == 1
        await one.leaseholder.confirm(one.leases[0])


async def test_work_ends_when_somebody_else_has_the_lease() -> None:
    storage = MemoryStorage()
    one = Worker(storage, "one", lasts=60)
    async with one.running():
        await eventually(lambda: one.working)
        await storage.drop_lease(one.leases[0])
        assert await storage.take_lease(NAME, "other", 60) is not None
        await eventually(lambda: not one.working)
        assert one.leaseholder.lease is None
        with pytest.raises(LeaseLost):
            await one.leaseholder.confirm(one.leases[0])


@pytest.mark.parametrize("trouble", ["it fails", "it does not answer"])
async def test_work_ends_before_the_lease_does_when_the_database_is_away_and_begins_again_when_it_is_back(
    trouble: str,
) -> None:
    storage = Storage()
    one = Worker(storage, "one")
    async with one.running():
        await eventually(lambda: one.working)
        if trouble == "it fails":
            storage.away = True
        else:
            storage.answers.clear()
        await eventually(lambda: one.left_early)
        assert one.left_early == [True]
        storage.away = False
        storage.answers.set()
        await eventually(lambda: one.working)


async def test_a_short_trouble_of_the_database_does_no_harm() -> None:
    storage = Storage()
    one = Worker(storage, "one", lasts=30)
    async with one.running():
        await eventually(lambda: one.working)
        storage.away = True
        await passing(0.1)
        storage.away = False
        assert one.working
        assert len(one.leases) == 1


async def test_a_database_that_is_away_from_the_start_is_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = Storage()
    storage.away = True
    one = Worker(storage, "one")
    async with one.running():
        await eventually(lambda: caplog.records)
        storage.away = False
        await eventually(lambda: one.working)
    # However often it was asked, it is said once.
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "work: the lease cannot be asked for: away"
    ]


@pytest.mark.parametrize("failure", [LeaseLost(), RuntimeError("broken")])
async def test_work_that_fails_is_tried_again(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    one = Worker(MemoryStorage(), "one")
    one.failure = failure
    async with one.running():
        await eventually(lambda: one.working)
    assert len(one.leases) == 2
    assert ("broken" in caplog.text) == isinstance(failure, RuntimeError)
