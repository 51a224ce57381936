"""What a storage keeps of a tenant whose log was forgotten: nothing, but for where later logs begin.

In databases of their own, since that holds for the logs of all tenants.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.kernel.ids import new_id
from core.ports.coordination import Lag
from core.ports.log import LogPage
from core.ports.storage import Storage
from gateway.storage.memory import MemoryStorage
from gateway.storage.migration import migrate
from gateway.storage.opening import open_storage
from tests.gateway.storage.records import a_tenant, an_event, announce


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def apart(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """A storage that nobody else uses."""
    if request.param == "memory":
        yield MemoryStorage()
        return
    sqlite = f"sqlite:///{tmp_path}/store.db"
    url = sqlite if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
    await migrate(url)
    storage = open_storage(url)
    yield storage
    await storage.close()


async def test_whatever_begins_behind_a_forgotten_log_is_no_place_of_it(apart: Storage) -> None:
    storage = apart
    tenant, young, consumer = a_tenant(), a_tenant(), new_id()
    await storage.enrol(consumer)
    await announce(storage, *(an_event(tenant) for _ in range(7)))
    async with storage.write(tenant) as tx:
        await tx.next_number("users")
        await tx.forget_log()
    assert await storage.read_log(tenant, 0, 100) == LogPage([], 0, 0)
    assert await storage.heads([tenant]) == {tenant: 0}
    async with storage.write(tenant) as tx:
        assert await tx.next_number("users") == 1
    for begun in (tenant, young):
        async with storage.write(begun) as tx:
            floor = await tx.hold_log()
            await tx.append([an_event(begun).at(1, floor + 1)])
        assert floor >= 7
        page = await storage.read_log(begun, 0, 100)
        assert ([event.sequence for event in page.events], page.floor, page.head) == (
            [floor + 1], floor, floor + 1,
        )  # fmt: skip
        # What was forgotten is not missed by those who read every log.
        lags = await storage.lagging(consumer, "", 100_000)
        assert [lag for lag in lags if lag.tenant == begun] == [Lag(begun, floor, floor + 1)]


async def test_forgetting_a_log_that_never_began_changes_nothing(apart: Storage) -> None:
    tenant = a_tenant()
    async with apart.write(tenant) as tx:
        await tx.forget_log()
    assert await apart.read_log(tenant, 0, 100) == LogPage([], 0, 0)
