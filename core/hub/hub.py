"""The hub: the live end of the event log on this node."""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from core.hub.observers import Observers
from core.hub.peers import Peers
from core.hub.reader import LogReader
from core.hub.ring import DEFAULT_LIMITS, Ring, RingBytes, RingLimits
from core.hub.selection import Selection
from core.hub.statistics import HubCounters, HubStatistics
from core.hub.subscription import Subscription
from core.hub.tasks import Tasks
from core.hub.viewer import Viewer
from core.kernel.cursor import Cursor
from core.kernel.errors import Close, Closed, CloseReason
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.kernel.topics import parse_filter
from core.ports.coordination import Bus
from core.ports.storage import Storage

log = logging.getLogger(__name__)


class Hub:
    """Hands the events of this node and of the others to subscribers: in order, without a gap, each once.

    The log is the truth. What is published or comes over the bus only makes the hub quicker: every ``poll``
    seconds it compares the heads of its rings with the storage's and reads what it lacks.

    ``node`` names this process, uniquely among all that share the bus. ``observers`` see every event on this node;
    ``peers`` are the hubs of the other nodes.
    """

    def __init__(
        self, storage: Storage, bus: Bus, node: str, *, limits: RingLimits = DEFAULT_LIMITS, poll: float = 1.0
    ) -> None:
        self.observers = Observers()
        self._counters = HubCounters()
        self.peers = Peers(bus, node, self._counters, self._receive, self._on_peer_head)
        self._storage = storage
        self._limits = limits
        self._poll = poll
        self._epoch = 0
        self._rings: dict[TenantId, Ring] = {}
        self._held = RingBytes(limits.total_bytes)
        self._opening: dict[Ring, asyncio.Task[None]] = {}
        self._tasks = Tasks()
        self._log = LogReader(storage, self._tasks, self.observers.announce)
        self._dirty: list[Selection] = []
        self._poll_now = asyncio.Event()

    async def start(self) -> None:
        """Begin to receive."""
        self._epoch = await self._storage.epoch()
        await self.peers.start(self._on_gap)
        _ = self._tasks.spawn(self._poll_heads())

    async def stop(self) -> None:
        """End every subscription that is left, and all background work."""
        for ring in list(self._rings.values()):
            for follower in list(ring.followers):
                follower.end(Closed(Close(CloseReason.DRAINING)))
        await self.peers.stop()
        await self._tasks.cancel()

    async def subscribe(
        self, tenant: TenantId, viewer: Viewer, filters: Iterable[str], cursor: str | None = None
    ) -> Subscription:
        """Follow the events that match any of the filters and that the viewer may see.

        It begins behind the cursor; ``"earliest"`` is all that is kept, None only what comes. Whether the viewer
        may use such filters at all is not decided here.

        Raises:
            BadRequest: a bad filter, or a bad or another tenant's cursor.
            CursorExpired: the log does not hold all that follows the cursor.
            Unavailable: the log can't be read.
        """
        wanted = frozenset(map(parse_filter, filters))
        while True:
            with self._pinned(tenant) as ring:
                if (opening := self._opening.get(ring)) is not None:
                    await self._tasks.join(opening)
                start = await self._log.resolve(ring, cursor)
                # From here on nothing waits, so what the ring accepts next is already this subscriber's.
                if not ring.closed:
                    return Subscription(ring, viewer, wanted, start, self._log)

    def publish(self, tenant: TenantId, events: Sequence[Event]) -> None:
        """Hand over what a commit of this node appended, after the commit; or ephemeral events."""
        self._counters.published += len(events)
        self._receive(tenant, events)
        self.peers.tell_events(tenant, events)

    async def cursor_now(self, tenant: TenantId) -> str:
        """The cursor at the present end of a tenant's log, for whoever has no subscription."""
        ring = self._rings.get(tenant)
        if ring is not None and ring.head >= 0:
            return ring.cursor
        return Cursor(self._epoch, tenant, (await self._storage.heads([tenant]))[tenant]).encode()

    def tenants(self) -> list[TenantId]:
        """The tenants that somebody listens to."""
        return list(self._rings)

    def statistics(self) -> HubStatistics:
        """Figures for metrics and tests."""
        rings = list(self._rings.values())
        return HubStatistics(
            rings=len(rings),
            selections=sum(len(ring.selections) for ring in rings),
            subscriptions=sum(len(ring.followers) for ring in rings),
            behind=sum(follower.behind for ring in rings for follower in ring.followers),
            kept_events=sum(len(ring.window) for ring in rings),
            kept_bytes=self._held.total,
            parked_events=sum(len(ring.parked) for ring in rings),
            missing_events=sum(max(0, ring.known - ring.head) for ring in rings if ring.head >= 0),
            page_reads=self._log.reads,
            gap_reads=self._log.fills,
            counters=replace(self._counters),
        )

    # -- rings ---------------------------------------------------------------------------------------------

    @contextmanager
    def _pinned(self, tenant: TenantId) -> Iterator[Ring]:
        """The tenant's ring, which stays meanwhile."""
        ring = self._rings.get(tenant)
        if ring is None:
            ring = self._rings[tenant] = Ring(
                tenant, self._epoch, self._limits, self._held, self._changed, self._released
            )
            self._opening[ring] = self._tasks.spawn(self._open(ring))
        ring.pins += 1
        try:
            yield ring
        finally:
            ring.pins -= 1
            ring.release()

    async def _open(self, ring: Ring) -> None:
        try:
            await self._log.open(ring)
        finally:
            del self._opening[ring]

    def _released(self, ring: Ring) -> None:
        if self._rings.get(ring.tenant) is ring:
            del self._rings[ring.tenant]

    # -- events --------------------------------------------------------------------------------------------

    def _receive(self, tenant: TenantId, events: Sequence[Event]) -> None:
        """Take in events of this node or another."""
        self.observers.announce(tenant, events)
        ring = self._rings.get(tenant)
        if ring is None:
            return
        for event in events:
            if not event.sequence:
                ring.offer_ephemeral(event)
            elif event.epoch != ring.epoch:
                self._poll_now.set()
            elif not ring.offer(event) and event.sequence <= ring.head:
                self._counters.repeated += 1
        self._log.close_gap(ring)

    def _on_peer_head(self, tenant: TenantId, head: int) -> None:
        self.observers.lose(tenant)
        ring = self._rings.get(tenant)
        if ring is not None:
            self._expect(ring, head)

    def _expect(self, ring: Ring, head: int) -> None:
        """The log is known to go up to a head."""
        ring.known = max(ring.known, head)
        self._log.close_gap(ring)

    def _changed(self, selection: Selection) -> None:
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.append(selection)

    def _flush(self) -> None:
        """Wake the subscribers of every selection that has something new: once per turn of the event loop."""
        dirty, self._dirty = self._dirty, []
        for selection in dirty:
            self._counters.wakeups += selection.wake()

    # -- the log's heads -----------------------------------------------------------------------------------

    def _on_gap(self) -> None:
        self.observers.lose(None)
        self._poll_now.set()

    async def _poll_heads(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._poll_now.wait()
            self._poll_now.clear()
            try:
                await self._compare()
            except Exception as error:  # noqa: BLE001 the storage's errors are its own, and it is asked again soon
                self._counters.failed_polls += 1
                log.warning("the heads of the event log can't be read, trying again: %r", error)
                self.observers.lose(None)
                await asyncio.sleep(self._poll)

    async def _compare(self) -> None:
        """Find out what exists in the log and has not come here."""
        epoch = await self._storage.epoch()
        if epoch != self._epoch:
            await self._begin_epoch(epoch)
        heads = await self._storage.heads(list(self._rings))
        for tenant, ring in self._rings.items():
            self._expect(ring, heads.get(tenant, 0))

    async def _begin_epoch(self, epoch: int) -> None:
        """History was replaced by a backup's: no cursor of before leads anywhere."""
        floors = {
            ring: (await self._storage.read_log(ring.tenant, 0, 1)).floor
            for ring in list(self._rings.values())
        }
        self._epoch = epoch
        self._log.forget()
        for ring in list(self._rings.values()):
            ring.epoch = epoch
            ring.expire(floors.get(ring, 0))
        self.observers.lose(None)
