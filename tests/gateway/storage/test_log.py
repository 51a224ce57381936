"""What every storage promises of the event log."""

from pathlib import Path

import pytest

from core.kernel.events import NAMED, visible_to
from core.kernel.ids import TenantId
from core.ports.storage import Storage
from gateway.storage.memory import MemoryStorage
from gateway.storage.migration import migrate
from gateway.storage.opening import open_storage
from tests.gateway.storage.records import a_tenant, an_event, announce, later


async def _sequences(storage: Storage, tenant: TenantId, after: int, limit: int = 1000) -> list[int]:
    return [event.sequence for event in (await storage.read_log(tenant, after, limit)).events]


async def test_events_come_back_as_they_were_appended(storage: Storage) -> None:
    tenant = a_tenant()
    placed = await announce(
        storage,
        an_event(tenant, "é \U0001f436 \\u0000"),
        an_event(tenant, "x" * 100_000, at=later(-0.001), audience=visible_to("b", "a")),
        an_event(tenant, audience=NAMED),
    )
    page = await storage.read_log(tenant, 0, 10)
    assert page.events == placed
    assert [event.envelope for event in page.events] == [event.envelope for event in placed]
    assert (page.floor, page.head) == (0, 3)


async def test_a_tenant_of_which_nobody_has_heard_has_an_empty_log(storage: Storage) -> None:
    tenant = a_tenant()
    page = await storage.read_log(tenant, 0, 10)
    assert (page.events, page.floor, page.head) == ([], 0, 0)
    assert await storage.heads([tenant]) == {tenant: 0}
    assert await storage.heads([]) == {}


async def test_pages_follow_each_other(storage: Storage) -> None:
    tenant = a_tenant()
    await announce(storage, *(an_event(tenant) for _ in range(7)))
    assert await _sequences(storage, tenant, 0, 3) == [1, 2, 3]
    assert await _sequences(storage, tenant, 3, 3) == [4, 5, 6]
    assert await _sequences(storage, tenant, 6, 3) == [7]
    assert await _sequences(storage, tenant, 7, 3) == []
    assert await _sequences(storage, tenant, 2**63 - 1, 3) == []
    # The bounds come even with an empty page.
    page = await storage.read_log(tenant, 7, 3)
    assert (page.floor, page.head) == (0, 7)


async def test_the_heads_of_many_tenants_are_asked_at_once(storage: Storage) -> None:
    busy = [a_tenant() for _ in range(3)]
    for tenant in busy:
        await announce(storage, an_event(tenant), an_event(tenant))
    quiet = [a_tenant() for _ in range(2500)]
    assert await storage.heads([*quiet, *busy]) == dict.fromkeys(quiet, 0) | dict.fromkeys(busy, 2)


async def test_a_log_takes_only_what_follows_its_head(storage: Storage) -> None:
    tenant, epoch = a_tenant(), await storage.epoch()
    await announce(storage, an_event(tenant))

    async def append(places: list[int]) -> None:
        async with storage.write(tenant) as tx:
            await tx.hold_log()
            await tx.append([an_event(tenant).at(epoch, place) for place in places])

    for places in ([3], [1], [2, 4], [3, 2]):
        with pytest.raises(ValueError, match="gap"):
            await append(places)
    with pytest.raises(ValueError, match="tenant"):
        async with storage.write(tenant) as tx:
            await tx.append([an_event(a_tenant()).at(epoch, await tx.hold_log() + 1)])
    with pytest.raises(RuntimeError, match="held"):
        async with storage.write(tenant) as tx:
            await tx.append([an_event(tenant).at(epoch, 2)])
    assert await _sequences(storage, tenant, 0) == [1]


async def test_a_transaction_may_append_more_than_once(storage: Storage) -> None:
    tenant, epoch = a_tenant(), await storage.epoch()
    async with storage.write(tenant) as tx:
        assert await tx.hold_log() == 0
        await tx.append([])
        await tx.append([an_event(tenant).at(epoch, 1)])
        await tx.append([an_event(tenant).at(epoch, 2)])
        assert await tx.hold_log() == 2
    assert await _sequences(storage, tenant, 0) == [1, 2]


