"""What a subscriber may rely on, told one thing at a time."""

import asyncio

import pytest

from core.hub import Batch, Hub, RingLimits, Subscription, Viewer
from core.kernel.cursor import Cursor
from core.kernel.errors import BadRequest, Close, Closed, CloseReason, CursorExpired
from core.kernel.events import NAMED, PUBLIC, STAFF_ONLY, Event, visible_to
from core.kernel.ids import SHARED_TENANT, TenantId
from tests.core.hub.world import OTHER, TENANT, TrackedStorage, draft, started_hub

VISITOR = Viewer("visitor")
STAFF = Viewer("staff")


class Numbers:
    """A wire format that counts its work."""

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self, event: Event) -> bytes:
        self.encoded += 1
        return f"{event.sequence};".encode()


async def tick() -> None:
    """Let the hub wake its subscribers."""
    await asyncio.sleep(0)


async def write(hub: Hub, storage: TrackedStorage, *drafts: Event) -> None:
    hub.publish(drafts[0].tenant, await storage.append(*drafts))


def sequences(batch: Batch | None) -> list[int]:
    return [] if batch is None else [event.sequence for event in batch.events]


async def rest(subscription: Subscription) -> list[int]:
    """Everything there is for a subscriber at the moment."""
    found = []
    while (batch := await subscription.catch_up()) is not None:
        found += sequences(batch)
    return found + sequences(subscription.take())


async def test_events_of_one_turn_are_taken_in_one_go_after_one_call() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    subscription = await hub.subscribe(TENANT, VISITOR, ["pets/#"])
    calls = []
    subscription.on_ready = lambda: calls.append(1)
    assert subscription.take() is None
    await write(hub, storage, draft("pets/1"))
    await write(hub, storage, draft("pets/2"), draft("orders/1/status", STAFF_ONLY))
    assert calls == []
    await tick()
    await write(hub, storage, draft("pets/3"))
    await tick()
    assert calls == [1]
    batch = subscription.take()
    assert batch is not None
    assert sequences(batch) == [1, 2, 4]
    assert (batch.first.topic, batch.last.topic, len(batch)) == ("pets/1", "pets/3", 3)
    assert batch.cursor == batch.last.cursor == subscription.cursor
    await write(hub, storage, draft("pets/4"))
    await tick()
    assert calls == [1, 1]
    await hub.stop()


async def test_subscribers_alike_share_batches_and_all_share_frames() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    alike = [await hub.subscribe(TENANT, VISITOR, ["pets/#"]) for _ in range(3)]
    another = await hub.subscribe(TENANT, STAFF, ["#"])
    await write(hub, storage, draft("pets/1"), draft("pets/2"))
    first, second, third = [await subscription.next() for subscription in alike]
    assert first is second is third
    other = await another.next()
    numbers = Numbers()
    assert first.encoded(numbers) is second.encoded(numbers)
    assert other.encoded(numbers) == first.encoded(numbers) == b"1;2;"
    assert numbers.encoded == 2
    assert hub.statistics().selections == 2
    await hub.stop()


async def test_a_filter_added_with_an_older_cursor_replays_only_what_was_not_shown_before() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    subscription = await hub.subscribe(TENANT, VISITOR, ["pets/1/#"])
    start = subscription.cursor
    await write(hub, storage, draft("pets/1"), draft("pets/2"), draft("inventory/DOG/stock"), draft("pets/1"))
    assert sequences(subscription.take()) == [1, 4]
    await subscription.subscribe(["pets/#"], start)
    await write(hub, storage, draft("pets/2"), draft("inventory/DOG/stock"))
    assert subscription.behind
    assert await rest(subscription) == [2, 5]
    subscription.unsubscribe(["pets/#", "chats/none"])
    await write(hub, storage, draft("pets/2"), draft("pets/1"))
    assert await rest(subscription) == [8]
    assert subscription.filters == {"pets/1/#"}
    await hub.stop()


