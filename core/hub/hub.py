"""The hub: the live end of the event log on this node."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Protocol

from core.hub import node_messages
from core.hub.reader import LogReader
from core.hub.ring import DEFAULT_LIMITS, Limits, Ring
from core.hub.selection import Selection
from core.hub.subscription import Subscription
from core.hub.tasks import Tasks
from core.hub.viewer import Viewer
from core.kernel.cursor import EARLIEST, Cursor
from core.kernel.errors import Close, CloseReason, CursorExpired, StoreError, Unavailable
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.kernel.topics import parse_filter
from core.ports.coordination import Bus
from core.ports.storage import Storage

log = logging.getLogger(__name__)

#: Ephemeral events remembered, so that one that the bus repeats is not delivered twice.
_REMEMBERED = 1_024


class Watcher(Protocol):
    """Is told of everything that reaches this node, whether or not anybody listens: a cache."""

    def on_events(self, tenant: TenantId, events: Sequence[Event]) -> None:
        """Events happened. Some may be told of twice, and out of order."""

    def on_lost(self, tenant: TenantId | None) -> None:
        """Events of a tenant (None: of any) may have happened that nobody was told of."""


@dataclass(slots=True)
class Counters:
    """What has happened at a hub since it began; events, unless the name says otherwise."""

    published: int = 0
    received: int = 0
    repeated: int = 0
    malformed_messages: int = 0
    wakeups: int = 0
    failed_polls: int = 0


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a hub holds at the moment, and what has happened there since it began."""

    rings: int
    selections: int
    subscriptions: int
    behind: int
    kept_events: int
    kept_bytes: int
    parked_events: int
    missing_events: int
    page_reads: int
    gap_reads: int
    counters: Counters


#: Told what another node says of the agents there: node, tenant, and their user ids.
OnAgents = Callable[[str, TenantId, frozenset[str]], None]


