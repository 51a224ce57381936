"""What every storage promises of leases and durable consumers."""

import asyncio
from datetime import datetime, timedelta

import pytest

from core.kernel.ids import TenantId, new_id
from core.models.devices import Device
from core.ports.coordination import Lag, Lease
from core.ports.records import Between, Query
from core.ports.storage import Storage
from tests.gateway.storage.records import NOW, a_device, a_tenant, an_event, announce, later, put
from tests.waiting import eventually

LONG = 600.0


async def _lease(storage: Storage, name: str, holder: str = "me", seconds: float = LONG) -> Lease:
    lease = await storage.take_lease(name, holder, seconds)
    assert lease is not None
    return lease


async def _lags(storage: Storage, consumer: str, *tenants: TenantId) -> list[Lag]:
    """Of the tenants given: others share the database."""
    return [lag for lag in await storage.lagging(consumer, "", 100_000) if lag.tenant in tenants]


# -- leases ------------------------------------------------------------------------------------------------


async def test_a_lease_has_one_holder_who_may_prolong_it(nodes: tuple[Storage, Storage]) -> None:
    one, other = nodes
    name = new_id()
    mine = await _lease(one, name, "me")
    assert await other.take_lease(name, "you", LONG) is None
    assert await _lease(one, name, "me") == mine
    assert await other.take_lease(new_id(), "you", LONG) is not None


async def test_a_lease_that_ran_out_is_anybodys_and_its_fence_rises(nodes: tuple[Storage, Storage]) -> None:
    one, other = nodes
    name = new_id()
    mine = await _lease(one, name, "me", 0.05)
    yours = await eventually(lambda: other.take_lease(name, "you", LONG))
    assert yours is not None
    assert yours.fence > mine.fence
    assert await one.take_lease(name, "me", LONG) is None


async def test_a_lease_that_is_let_go_is_free_at_once(storage: Storage) -> None:
    name = new_id()
    mine = await _lease(storage, name, "me")
    await storage.drop_lease(Lease(name, "me", mine.fence + 1))
    assert await storage.take_lease(name, "you", LONG) is None
    await storage.drop_lease(mine)
    yours = await _lease(storage, name, "you")
    # Letting go of what is no longer one's own takes nothing from anybody.
    await storage.drop_lease(mine)
    assert await storage.take_lease(name, "me", LONG) is None
    assert yours.fence > mine.fence


async def test_of_many_who_grasp_for_a_lease_one_has_it(nodes: tuple[Storage, Storage]) -> None:
    name = new_id()
    taken = await asyncio.gather(
        *(node.take_lease(name, new_id(), LONG) for _ in range(10) for node in nodes)
    )
    assert len([lease for lease in taken if lease is not None]) == 1


# -- positions ---------------------------------------------------------------------------------------------


async def test_a_new_consumer_begins_at_the_end_of_every_log_and_at_the_beginning_of_later_ones(
    storage: Storage,
) -> None:
    old, new, consumer = a_tenant(), a_tenant(), new_id()
    await announce(storage, an_event(old), an_event(old))
    await storage.enrol(consumer)
    assert await _lags(storage, consumer, old) == []
    await announce(storage, an_event(old))
    await announce(storage, an_event(new))
    assert set(await _lags(storage, consumer, old, new)) == {Lag(old, 2, 3), Lag(new, 0, 1)}
    # It is new but once.
    await storage.enrol(consumer)
    assert set(await _lags(storage, consumer, old, new)) == {Lag(old, 2, 3), Lag(new, 0, 1)}


async def test_consumers_may_be_enrolled_by_all_nodes_at_once_while_events_happen(
    nodes: tuple[Storage, Storage],
) -> None:
    tenant, consumer = a_tenant(), new_id()
    await announce(nodes[0], an_event(tenant))
    enrolling = asyncio.gather(*(node.enrol(consumer) for _ in range(5) for node in nodes))
    await announce(nodes[0], an_event(tenant))
    await enrolling
    found = await _lags(nodes[1], consumer, tenant)
    # It began before the second event or behind it.
    assert found in ([Lag(tenant, 1, 2)], [])


