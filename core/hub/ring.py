"""The hot tail of one tenant's log, in memory while somebody listens."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from core.hub.batch import Entry
from core.hub.index import Index
from core.hub.selection import Member, Selection, Subscriber
from core.hub.viewer import Viewer
from core.hub.window import Window
from core.kernel.cursor import Cursor
from core.kernel.errors import Closed, CursorExpired
from core.kernel.events import Event
from core.kernel.ids import TenantId


@dataclass(frozen=True, slots=True)
class RingLimits:
    """How much a hub keeps: in each ring events, their estimated bytes, and events that wait behind a gap.

    ``total_bytes`` are those of all rings. ``page`` is how many events are read from the log at once.
    """

    events: int = 8_192
    bytes: int = 16 << 20
    total_bytes: int = 256 << 20
    parked: int = 1_024
    page: int = 256


DEFAULT_LIMITS = RingLimits()


class Follower(Protocol):
    """What relies on a ring: a subscription."""

    @property
    def behind(self) -> bool:
        """Whether it must read the log."""

    def end(self, failure: CursorExpired | Closed) -> None:
        """It can't go on."""


class RingBytes:
    """What the rings of a hub hold together. Where it is too much, the ring that has been quiet the longest is emptied.

    So nobody who listens is refused for others who do, in however many tenants: those of a ring that was emptied read
    the log. There are no more rings than connections, since each has a follower.
    """

    def __init__(self, most: int) -> None:
        self.total = 0
        self._most = most
        #: Those that hold something, the quietest first.
        self._rings: dict[Ring, None] = {}

    def grow(self, ring: "Ring", size: int) -> None:
        """A ring holds more."""
        self.total += size
        self._rings.pop(ring, None)
        self._rings[ring] = None
        while self.total > self._most:
            quietest = next(iter(self._rings))
            if quietest is ring:
                quietest.evict()
            else:
                quietest.empty()

    def shrink(self, ring: "Ring", size: int) -> None:
        """A ring holds less."""
        self.total -= size
        if not ring.bytes:
            del self._rings[ring]

    def forget(self, ring: "Ring") -> None:
        """A ring has ended."""
        if self._rings.pop(ring, ring) is None:
            self.total -= ring.bytes