async def test_a_change_of_filters_keeps_what_was_not_taken_yet() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    subscription = await hub.subscribe(TENANT, VISITOR, ["pets/#"])
    calls = []
    await write(hub, storage, draft("pets/1"), draft("inventory/DOG/stock"))
    subscription.on_ready = lambda: calls.append(1)
    await subscription.subscribe(["inventory/#"])
    await tick()
    assert calls
    await write(hub, storage, draft("inventory/DOG/stock"))
    assert await rest(subscription) == [1, 3]
    with pytest.raises(BadRequest):
        await subscription.subscribe(["pets/#/x"])
    await hub.stop()


@pytest.mark.parametrize("told", [False, True])
async def test_a_quiet_subscriber_is_never_behind_and_its_cursor_follows_the_log(told: bool) -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage, limits=RingLimits(events=4))
    quiet = await hub.subscribe(TENANT, VISITOR, ["inventory/CAT/#"])
    for _ in range(20):
        await write(hub, storage, draft("pets/1"))
    assert not quiet.behind
    assert Cursor.decode(quiet.cursor, TENANT).sequence == 20
    assert quiet.cursor == await hub.cursor_now(TENANT)
    await storage.trim_log(None, 0)
    for _ in range(20):
        await write(hub, storage, draft("inventory/CAT/stock"))
        if told:
            await tick()
    assert hub.statistics().behind == 1
    assert Cursor.decode(quiet.cursor, TENANT).sequence == 20
    assert await rest(quiet) == list(range(21, 41))
    assert hub.statistics().kept_events == 4
    await hub.stop()


async def test_ephemeral_events_come_live_where_they_happened_and_move_no_cursor() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    subscription = await hub.subscribe(TENANT, Viewer("user", "anna"), ["chats/1"])
    other = await hub.subscribe(TENANT, Viewer("user", "bert"), ["chats/#"])
    typing = visible_to("anna")
    hub.publish(TENANT, [draft("chats/1", typing)])
    before = subscription.cursor
    batch = subscription.take()
    assert batch is not None
    assert (sequences(batch), batch.cursor, subscription.cursor) == ([0], None, before)
    await write(hub, storage, draft("chats/1", typing))
    hub.publish(TENANT, [draft("chats/1", typing)])
    assert sequences(subscription.take()) == [1, 0]
    assert other.take() is None
    again = await hub.subscribe(TENANT, Viewer("user", "anna"), ["chats/1"], before)
    assert await rest(again) == [1]
    await hub.stop()


@pytest.mark.parametrize(
    ("viewer", "filters", "expected"),
    [
        (VISITOR, ["#"], [1]),
        (VISITOR, ["orders/2/#"], [3]),
        (VISITOR, ["orders/1/#"], []),
        (STAFF, ["#"], [1, 2, 3]),
        (Viewer("user", "anna"), ["#"], [1, 2]),
        (Viewer("user", "bert"), ["#", "+/2/status"], [1, 3]),
        (Viewer("device", grants=frozenset({"orders/1/+"})), ["#"], [1, 2]),
        (Viewer("device"), ["orders/#"], []),
    ],
)
async def test_live_and_replay_show_each_viewer_the_same(
    viewer: Viewer, filters: list[str], expected: list[int]
) -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    live = await hub.subscribe(TENANT, viewer, filters)
    await write(
        hub,
        storage,
        draft("pets/1", PUBLIC),
        draft("orders/1/status", visible_to("anna")),
        draft("orders/2/status", NAMED),
    )
    assert sequences(live.take()) == expected
    for cursor in ("earliest", Cursor(await storage.epoch(), TENANT, 0).encode()):
        assert await rest(await hub.subscribe(TENANT, viewer, filters, cursor)) == expected
    await hub.stop()