async def test_one_that_is_not_enrolled_reads_the_logs_that_it_follows_and_no_others(
    storage: Storage,
) -> None:
    old, new, other, consumer = a_tenant(), a_tenant(), a_tenant(), new_id()
    await announce(storage, an_event(old), an_event(old))
    for tenant, head in ((old, 2), (new, 0)):
        async with storage.write(tenant) as tx:
            assert await tx.follow(consumer) == head
    assert await _lags(storage, consumer, old, new, other) == []
    for tenant in (old, new, other):
        await announce(storage, an_event(tenant))
    behind = {Lag(old, 2, 3), Lag(new, 0, 1)}
    assert set(await _lags(storage, consumer, old, new, other)) == behind
    # It is new but once, and what is undone was never there.
    async with storage.write(old) as tx:
        assert await tx.follow(consumer) == 3
    with pytest.raises(ZeroDivisionError):
        await _follow_in_vain(storage, other, consumer)
    assert set(await _lags(storage, consumer, old, new, other)) == behind
    lease = await _lease(storage, consumer)
    assert await storage.advance(lease, consumer, old, 3)
    assert await _lags(storage, consumer, old, new, other) == [Lag(new, 0, 1)]


async def _follow_in_vain(storage: Storage, tenant: TenantId, consumer: str) -> None:
    async with storage.write(tenant) as tx:
        await tx.follow(consumer)
        raise ZeroDivisionError


async def test_events_of_the_transaction_that_follows_are_read(storage: Storage) -> None:
    tenant, consumer = a_tenant(), new_id()
    async with storage.write(tenant) as tx:
        head = await tx.follow(consumer)
        await tx.append([an_event(tenant).at(await storage.epoch(), head + 1)])
    assert await _lags(storage, consumer, tenant) == [Lag(tenant, 0, 1)]


async def test_the_logs_that_a_consumer_follows_come_in_pages(storage: Storage) -> None:
    tenants, consumer = sorted(a_tenant() for _ in range(3)), new_id()
    for tenant in tenants:
        async with storage.write(tenant) as tx:
            await tx.follow(consumer)
        await announce(storage, an_event(tenant))
    assert [lag.tenant for lag in await storage.lagging(consumer, "", 2)] == tenants[:2]
    assert [lag.tenant for lag in await storage.lagging(consumer, tenants[1], 2)] == tenants[2:]


async def test_a_position_moves_forward_alone(storage: Storage) -> None:
    tenant, consumer = a_tenant(), new_id()
    await storage.enrol(consumer)
    lease = await _lease(storage, consumer)
    await announce(storage, *(an_event(tenant) for _ in range(5)))
    assert await storage.advance(lease, consumer, tenant, 3)
    assert await _lags(storage, consumer, tenant) == [Lag(tenant, 3, 5)]
    assert await storage.advance(lease, consumer, tenant, 2)
    assert await _lags(storage, consumer, tenant) == [Lag(tenant, 3, 5)]
    assert await storage.advance(lease, consumer, tenant, 5)
    assert await _lags(storage, consumer, tenant) == []
    # One consumer's position is nobody else's.
    other = new_id()
    await storage.enrol(other)
    assert await _lags(storage, other, tenant) == []


async def test_who_lost_the_lease_moves_nothing(nodes: tuple[Storage, Storage]) -> None:
    one, other = nodes
    tenant, consumer = a_tenant(), new_id()
    await one.enrol(consumer)
    mine = await _lease(one, consumer, "me", 0.01)
    await announce(one, an_event(tenant), an_event(tenant))
    yours = await eventually(lambda: other.take_lease(consumer, "you", LONG))
    assert yours is not None
    assert not await one.advance(mine, consumer, tenant, 2)
    assert await _lags(one, consumer, tenant) == [Lag(tenant, 0, 2)]
    assert await other.advance(yours, consumer, tenant, 1)
    assert await _lags(one, consumer, tenant) == [Lag(tenant, 1, 2)]


async def test_tenants_that_lag_come_in_pages(storage: Storage) -> None:
    tenants = sorted(a_tenant() for _ in range(5))
    consumer = new_id()
    await storage.enrol(consumer)
    for tenant in tenants:
        await announce(storage, an_event(tenant))
    assert [lag.tenant for lag in await storage.lagging(consumer, "", 2)] == tenants[:2]
    assert [lag.tenant for lag in await storage.lagging(consumer, tenants[1], 2)] == tenants[2:4]
    assert [lag.tenant for lag in await storage.lagging(consumer, tenants[3], 2)] == tenants[4:]