async def test_trimming_by_count_keeps_the_newest_of_each_tenant(storage: Storage) -> None:
    long, short = a_tenant(), a_tenant()
    await announce(storage, *(an_event(long) for _ in range(10)))
    await announce(storage, *(an_event(short) for _ in range(3)))
    assert (await storage.trim_log(None, 4)).events >= 6
    page = await storage.read_log(long, 0, 100)
    assert ([event.sequence for event in page.events], page.floor, page.head) == ([7, 8, 9, 10], 6, 10)
    page = await storage.read_log(short, 0, 100)
    assert ([event.sequence for event in page.events], page.floor, page.head) == ([1, 2, 3], 0, 3)
    assert (await storage.trim_log(None, 4)).events == 0


async def test_trimming_by_age_forgets_a_beginning_only(storage: Storage) -> None:
    tenant = a_tenant()
    # The clocks of nodes differ, so that an older event may follow a younger one.
    await announce(storage, *(an_event(tenant, at=later(at)) for at in (1, 3, 2, 5, 1, 6)))
    await storage.trim_log(later(1), None)
    assert await _sequences(storage, tenant, 0) == [1, 2, 3, 4, 5, 6]
    await storage.trim_log(later(3), None)
    page = await storage.read_log(tenant, 0, 100)
    assert ([event.sequence for event in page.events], page.floor) == ([2, 3, 4, 5, 6], 1)
    await storage.trim_log(later(4), None)
    assert await _sequences(storage, tenant, 0) == [4, 5, 6]


async def test_no_more_than_a_share_leaves_for_its_age_at_once(storage: Storage) -> None:
    tenant, lone = a_tenant(), a_tenant()
    await announce(storage, *(an_event(tenant, at=later(at)) for at in range(20)))
    await announce(storage, an_event(lone, at=later(0)))
    for floor in (2, 3, 4):  # a tenth, and one event at least
        await storage.trim_log(later(1000), None, share=0.1)
        assert (await storage.read_log(tenant, 0, 1)).floor == floor
    assert (await storage.read_log(lone, 0, 1)).floor == 1
    await storage.trim_log(None, 3, share=0.1)
    assert await _sequences(storage, tenant, 0) == [18, 19, 20]


async def test_the_newest_time_is_of_the_newest_event_of_all_tenants(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    await migrate(url)
    for storage in (MemoryStorage(), open_storage(url)):
        assert await storage.newest_time() is None
        await announce(storage, an_event(a_tenant(), at=later(7)))
        await announce(storage, an_event(a_tenant(), at=later(3)))
        assert await storage.newest_time() == later(7)
        await storage.close()


async def test_a_log_goes_on_after_everything_was_trimmed(storage: Storage) -> None:
    tenant = a_tenant()
    await announce(storage, an_event(tenant), an_event(tenant))
    await storage.trim_log(later(1000), None)
    page = await storage.read_log(tenant, 0, 100)
    assert (page.events, page.floor, page.head) == ([], 2, 2)
    await announce(storage, an_event(tenant))
    page = await storage.read_log(tenant, 2, 100)
    assert ([event.sequence for event in page.events], page.floor, page.head) == ([3], 2, 3)
    await storage.trim_log(None, 0)
    assert (await storage.read_log(tenant, 0, 100)).floor == 3


async def test_both_bounds_at_once_forget_what_either_forgets(storage: Storage) -> None:
    tenant = a_tenant()
    await announce(storage, *(an_event(tenant, at=later(at)) for at in range(6)))
    await storage.trim_log(later(2), 5)
    assert await _sequences(storage, tenant, 0) == [3, 4, 5, 6]
    await storage.trim_log(later(2), 3)
    assert await _sequences(storage, tenant, 0) == [4, 5, 6]
    assert (await storage.trim_log(None, None)).events == 0


async def test_a_long_log_is_trimmed_whole(storage: Storage) -> None:
    tenant = a_tenant()
    await announce(storage, *(an_event(tenant) for _ in range(2345)))
    await storage.trim_log(None, 1)
    page = await storage.read_log(tenant, 0, 100)
    assert ([event.sequence for event in page.events], page.floor, page.head) == ([2345], 2344, 2345)


async def test_a_trim_in_the_middle_of_a_catch_up_is_seen(nodes: tuple[Storage, Storage]) -> None:
    reader, trimmer = nodes
    tenant = a_tenant()
    await announce(reader, *(an_event(tenant) for _ in range(10)))
    assert await _sequences(reader, tenant, 0, 3) == [1, 2, 3]
    await trimmer.trim_log(None, 2)
    page = await reader.read_log(tenant, 3, 3)
    # The floor says that 4 to 8 are missing.
    assert ([event.sequence for event in page.events], page.floor) == ([9, 10], 8)
