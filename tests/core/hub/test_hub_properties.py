"""Whatever happens in whatever order: each event once, in order, or a cursor that has expired."""

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.hub import Batch, Hub, RingLimits, Subscription, Viewer
from core.kernel.cursor import Cursor
from core.kernel.errors import Closed, CursorExpired, Unavailable
from core.kernel.events import NAMED, PUBLIC, STAFF_ONLY, Event, visible_to
from core.kernel.topics import matches
from tests.core.hub.virtual_time import run
from tests.core.hub.world import TENANT, Air, TrackedStorage, draft, started_hub

TOPICS = ["pets/1", "pets/1/status", "pets/2/status", "orders/1/status", "orders/2/payment", "chats/1"]
AUDIENCES = [PUBLIC, PUBLIC, STAFF_ONLY, visible_to("anna"), visible_to("bert", "anna"), NAMED]
FILTERS = [
    "#",
    "pets/#",
    "+/1/status",
    "orders/+/status",
    "orders/1/#",
    "orders/2/payment",
    "payments/#",
    "chats/1",
]
VIEWERS = [
    Viewer("visitor"),
    Viewer("staff"),
    Viewer("user", "anna"),
    Viewer("user", "bert"),
    Viewer("device", grants=frozenset({"orders/1/#"})),
]
NODES = 2


def concerns(pattern: str, viewer: Viewer, event: Event) -> bool:
    """The rule, told plainly: one filter shows one event to a viewer."""
    if not any(matches(pattern, topic) for topic in event.topics):
        return False
    levels = pattern.split("/")
    names = len(levels) > 1 and levels[1] not in "+#"
    return (
        event.audience.public
        or viewer.kind == "staff"
        or viewer.user_id in event.audience.users
        or (event.audience.named and names)
        or any(matches(grant, topic) for grant in viewer.grants for topic in event.topics)
    )


class Client:
    """A subscriber of some temper, which writes down what it gets and what it has a right to."""

    def __init__(self, subscription: Subscription, filters: frozenset[str], temper: str) -> None:
        self.subscription = subscription
        self.temper = temper
        self.got: list[Event] = []
        self.expired: CursorExpired | None = None
        start = self.place
        #: (filter, from, to): ``to`` is None while it is held.
        self.spans: list[tuple[str, int, int | None]] = [(pattern, start, None) for pattern in filters]
        self.replays = 0
        self.task: asyncio.Task[None] | None = None
        if temper == "loops":
            self.task = asyncio.create_task(self.loop())
        elif temper == "pumps":
            subscription.on_ready = self.pump
            self.pump()

    @property
    def place(self) -> int:
        return Cursor.decode(self.subscription.cursor, TENANT).sequence

    @property
    def held(self) -> set[str]:
        return {pattern for pattern, _, end in self.spans if end is None}

    def take_down(self, batch: Batch) -> None:
        assert batch.events
        self.got += batch.events
        if batch.cursor is not None:
            assert batch.cursor == [event for event in batch.events if event.sequence][-1].cursor

    async def loop(self) -> None:
        try:
            while True:
                self.take_down(await self.subscription.next())
        except CursorExpired as error:
            self.expired = error
        except Closed:
            pass

    def pump(self) -> None:
        if self.task is not None and not self.task.done():
            return
        while (batch := self.subscription.take()) is not None:
            self.take_down(batch)
        if self.subscription.behind:
            self.task = asyncio.create_task(self.follow())

    async def follow(self) -> None:
        try:
            while (batch := await self.subscription.catch_up()) is not None:
                self.take_down(batch)
        except CursorExpired as error:
            self.expired = error
        except Closed:
            pass
        else:
            asyncio.get_running_loop().call_soon(self.pump)

    def leave(self) -> str:
        cursor = self.subscription.cursor
        self.subscription.close()
        if self.task is not None:
            if self.task.done():
                self.task.result()
            self.task.cancel()
        return cursor

    def check(self, log: list[Event], upto: int) -> None:
        """Everything due up to a place came, once and in order, and nothing else did."""
        times = Counter(event.id for event in self.got)
        viewer = self.subscription.viewer
        for event in log:
            spans = [
                (start, end)
                for pattern, start, end in self.spans
                if start < event.sequence and concerns(pattern, viewer, event)
            ]
            ended = [end for _, end in spans if end is not None]
            if event.sequence <= upto and any(end is None or event.sequence <= end for _, end in spans):
                assert times[event.id] >= 1, f"lost {event}"
            # A filter that was taken away and comes back with an old cursor repeats, as it is asked to.
            assert times[event.id] <= (bool(spans) if not ended else len(spans)), (
                f"repeated or foreign {event}"
            )
        sequences = [event.sequence for event in self.got if event.sequence]
        backward = sum(later <= earlier for earlier, later in itertools.pairwise(sequences))
        assert backward <= self.replays
        ephemeral = [event for event in self.got if not event.sequence]
        assert len({event.id for event in ephemeral}) == len(ephemeral)
        patterns = {pattern for pattern, _, _ in self.spans}
        for event in ephemeral:
            assert any(concerns(pattern, viewer, event) for pattern in patterns)