# -- the log is held ---------------------------------------------------------------------------------------


async def _floor(storage: Storage, tenant: TenantId) -> int:
    return (await storage.read_log(tenant, 0, 1)).floor


async def _behind(storage: Storage, read: int, times: range = range(10)) -> tuple[TenantId, str]:
    """A log of ten events, one a second, of which a consumer has read some."""
    tenant, consumer = a_tenant(), new_id()
    await storage.enrol(consumer)
    await announce(storage, *(an_event(tenant, at=later(at)) for at in times))
    if read:
        assert await storage.advance(await _lease(storage, consumer), consumer, tenant, read)
    return tenant, consumer


@pytest.mark.parametrize(("before", "keep"), [(later(8), None), (None, 2)])
@pytest.mark.parametrize("read", [0, 4])
async def test_what_a_consumer_has_not_read_stays(
    storage: Storage, before: datetime | None, keep: int | None, read: int
) -> None:
    tenant, consumer = await _behind(storage, read)
    trimmed = await storage.trim_log(before, keep, held_by=[consumer], held_since=NOW)
    assert await _floor(storage, tenant) == read
    assert trimmed.held >= 8 - read
    # Whoever is not waited for holds nothing, and neither does who was never there.
    await storage.trim_log(before, keep, held_by=[new_id()], held_since=NOW)
    assert await _floor(storage, tenant) == 8


async def test_the_slowest_consumer_holds_the_log(storage: Storage) -> None:
    tenant, slow = await _behind(storage, 3)
    fast = new_id()
    await storage.enrol(fast)
    await storage.trim_log(None, 1, held_by=[fast, slow])
    assert await _floor(storage, tenant) == 3


async def test_only_the_logs_that_a_consumer_follows_are_held_for_it(storage: Storage) -> None:
    (tenant, _), other, consumer = await _behind(storage, 5), a_tenant(), new_id()
    async with storage.write(other) as tx:
        await tx.follow(consumer)
    await announce(storage, *(an_event(other) for _ in range(3)))
    await storage.trim_log(None, 1, held_by=[consumer])
    assert (await _floor(storage, tenant), await _floor(storage, other)) == (9, 0)
    tenant, slow = await _behind(storage, 5)
    async with storage.write(tenant) as tx:
        await tx.follow(consumer)
    await storage.trim_log(None, 1, held_by=[consumer, slow])
    assert await _floor(storage, tenant) == 5


async def test_what_is_too_old_goes_unread_and_is_told_of(storage: Storage) -> None:
    tenant, consumer = await _behind(storage, 2)
    trimmed = await storage.trim_log(later(8), None, held_by=[consumer], held_since=later(5))
    assert await _floor(storage, tenant) == 5
    assert (trimmed.unread, trimmed.held >= 3) == (3, True)
    trimmed = await storage.trim_log(later(8), None, held_by=[consumer], held_since=later(7))
    assert await _floor(storage, tenant) == 7
    assert trimmed.unread == 2


async def test_a_consumer_that_has_read_everything_holds_nothing(storage: Storage) -> None:
    tenant, consumer = await _behind(storage, 10)
    trimmed = await storage.trim_log(later(8), None, held_by=[consumer], held_since=NOW)
    assert await _floor(storage, tenant) == 8
    assert trimmed.unread == 0


# -- surveys -----------------------------------------------------------------------------------------------


async def test_a_survey_finds_the_records_of_all_tenants(storage: Storage) -> None:
    at = NOW + timedelta(days=99)
    devices = [a_device(a_tenant(), new_id()).model_copy(update={"created_at": at}) for _ in range(3)]
    await put(storage, devices[0])
    await put(storage, devices[1])
    await put(storage, devices[2].model_copy(update={"created_at": NOW}))
    query = Query(Device, (Between("created_at", at),))
    by_id = sorted(devices[:2], key=lambda device: device.id)
    assert await storage.survey(query) == by_id
    assert await storage.survey(Query(Device, query.where, limit=1, offset=1)) == by_id[1:]