async def test_an_event_found_under_two_topics_comes_once() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    subscription = await hub.subscribe(TENANT, STAFF, ["orders/#", "payments/+/status", "payments/9/#"])
    await write(hub, storage, draft("orders/1/payment", STAFF_ONLY, aliases=("payments/9/status",)))
    assert sequences(subscription.take()) == [1]
    again = await hub.subscribe(TENANT, STAFF, subscription.filters, "earliest")
    assert await rest(again) == [1]
    await hub.stop()


async def test_bad_cursors_are_refused_before_anything_begins() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    for _ in range(3):
        await storage.append(draft("pets/1"))
    await storage.trim_log(None, 1)
    epoch = await storage.epoch()
    for cursor in (Cursor(epoch, TENANT, 1), Cursor(epoch, TENANT, 4), Cursor(epoch - 1, TENANT, 3)):
        with pytest.raises(CursorExpired) as expired:
            await hub.subscribe(TENANT, VISITOR, ["#"], cursor.encode())
        assert expired.value.oldest_cursor == Cursor(epoch, TENANT, 2).encode()
    for text in ("", "rubbish", Cursor(epoch, OTHER, 2).encode()):
        with pytest.raises(BadRequest):
            await hub.subscribe(TENANT, VISITOR, ["#"], text)
    with pytest.raises(BadRequest):
        await hub.subscribe(TENANT, VISITOR, ["#/a"])
    assert hub.statistics().rings == 0
    await hub.stop()


async def test_a_cursor_of_a_node_that_is_further_is_good_here() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    early = await hub.subscribe(TENANT, VISITOR, ["#"])
    events = await storage.append(*[draft("pets/1") for _ in range(5)])
    late = await hub.subscribe(TENANT, VISITOR, ["#"], events[3].cursor)
    assert await rest(late) == [5]
    assert await rest(early) == [1, 2, 3, 4, 5]
    await hub.stop()


async def test_a_trim_in_the_middle_of_a_replay_is_told() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage, limits=RingLimits(events=2, page=4))
    await storage.append(*[draft("pets/1") for _ in range(20)])
    subscription = await hub.subscribe(TENANT, VISITOR, ["#"], "earliest")
    assert sequences(await subscription.next()) == [1, 2, 3, 4]
    await storage.trim_log(None, 10)
    with pytest.raises(CursorExpired) as expired:
        await subscription.next()
    assert Cursor.decode(expired.value.oldest_cursor, TENANT).sequence == 10
    assert Cursor.decode(subscription.cursor, TENANT).sequence == 4
    assert subscription.closed
    await hub.stop()


async def test_large_events_are_replayed_in_small_batches() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    await storage.append(*[draft("pets/1", size=200_000) for _ in range(10)])
    subscription = await hub.subscribe(TENANT, VISITOR, ["#"], "earliest")
    sizes = []
    while (batch := await subscription.catch_up()) is not None:
        sizes.append(len(batch))
    assert sum(sizes) == 10
    assert max(sizes) <= 2
    assert storage.page_reads == 2
    await hub.stop()


async def test_many_who_fell_behind_at_different_places_share_their_reads() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage, limits=RingLimits(events=4, page=16))
    subscriptions = []
    for _ in range(30):
        subscriptions.append(await hub.subscribe(TENANT, VISITOR, ["#"]))
        await write(hub, storage, draft("pets/1"))
    assert subscriptions[0].behind
    replayed = await asyncio.gather(*map(rest, subscriptions))
    assert replayed == [list(range(place, 31)) for place in range(1, 31)]
    assert storage.page_reads == 2
    await hub.stop()


async def test_whoever_waits_is_told_why_the_stream_ends() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    first = await hub.subscribe(TENANT, VISITOR, ["#"])
    second = await hub.subscribe(TENANT, VISITOR, ["#"])
    waiting = asyncio.create_task(first.next())
    calls = []
    second.on_ready = lambda: calls.append(1)
    await tick()
    for subscription in (first, second):
        subscription.close(Close(CloseReason.REVOKED))
        subscription.close(Close(CloseReason.INTERNAL))
    with pytest.raises(Closed) as closed:
        await waiting
    assert closed.value.close.reason is CloseReason.REVOKED
    assert calls == [1]
    assert second.behind
    assert second.take() is None
    with pytest.raises(Closed):
        await second.catch_up()
    with pytest.raises(Closed):
        await second.subscribe(["pets/#"])
    second.unsubscribe(["#"])
    await hub.stop()


