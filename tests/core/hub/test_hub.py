"""What a hub does about other nodes, lost messages, a storage that is away, and replaced history."""

import asyncio
from collections.abc import Sequence

import pytest

from core.hub import Hub, Viewer
from core.hub.node_messages import encode
from core.kernel.cursor import Cursor
from core.kernel.errors import Closed, CloseReason, CursorExpired, Unavailable
from core.kernel.events import Event
from core.kernel.ids import TenantId
from tests.core.hub.virtual_time import run
from tests.core.hub.world import OTHER, TENANT, Air, AirBus, TrackedStorage, draft, placed, started_hub

STAFF = Viewer("staff")


class Notes:
    """An observer that writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[int] = []
        self.lost: list[TenantId | None] = []

    def on_events(self, tenant: TenantId, events: Sequence[Event]) -> None:
        self.events += [event.sequence for event in events]

    def on_lost(self, tenant: TenantId | None) -> None:
        self.lost.append(tenant)


class Careless:
    """An observer that fails."""

    def on_events(self, tenant: TenantId, events: Sequence[Event]) -> None:
        raise RuntimeError

    def on_lost(self, tenant: TenantId | None) -> None:
        raise RuntimeError


def test_commits_handed_over_in_the_wrong_order_come_in_the_right_one() -> None:
    async def act() -> None:
        storage = TrackedStorage()
        hub = await started_hub(storage)
        subscription = await hub.subscribe(TENANT, STAFF, ["#"])
        events = await storage.append(*[draft("pets/1") for _ in range(3)])
        for event in reversed(events):
            hub.publish(TENANT, [event])
        assert [event.sequence for event in (await subscription.next()).events] == [1, 2, 3]
        hub.publish(TENANT, events)
        await asyncio.sleep(1)
        assert subscription.take() is None
        assert (hub.statistics().gap_reads, hub.statistics().counters.repeated) == (0, 3)
        await hub.stop()

    run(act())


def test_a_lost_message_is_read_from_the_log_as_soon_as_a_later_one_shows_it() -> None:
    async def act() -> None:
        storage = TrackedStorage()
        hub = await started_hub(storage)
        subscription = await hub.subscribe(TENANT, STAFF, ["#"])
        events = await storage.append(*[draft("pets/1") for _ in range(3)])
        hub.publish(TENANT, events[2:])
        async with asyncio.timeout(0.1):
            assert [event.sequence for event in (await subscription.next()).events] == [1, 2, 3]
        await hub.stop()

    run(act())


def test_what_nobody_announced_is_found_by_looking_at_the_heads() -> None:
    async def act() -> None:
        storage = TrackedStorage()
        hub = await started_hub(storage)
        subscription = await hub.subscribe(TENANT, STAFF, ["#"])
        await storage.append(draft("pets/1"))
        async with asyncio.timeout(1.1):
            assert len(await subscription.next()) == 1
        await hub.stop()

    run(act())


def test_a_storage_that_is_away_delays_but_loses_nothing() -> None:
    async def act() -> None:
        storage = TrackedStorage()
        hub = await started_hub(storage)
        notes = Notes()
        hub.observers.add(Careless(), notes)
        subscription = await hub.subscribe(TENANT, STAFF, ["#"])
        start = subscription.cursor
        events = await storage.append(*[draft("pets/1") for _ in range(9)])
        storage.away = True
        hub.publish(TENANT, events[5:])
        waiting = asyncio.create_task(subscription.next())
        await asyncio.sleep(60)
        assert not waiting.done()
        assert None in notes.lost
        assert hub.statistics().counters.failed_polls > 10
        with pytest.raises(Unavailable):
            await hub.subscribe(OTHER, STAFF, ["#"])
        storage.away = False
        assert len(await waiting) == 9
        assert start != subscription.cursor
        assert sorted(set(notes.events)) == list(range(1, 10))
        await hub.stop()

    run(act())


def test_nodes_hear_each_other_and_not_themselves() -> None:
    async def act() -> None:
        storage, air = TrackedStorage(), Air()
        one, two = [await started_hub(storage, air, node) for node in ("one", "two")]
        here, there = [await hub.subscribe(TENANT, STAFF, ["#"]) for hub in (one, two)]
        one.publish(TENANT, await storage.append(draft("pets/1")))
        one.publish(TENANT, [draft("chats/1")])
        for subscription in (here, there):
            if subscription.take() is None:
                await subscription.next()
        air.buses[1].hear(encode("one", TENANT, [draft("chats/1")])[0])
        again = encode("one", TENANT, [placed(draft("chats/1"), 0, 0)])[0]
        air.buses[1].hear(again)
        air.buses[1].hear(again)
        await asyncio.sleep(0.5)
        statistics = [hub.statistics() for hub in (one, two)]
        assert [found.kept_events for found in statistics] == [2, 4]
        assert [found.counters.received for found in statistics] == [0, 5]
        for hub in (one, two):
            await hub.stop()

    run(act())


def test_bad_messages_are_counted_and_do_no_harm() -> None:
    async def act() -> None:
        storage, air = TrackedStorage(), Air()
        hub = await started_hub(storage, air)
        subscription = await hub.subscribe(TENANT, STAFF, ["#"])
        epoch = await storage.epoch()
        air.buses[0].hear(b"rubbish")
        # An event that is in nobody's log, and one of another history.
        air.buses[0].hear(encode("x", TENANT, [placed(draft("pets/1"), 50, epoch)])[0])
        air.buses[0].hear(encode("x", TENANT, [placed(draft("pets/1"), 1, epoch ^ 1)])[0])
        await asyncio.sleep(5)
        assert subscription.take() is None
        assert hub.statistics().counters.malformed_messages == 1
        assert hub.statistics().parked_events == 0
        hub.publish(TENANT, await storage.append(draft("pets/1")))
        assert len(await subscription.next()) == 1
        await hub.stop()

    run(act())


def test_a_hint_at_a_large_commit_makes_the_node_read_it() -> None:
    async def act() -> None:
        storage, air = TrackedStorage(), Air()
        one, two = [await started_hub(storage, air, node) for node in ("one", "two")]
        notes = Notes()
        two.observers.add(notes)
        subscription = await two.subscribe(TENANT, STAFF, ["#"])
        one.publish(TENANT, await storage.append(*[draft("pets/1", size=300_000) for _ in range(3)]))
        async with asyncio.timeout(0.1):
            assert len(await subscription.next()) == 3
        assert (notes.lost, notes.events) == ([TENANT], [1, 2, 3])
        for hub in (one, two):
            await hub.stop()

    run(act())


def test_replaced_history_ends_every_stream_with_an_expired_cursor() -> None:
    async def act() -> None:
        storage = TrackedStorage()
        hub = await started_hub(storage)
        await storage.append(*[draft("pets/1") for _ in range(3)])
        subscription = await hub.subscribe(TENANT, STAFF, ["#"], "earliest")
        assert len(await subscription.next()) == 3
        cursor = subscription.cursor
        storage.restore()
        with pytest.raises(CursorExpired) as expired:
            await subscription.next()
        assert expired.value.oldest_cursor == Cursor(await storage.epoch(), TENANT, 0).encode()
        with pytest.raises(CursorExpired):
            await hub.subscribe(TENANT, STAFF, ["#"], cursor)
        again = await hub.subscribe(TENANT, STAFF, ["#"], expired.value.oldest_cursor)
        assert len(await again.next()) == 3
        await hub.stop()

    run(act())


def test_a_log_trimmed_beyond_the_ring_ends_the_streams_of_its_tenant() -> None:
    async def act() -> None:
        storage = TrackedStorage()
        hub = await started_hub(storage)
        subscription = await hub.subscribe(TENANT, STAFF, ["#"])
        await storage.append(*[draft("pets/1") for _ in range(9)])
        await storage.trim_log(None, 2)
        with pytest.raises(CursorExpired) as expired:
            await subscription.next()
        assert Cursor.decode(expired.value.oldest_cursor, TENANT).sequence == 7
        again = await hub.subscribe(TENANT, STAFF, ["#"], expired.value.oldest_cursor)
        assert len(await again.next()) == 2
        await hub.stop()

    run(act())


def test_observers_learn_when_the_bus_may_have_lost_something() -> None:
    async def act() -> None:
        hub_storage, air = TrackedStorage(), Air()
        hub = await started_hub(hub_storage, air)
        notes = Notes()
        hub.observers.add(notes)
        air.buses[0].on_gap()
        assert notes.lost == [None]
        await hub.stop()

    run(act())


def test_the_end_of_a_hub_ends_whoever_waits_for_it() -> None:
    async def act() -> None:
        storage = TrackedStorage()
        hub = await started_hub(storage)
        await storage.append(draft("pets/1"))
        storage.away = True
        opening = asyncio.create_task(hub.subscribe(TENANT, STAFF, ["#"], "earliest"))
        with pytest.raises(Unavailable):
            await opening
        storage.away = False
        reading = await hub.subscribe(TENANT, STAFF, ["#"], "earliest")
        waiting = await hub.subscribe(TENANT, STAFF, ["#"])
        storage.away = True
        tasks = [asyncio.create_task(subscription.next()) for subscription in (reading, waiting)]
        await asyncio.sleep(0.1)
        await hub.stop()
        for task in tasks:
            with pytest.raises(Closed) as closed:
                await task
            assert closed.value.close.reason is CloseReason.DRAINING
        assert hub.statistics().rings == 0

    run(act())


def test_the_present_cursor_is_known_with_and_without_listeners() -> None:
    async def act() -> None:
        storage = TrackedStorage()
        hub = Hub(storage, AirBus(Air()), "a")
        await hub.start()
        [event] = await storage.append(draft("pets/1"))
        assert await hub.cursor_now(TENANT) == event.cursor
        subscription = await hub.subscribe(TENANT, STAFF, ["#"])
        assert await hub.cursor_now(TENANT) == subscription.cursor == event.cursor
        await hub.stop()

    run(act())


def test_earliest_waits_for_a_ring_that_a_trim_has_overtaken() -> None:
    async def act() -> None:
        storage, air = TrackedStorage(), Air()
        hub = await started_hub(storage, air)
        await storage.append(draft("pets/1"), draft("pets/1"))
        listener = await hub.subscribe(TENANT, Viewer("visitor"), ["#"])
        # Nobody tells the hub of these, and half of them leave the log before it looks.
        missed = await storage.append(*[draft("pets/1") for _ in range(4)])
        await storage.trim_log(None, 2)
        newcomer = await hub.subscribe(TENANT, Viewer("visitor"), ["#"], "earliest")
        assert (await newcomer.next()).events == tuple(missed[2:])
        with pytest.raises(CursorExpired):
            await listener.next()
        await hub.stop()

    run(act())


def test_the_other_nodes_are_told_which_agents_are_at_one() -> None:
    async def act() -> None:
        storage, air = TrackedStorage(), Air()
        a = await started_hub(storage, air, "a")
        b = await started_hub(storage, air, "b")
        heard: list[tuple[str, TenantId, frozenset[str]]] = []
        for hub in (a, b):
            hub.peers.on_agents = lambda *told: heard.append(told)
        a.peers.tell_agents(TENANT, frozenset({"ann", "ben"}))
        await asyncio.sleep(1)
        a.peers.tell_agents(TENANT, frozenset())
        await asyncio.sleep(1)
        assert heard == [("a", TENANT, frozenset({"ann", "ben"})), ("a", TENANT, frozenset())]
        await a.stop()
        await b.stop()

    run(act())