class Hub:
    """Hands the events of this node and of the others to subscribers: in order, without a gap, each once.

    The log is the truth. What is published or comes over the bus only makes the hub quicker: every ``poll``
    seconds it compares the heads of its rings with the storage's and reads what it lacks.

    ``node`` names this process, uniquely among all that share the bus. ``watchers`` may be added to at any time;
    ``on_agents`` hears what the other nodes tell by ``tell_agents``.
    """

    def __init__(
        self, storage: Storage, bus: Bus, node: str, *, limits: Limits = DEFAULT_LIMITS, poll: float = 1.0
    ) -> None:
        self.watchers: list[Watcher] = []
        self.on_agents: OnAgents | None = None
        self._storage = storage
        self._bus = bus
        self._node = node
        self._limits = limits
        self._poll = poll
        self._epoch = 0
        self._rings: dict[TenantId, Ring] = {}
        self._opening: dict[Ring, asyncio.Task[None]] = {}
        self._tasks = Tasks()
        self._log = LogReader(storage, self._tasks, self._announce)
        self._ephemeral: OrderedDict[str, None] = OrderedDict()
        self._counters = Counters()
        self._dirty: list[Selection] = []
        self._look = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to receive."""
        self._epoch = await self._storage.epoch()
        await self._bus.start(self._on_message, self._on_gap)
        self._looking = self._tasks.spawn(self._keep_looking())

    async def stop(self) -> None:
        """End every subscription that is left, and all background work."""
        for ring in list(self._rings.values()):
            for subscription in list(ring.subscriptions):
                subscription.close(Close(CloseReason.DRAINING))
        await self._bus.stop()
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
            Unavailable: the log can't be read, or too many tenants have listeners.
        """
        wanted = frozenset(map(parse_filter, filters))
        while True:
            ring = self._pin(tenant)
            try:
                if (opening := self._opening.get(ring)) is not None:
                    await self._tasks.join(opening)
                start = await self._resolve(ring, cursor)
                # From here on nothing waits, so what the ring accepts next is already this subscriber's.
                if not ring.closed:
                    return Subscription(ring, viewer, wanted, start, self._log, self._resolve)
            finally:
                ring.pins -= 1
                ring.release()

    def publish(self, tenant: TenantId, events: Sequence[Event]) -> None:
        """Hand over what a commit of this node appended, after the commit; or ephemeral events."""
        self._counters.published += len(events)
        self._announce(tenant, events)
        self._take_in(tenant, events)
        if not self._bus.alone:
            for message in node_messages.encode(self._node, tenant, events):
                self._bus.publish(message)

    async def cursor_now(self, tenant: TenantId) -> str:
        """The cursor at the present end of a tenant's log, for whoever has no subscription."""
        ring = self._rings.get(tenant)
        if ring is not None and ring.head >= 0:
            return ring.cursor
        return Cursor(self._epoch, tenant, (await self._storage.heads([tenant]))[tenant]).encode()

    def statistics(self) -> Statistics:
        """Figures for metrics and tests."""
        rings = list(self._rings.values())
        return Statistics(
            rings=len(rings),
            selections=sum(len(ring.selections) for ring in rings),
            subscriptions=sum(len(ring.subscriptions) for ring in rings),
            behind=sum(subscription.behind for ring in rings for subscription in ring.subscriptions),
            kept_events=sum(len(ring.window) for ring in rings),
            kept_bytes=sum(ring.bytes for ring in rings),
            parked_events=sum(len(ring.parked) for ring in rings),
            missing_events=sum(max(0, ring.known - ring.head) for ring in rings if ring.head >= 0),
            page_reads=self._log.reads,
            gap_reads=self._log.fills,
            counters=replace(self._counters),
        )

    # -- rings ---------------------------------------------------------------------------------------------

    def _pin(self, tenant: TenantId) -> Ring:
        """The tenant's ring, which stays until its pin is taken back."""
        ring = self._rings.get(tenant)
        if ring is None:
            if len(self._rings) >= self._limits.rings:
                raise Unavailable("Too many tenants are listened to here; try again later.", retry_after=10)
            ring = self._rings[tenant] = Ring(
                tenant, self._epoch, self._limits, self._changed, self._released
            )
            self._opening[ring] = self._tasks.spawn(self._open(ring))
        ring.pins += 1
        return ring

    async def _open(self, ring: Ring) -> None:
        """Learn where the log ends. Events that are handed over meanwhile are parked in the ring."""
        try:
            with _reading():
                heads = await self._storage.heads([ring.tenant])
            ring.open(heads[ring.tenant])
            self._fill_if_short(ring)
        finally:
            del self._opening[ring]

    def _released(self, ring: Ring) -> None:
        if self._rings.get(ring.tenant) is ring:
            del self._rings[ring.tenant]

    async def _resolve(self, ring: Ring, cursor: str | None) -> int:
        """The sequence that a cursor names, behind which nothing is missing; an open ring has reached it."""
        if cursor is None:
            return ring.head
        place = (
            Cursor(ring.epoch, ring.tenant, 0) if cursor == EARLIEST else Cursor.decode(cursor, ring.tenant)
        )
        if place.epoch == ring.epoch and ring.covers(place.sequence) and place.sequence <= ring.head:
            return place.sequence
        with _reading():
            page = await self._storage.read_log(ring.tenant, place.sequence, 1)
        start = page.floor if cursor == EARLIEST else place.sequence
        if place.epoch != ring.epoch or not page.floor <= start <= page.head:
            raise CursorExpired(ring.cursor_at(page.floor))
        while ring.head < start and not ring.closed:
            await self._log.reach(ring, start)
        return start

    def _fill_if_short(self, ring: Ring) -> None:
        if 0 <= ring.head < ring.known and not ring.closed:
            _ = self._log.fill(ring)

    # -- events --------------------------------------------------------------------------------------------

    def _announce(self, tenant: TenantId, events: Sequence[Event]) -> None:
        for watcher in self.watchers:
            try:
                watcher.on_events(tenant, events)
            except Exception:
                log.exception("a watcher of events failed")

    def _lose(self, tenant: TenantId | None) -> None:
        for watcher in self.watchers:
            try:
                watcher.on_lost(tenant)
            except Exception:
                log.exception("a watcher of events failed")

    def _take_in(self, tenant: TenantId, events: Sequence[Event], head: int = 0) -> None:
        ring = self._rings.get(tenant)
        if ring is None:
            return
        for event in events:
            if not event.sequence:
                ring.offer_ephemeral(event)
            elif event.epoch != ring.epoch:
                self._look.set()
            elif not ring.offer(event) and event.sequence <= ring.head:
                self._counters.repeated += 1
        ring.known = max(ring.known, head)
        self._fill_if_short(ring)

    def _changed(self, selection: Selection) -> None:
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.append(selection)

    def _flush(self) -> None:
        """Wake the subscribers of every selection that has something new: once per turn of the event loop."""
        dirty, self._dirty = self._dirty, []
        for selection in dirty:
            self._counters.wakeups += selection.wake()

    # -- other nodes ---------------------------------------------------------------------------------------

    def tell_agents(self, tenant: TenantId, agents: frozenset[str]) -> None:
        """Tell the other nodes which of a tenant's agents are at this one."""
        if not self._bus.alone:
            self._bus.publish(node_messages.encode_agents(self._node, tenant, agents))

    def _on_message(self, raw: bytes) -> None:
        try:
            message = node_messages.decode(raw)
        except node_messages.Malformed as fault:
            self._counters.malformed_messages += 1
            log.warning("a malformed message came over the bus: %s", fault)
            return
        if message.node == self._node:
            return
        self._counters.received += len(message.events)
        if message.agents is not None:
            if self.on_agents is not None:
                self.on_agents(message.node, message.tenant, message.agents)
        elif message.events:
            events = [event for event in message.events if event.sequence or self._is_new(event)]
            self._announce(message.tenant, events)
            self._take_in(message.tenant, events)
        else:
            self._lose(message.tenant)
            self._take_in(message.tenant, (), message.head)

    def _is_new(self, event: Event) -> bool:
        """Whether an ephemeral event comes for the first time."""
        if event.id in self._ephemeral:
            return False
        self._ephemeral[event.id] = None
        if len(self._ephemeral) > _REMEMBERED:
            self._ephemeral.popitem(last=False)
        return True

    def _on_gap(self) -> None:
        self._lose(None)
        self._look.set()

    # -- the log's heads -----------------------------------------------------------------------------------

    async def _keep_looking(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._look.wait()
            self._look.clear()
            try:
                await self._compare()
            except Exception as fault:  # noqa: BLE001 the storage's faults are its own, and it is asked again soon
                self._counters.failed_polls += 1
                log.warning("the heads of the event log can't be read, trying again: %r", fault)
                self._lose(None)
                await asyncio.sleep(self._poll)

    async def _compare(self) -> None:
        """Find out what exists in the log and has not come here."""
        epoch = await self._storage.epoch()
        if epoch != self._epoch:
            await self._begin_epoch(epoch)
        heads = await self._storage.heads(list(self._rings))
        for tenant, ring in self._rings.items():
            ring.known = max(ring.known, heads.get(tenant, 0))
            self._fill_if_short(ring)

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
        self._lose(None)


@contextmanager
def _reading() -> Iterator[None]:
    """Turn the faults of a storage that is away into the error that callers know."""
    try:
        yield
    except StoreError:
        raise
    except Exception as fault:
        raise Unavailable("The event log can't be read just now.") from fault