async def test_whoever_leaves_by_himself_is_left_in_peace() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    subscription = await hub.subscribe(TENANT, VISITOR, ["#"])
    calls = []
    subscription.on_ready = lambda: calls.append(1)
    await write(hub, storage, draft("pets/1"))
    subscription.close()
    await tick()
    assert (calls, subscription.take(), subscription.behind) == ([], None, False)
    assert Cursor.decode(subscription.cursor, TENANT).sequence == 0
    assert hub.statistics().subscriptions == 0
    await hub.stop()


async def test_a_callback_that_fails_ends_its_own_stream_only() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    bad, good = [await hub.subscribe(TENANT, VISITOR, ["#"]) for _ in range(2)]
    got: list[int] = []
    bad.on_ready = lambda: got.append(1 // 0)
    good.on_ready = lambda: got.extend(sequences(good.take()))
    await write(hub, storage, draft("pets/1"))
    await tick()
    assert got == [1]
    assert bad.closed
    await hub.stop()


async def test_a_callback_set_late_is_called_for_what_came_before() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    subscription = await hub.subscribe(TENANT, VISITOR, ["#"])
    await write(hub, storage, draft("pets/1"))
    await tick()
    got: list[int] = []
    subscription.on_ready = lambda: got.extend(sequences(subscription.take()))
    await tick()
    assert got == [1]
    await hub.stop()


async def test_a_wait_that_is_given_up_loses_nothing() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    subscription = await hub.subscribe(TENANT, VISITOR, ["#"])
    waiting = asyncio.create_task(subscription.next())
    await tick()
    await write(hub, storage, draft("pets/1"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert sequences(await subscription.next()) == [1]
    await hub.stop()


async def test_tenants_do_not_hear_each_other() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    subscription = await hub.subscribe(TENANT, STAFF, ["#"])
    await write(hub, storage, draft("pets/1", tenant=OTHER))
    assert subscription.take() is None
    await hub.stop()


async def test_whoever_listens_in_many_tenants_keeps_nobody_else_out() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage)
    for number in range(1_100):
        await hub.subscribe(TenantId(f"00000000-0000-4000-9000-{number:012}"), VISITOR, ["#"])
    subscription = await hub.subscribe(SHARED_TENANT, STAFF, ["#"])
    await write(hub, storage, draft("pets/1", tenant=SHARED_TENANT))
    assert sequences(await subscription.next()) == [1]
    await hub.stop()
    assert hub.statistics().kept_bytes == 0


async def test_the_rings_together_are_bounded_and_the_quietest_gives_way() -> None:
    storage = TrackedStorage()
    hub = await started_hub(storage, limits=RingLimits(total_bytes=30_000))
    quiet = await hub.subscribe(TENANT, STAFF, ["#"])
    busy = await hub.subscribe(OTHER, STAFF, ["#"])
    await write(hub, storage, *(draft("pets/1") for _ in range(5)))
    for _ in range(50):
        await write(hub, storage, draft("pets/1", tenant=OTHER))
        assert hub.statistics().kept_bytes <= 30_000
    assert hub.statistics().kept_events < 20
    # What was evicted is read from the log.
    assert sequences(await quiet.next()) == [1, 2, 3, 4, 5]
    taken: list[int] = []
    while len(taken) < 50:
        taken += sequences(await busy.next())
    assert taken == list(range(1, 51))
    quiet.close()
    busy.close()
    assert hub.statistics().kept_bytes == 0
    await hub.stop()