class Ring:
    """Events in log order without a gap, up to ``head``, with the ephemeral ones where they came.

    Nothing here waits. Events may be handed in out of order and repeatedly: only the one behind ``head`` gets
    in; what is ahead is parked until the gap is filled. ``known`` is the highest sequence that is said to exist,
    so that ``head < known`` means that the log must be read. ``floor`` is the sequence before the oldest
    logged event held.
    """

    def __init__(
        self,
        tenant: TenantId,
        epoch: int,
        limits: RingLimits,
        held: RingBytes,
        changed: Callable[[Selection], None],
        released: Callable[["Ring"], None],
    ) -> None:
        self.tenant = tenant
        self.epoch = epoch
        self.head = -1
        self.known = 0
        self.floor = 0
        self.followers: set[Follower] = set()
        #: How many calls rely on the ring without a subscription yet.
        self.pins = 0
        self.closed = False
        self.parked: dict[int, Event] = {}
        self.selections: dict[tuple[frozenset[str], Viewer], Selection] = {}
        self.window: Window[Entry] = Window()
        self.bytes = 0
        self.limits = limits
        self._held = held
        self._changed = changed
        self._released = released
        #: For each entry of the window, the selections that hold it.
        self._holders: deque[tuple[Selection, ...]] = deque()
        self._index = Index()
        self._cursor = ""
        self._cursor_head = -1

    @property
    def cursor(self) -> str:
        """The head, as clients see it."""
        if self._cursor_head != self.head:
            self._cursor = self.cursor_at(self.head)
            self._cursor_head = self.head
        return self._cursor

    def cursor_at(self, sequence: int) -> str:
        """A place in this log, as clients see it."""
        return Cursor(self.epoch, self.tenant, sequence).encode()

    def open(self, head: int) -> None:
        """Begin at the log's present head; what was handed in meanwhile follows."""
        self.head = self.floor = head
        self.known = max(self.known, head)
        for sequence in [sequence for sequence in self.parked if sequence <= head]:
            del self.parked[sequence]
        self._unpark()

    def offer(self, event: Event) -> bool:
        """Hand in an event of the log, from wherever; says whether it was the next one."""
        ahead = event.sequence - self.head
        if ahead == 1:
            self._append(Entry(event, event.sequence))
            self._unpark()
            return True
        if ahead > 1:
            self.known = max(self.known, event.sequence)
            if len(self.parked) < self.limits.parked:
                self.parked[event.sequence] = event
        return False

    def offer_ephemeral(self, event: Event) -> None:
        """Hand in an event that is not in the log."""
        if self.head >= 0:
            self._append(Entry(event, self.head))

    def covers(self, place: int) -> bool:
        """Whether everything behind a place of the log is held."""
        return self.floor <= place

    def after(self, place: int, limit: int) -> list[Entry]:
        """At most so many entries behind a place of the log that the ring covers; ephemeral ones may be among them."""
        window = self.window
        first = bisect_right(range(window.start, window.end), place, key=lambda index: window[index].place)
        first += window.start
        return window.cut(first, min(first + limit, window.end))

    def join(self, filters: frozenset[str], viewer: Viewer, subscriber: Subscriber) -> Member:
        """Make a subscriber a member of the selection for filters and viewer, from the next event on."""
        key = (filters, viewer)
        selection = self.selections.get(key)
        if selection is None:
            selection = self.selections[key] = Selection(filters, viewer)
            self._index.add(selection)
        member = Member(selection, subscriber, self.head)
        selection.members[member] = None
        return member

    def leave(self, member: Member) -> None:
        """End a membership, and the selection with its last one. The member is notified of nothing more."""
        selection = member.selection
        member.idle = True
        del selection.members[member]
        if not selection.members:
            self._index.remove(selection)
            del self.selections[(selection.filters, selection.viewer)]

    def dismiss(self, follower: Follower) -> None:
        """Let a follower go for good."""
        self.followers.discard(follower)
        self.release()

    def release(self) -> None:
        """End the ring when nobody needs it any more."""
        if not self.followers and not self.pins:
            self._end()

    def expire(self, oldest: int) -> None:
        """End every follower: the log no longer holds what comes after the head."""
        self._end()
        for follower in list(self.followers):
            follower.end(CursorExpired(self.cursor_at(oldest)))

    def empty(self) -> None:
        """Hold nothing of what is in the log: whoever has not got it yet reads it there."""
        while self.window:
            self.evict()

    def _end(self) -> None:
        self.closed = True
        self._held.forget(self)
        self._released(self)

    def _unpark(self) -> None:
        while (event := self.parked.pop(self.head + 1, None)) is not None:
            self._append(Entry(event, event.sequence))

    def _append(self, entry: Entry) -> None:
        self.head = entry.place
        if self.known < self.head:
            self.known = self.head
        self.window.append(entry)
        self.bytes += entry.size
        holders = tuple(self._index.find(entry.event))
        self._holders.append(holders)
        for selection in holders:
            if not selection.dirty:
                selection.dirty = True
                selection.since = entry.before
                self._changed(selection)
            selection.append(entry)
        self._held.grow(self, entry.size)
        while len(self.window) > self.limits.events or self.bytes > self.limits.bytes:
            self.evict()

    def evict(self) -> None:
        """Hold the oldest entry no more."""
        entry = self.window.drop()
        self.bytes -= entry.size
        self._held.shrink(self, entry.size)
        self.floor = max(self.floor, entry.place)
        for selection in self._holders.popleft():
            selection.window.drop()