class Errors(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Play:
    """A store with some nodes and clients, to which things happen."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.storage = TrackedStorage(self.random)
        self.air = Air(self.random)
        self.hubs: list[Hub] = []
        self.clients: list[Client] = []
        self.left: list[tuple[Client, int]] = []
        self.log: list[Event] = []
        self.cursors: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        limits = RingLimits(events=6, parked=4, page=5)
        self.hubs = [
            await started_hub(self.storage, self.air, f"node {node}", limits) for node in range(NODES)
        ]
        errors = Errors(logging.ERROR)
        logging.getLogger("core.hub").addHandler(errors)
        try:
            yield
            for hub in self.hubs:
                await hub.stop()
        finally:
            logging.getLogger("core.hub").removeHandler(errors)
        assert errors.records == []

    @property
    def floor(self) -> int:
        return self.storage.log(TENANT).floor

    async def write(self, node: int, choices: list[tuple[int, int]], delay: float | None) -> None:
        drafts = [
            draft(TOPICS[topic], AUDIENCES[audience], aliases=("payments/9/status",) if topic == 4 else ())
            for topic, audience in choices
        ]
        events = await self.storage.append(*drafts)
        self.log += events
        self.cursors += [event.cursor or "" for event in events]
        if delay is not None:
            asyncio.get_running_loop().call_later(delay, self.hubs[node].publish, TENANT, events)

    async def ephemeral(self, node: int, topic: int, audience: int) -> None:
        self.hubs[node].publish(TENANT, [draft(TOPICS[topic], AUDIENCES[audience])])

    async def subscribe(self, node: int, viewer: int, filters: list[int], cursor: Any, temper: str) -> None:
        text = {"now": None, "earliest": "earliest"}.get(cursor, "")
        if text == "":
            text = self.cursors[-1 - cursor % len(self.cursors)] if self.cursors else None
        await self.open(
            self.hubs[node], VIEWERS[viewer], frozenset(FILTERS[index] for index in filters), text, temper
        )

    async def open(
        self, hub: Hub, viewer: Viewer, filters: frozenset[str], cursor: str | None, temper: str
    ) -> None:
        try:
            subscription = await hub.subscribe(TENANT, viewer, filters, cursor)
        except CursorExpired as error:
            assert cursor is not None
            self.was_right(error, Cursor.decode(cursor, TENANT).sequence)
        except Unavailable:
            assert self.storage.away
        else:
            client = Client(subscription, filters, temper)
            if cursor not in (None, "earliest"):
                assert client.place == Cursor.decode(cursor or "", TENANT).sequence
            self.clients.append(client)

    def was_right(self, error: CursorExpired, place: int) -> None:
        assert place < Cursor.decode(error.oldest_cursor, TENANT).sequence <= self.floor

    async def leave(self, client: int) -> None:
        if self.clients:
            leaver = self.clients.pop(client % len(self.clients))
            if leaver.subscription.closed:
                self.clients.append(leaver)
                return
            place = leaver.place
            self.cursors.append(leaver.leave())
            self.left.append((leaver, place))

    async def resume(self, client: int, node: int, temper: str) -> None:
        if self.clients:
            old = self.clients[client % len(self.clients)]
            filters, viewer = old.subscription.filters, old.subscription.viewer
            cursor = old.subscription.cursor
            await self.leave(client)
            await self.open(self.hubs[node], viewer, filters, cursor, temper)

    async def read(self, client: int) -> None:
        """The one who reads only now and then does so."""
        if self.clients:
            reader = self.clients[client % len(self.clients)]
            if reader.temper == "naps":
                reader.pump()

    async def add(self, client: int, pattern: int, cursor: Any) -> None:
        if not self.clients:
            return
        chosen = self.clients[client % len(self.clients)]
        text = None if cursor == "now" or not self.cursors else self.cursors[-1 - cursor % len(self.cursors)]
        added = FILTERS[pattern]
        ring = chosen.subscription._ring
        try:
            await chosen.subscription.subscribe([added], text)
        except CursorExpired as error:
            if not chosen.subscription.closed:
                self.was_right(error, Cursor.decode(text or "", TENANT).sequence)
            return
        except Unavailable:
            assert self.storage.away
            return
        if added not in chosen.held:
            start = ring.head if text is None else Cursor.decode(text, TENANT).sequence
            chosen.spans.append((added, start, None))
            chosen.replays += 1
        if chosen.temper == "pumps":
            chosen.pump()

    async def remove(self, client: int, pattern: int) -> None:
        if not self.clients:
            return
        chosen = self.clients[client % len(self.clients)]
        if chosen.subscription.closed:
            return
        served = chosen.place
        chosen.subscription.unsubscribe([FILTERS[pattern]])
        chosen.spans = [
            (held, start, max(start, served) if end is None and held == FILTERS[pattern] else end)
            for held, start, end in chosen.spans
        ]
        if chosen.temper == "pumps":
            chosen.pump()

    async def trim(self, keep: int) -> None:
        await self.storage.trim_log(None, keep)

    async def away(self, away: bool) -> None:
        self.storage.away = away

    async def gap(self, node: int) -> None:
        for bus in self.air.buses:
            bus.on_gap()

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def look(self) -> None:
        """At every moment, whoever leaves with their cursor must have had all that comes before it."""
        for client in self.clients:
            if client.task is None or client.task.done() or not client.subscription.behind:
                client.check(self.log, client.place)

    async def end(self) -> None:
        self.storage.away = False
        await asyncio.sleep(30)
        for client in self.clients:
            if client.temper == "naps":
                client.pump()
        await asyncio.sleep(30)
        for client, place in self.left:
            client.check(self.log, place)
        for client in self.clients:
            if client.expired is not None:
                self.was_right(client.expired, client.place)
            else:
                assert not client.subscription.behind
                assert client.place == len(self.log)
            client.check(self.log, client.place)
            client.leave()
        for hub in self.hubs:
            statistics = hub.statistics()
            assert (statistics.rings, statistics.selections, statistics.subscriptions) == (0, 0, 0)


nodes = st.integers(0, NODES - 1)
some = st.integers(0, 7)
tempers = st.sampled_from(["pumps", "loops", "naps"])
delays = st.sampled_from([0.0, 0.0, 0.001, 0.3, None])
events = st.lists(
    st.tuples(st.integers(0, len(TOPICS) - 1), st.integers(0, len(AUDIENCES) - 1)), min_size=1, max_size=4
)
patterns = st.integers(0, len(FILTERS) - 1)
writing = st.tuples(st.just("write"), nodes, events, delays)
reading = st.tuples(
    st.just("subscribe"),
    nodes,
    st.integers(0, len(VIEWERS) - 1),
    st.lists(patterns, max_size=3),
    st.one_of(st.sampled_from(["now", "earliest"]), some),
    tempers,
)
waiting = st.tuples(st.just("wait"), st.sampled_from([0.0, 0.002, 0.02, 0.2, 3.0]))
steps = st.one_of(
    writing,
    writing,
    writing,
    reading,
    reading,
    st.tuples(
        st.just("ephemeral"), nodes, st.integers(0, len(TOPICS) - 1), st.integers(0, len(AUDIENCES) - 1)
    ),
    st.tuples(st.just("leave"), some),
    st.tuples(st.just("resume"), some, nodes, tempers),
    st.tuples(st.just("read"), some),
    st.tuples(st.just("add"), some, patterns, st.one_of(st.just("now"), some)),
    st.tuples(st.just("add"), some, patterns, some),
    st.tuples(st.just("remove"), some, patterns),
    st.tuples(st.just("trim"), st.integers(0, 12)),
    st.tuples(st.just("away"), st.sampled_from([True, False, False])),
    st.tuples(st.just("gap"), nodes),
    waiting,
    waiting,
    waiting,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=40, max_size=80), st.integers(0, 2**32))
def test_each_event_comes_once_and_in_order_or_the_cursor_has_expired(
    script: list[tuple[Any, ...]], seed: int
) -> None:
    async def act() -> None:
        play = Play(seed)
        async with play.running():
            for name, *arguments in script:
                await getattr(play, name)(*arguments)
                play.look()
            await play.end()

    run(act())
