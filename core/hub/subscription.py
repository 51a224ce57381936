"""One subscriber's place in the log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from core.hub.batch import Batch, Entry
from core.hub.reader import LogReader
from core.hub.ring import Ring
from core.hub.selection import Selection
from core.hub.viewer import Viewer
from core.kernel.errors import Close, Closed, CloseReason, CursorExpired
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.kernel.topics import TopicTrie, parse_filter

log = logging.getLogger(__name__)

#: Estimated bytes after which a batch from the log ends; one event more than this is a batch of its own.
_BATCH_BYTES = 1 << 20

#: Finds where a cursor leads in the ring's log, or raises CursorExpired or BadRequest.
Resolve = Callable[[Ring, str | None], Awaitable[int]]


class _CatchUp:
    """How far a subscriber who is behind has read the log: to ``place``.

    ``starts`` says up to where each of his filters has been served before, since it began at its ``origins``.
    """

    __slots__ = ("origins", "place", "starts", "trie")

    def __init__(self, place: int, starts: Mapping[str, int], origins: Mapping[str, int]) -> None:
        self.place = place
        self.starts = starts
        self.origins = origins
        self.trie: TopicTrie[str] = TopicTrie()
        for pattern in starts:
            self.trie.add(pattern, pattern)

    def wants(self, event: Event, viewer: Viewer) -> bool:
        """Whether an event of the log is still to be delivered."""
        sequence = event.sequence
        if not sequence:
            return False
        matching = self.trie.find(event.topics)
        due = [pattern for pattern in matching if self.starts[pattern] < sequence]
        if not due or not viewer.sees(event, due):
            return False
        if len(due) == len(matching):
            return True
        done = [pattern for pattern in matching if self.origins[pattern] < sequence <= self.starts[pattern]]
        return not done or not viewer.sees(event, done)


class Subscription:
    """A live, resumable view of one tenant's events; made by ``Hub.subscribe``.

    There are two ways to use it, in turn if need be. A coroutine calls ``next`` in a loop. Or the owner sets
    ``on_ready`` and, whenever it is called, calls ``take`` (at once or when the client can be written to again);
    if that gives nothing and ``behind`` is true, he awaits ``catch_up`` until it gives None, and takes again. It must
    be awaited directly, not within a task, since what comes after its batch may be taken as soon as it is done.

    A subscription is in one of three states: live (member of a Selection: all before ``position`` in its window is
    served), catching up (all up to ``_catch_up.place`` in the log is served), or ended.
    """

    __slots__ = (
        "_busy", "_catch_up", "_failure", "_left", "_log", "_on_ready", "_origins", "_resolve", "_ring",
        "_selection", "_waiter", "filters", "idle", "position", "since", "viewer",
    )  # fmt: skip

    def __init__(
        self,
        ring: Ring,
        viewer: Viewer,
        filters: frozenset[str],
        start: int,
        log: LogReader,
        resolve: Resolve,
    ) -> None:
        self.filters = filters
        self.viewer = viewer
        #: While live: the index in the selection's window of what is to be taken next.
        self.position = 0
        #: While live: a place up to which the log is served, from which it is read after falling behind.
        #: After the end: the place up to which it was served.
        self.since = 0
        #: While live: not yet told of what there is to take.
        self.idle = True
        self._ring = ring
        self._log = log
        self._resolve = resolve
        self._selection: Selection | None = None
        self._catch_up: _CatchUp | None = None
        self._failure: Exception | None = None
        self._left = False
        self._on_ready: Callable[[], None] | None = None
        self._busy = False
        self._waiter: asyncio.Future[None] | None = None
        ring.subscriptions.add(self)
        self._origins = dict.fromkeys(filters, start)
        self._begin(start, self._origins)

    @property
    def tenant(self) -> TenantId:
        """The tenant whose events these are."""
        return self._ring.tenant

    @property
    def behind(self) -> bool:
        """Whether it is for ``catch_up`` or ``next`` to go on: the log must be read, or the stream has ended."""
        selection = self._selection
        if selection is None:
            return self._catch_up is not None or not self._left
        return self.position < selection.window.start

    @property
    def closed(self) -> bool:
        """Whether the stream has ended."""
        return self._failure is not None

    @property
    def cursor(self) -> str:
        """The place up to which this subscription has been served: the log's head when it is up to date."""
        served = self._served()
        return self._ring.cursor if served == self._ring.head else self._ring.cursor_at(served)

    @property
    def on_ready(self) -> Callable[[], None] | None:
        """Called, without waiting, when there is something new to take, or ``next`` to be awaited.

        Not again until ``take`` or ``next`` has been called, and never during ``next``.
        """
        return self._on_ready

    @on_ready.setter
    def on_ready(self, callback: Callable[[], None] | None) -> None:
        self._on_ready = callback
        if callback is not None and (self.behind or not self.idle):
            self._notify_soon()

    def take(self) -> Batch | None:
        """Everything that is new, in one go; None when there is nothing, or the log must be read (see ``behind``)."""
        selection = self._selection
        if selection is None:
            return None
        window = selection.window
        position = self.position
        if position == window.end:
            return None
        if position < window.start:
            place = self._served()
            self._leave()
            self._catch_up = _CatchUp(place, dict.fromkeys(self.filters, place), self._origins)
            return None
        batch = selection.batch(position)
        self.position = window.end
        self.since = batch.place
        self.idle = True
        return batch

    async def catch_up(self) -> Batch | None:
        """While behind: the next page of what there is to deliver; None as soon as ``take`` can go on.

        Raises:
            CursorExpired: the log no longer holds what comes next; the stream has ended.
            Closed: the stream was ended for another reason.
        """
        assert not self._busy, "one call of next or catch_up at a time"
        self._busy = True
        try:
            return await self._advance()
        finally:
            self._busy = False

    async def next(self) -> Batch:
        """Wait for events and return all there are, a page at a time while behind.

        Raises:
            CursorExpired, Closed: as in ``catch_up``.
        """
        assert not self._busy, "one call of next or catch_up at a time"
        self._busy = True
        try:
            while (batch := await self._advance() or self.take()) is None:
                if not self.behind:
                    await self._wait()
            return batch
        finally:
            self._busy = False

    async def subscribe(self, filters: Iterable[str], cursor: str | None = None) -> None:
        """Add topic filters that begin at a cursor (None: now). Those already there go on as they were.

        What the new filters match up to now is replayed for them alone; nothing is repeated or lost for the others.
        Look at ``behind`` afterwards.

        Raises:
            BadRequest: a bad filter or cursor.
            CursorExpired: for the cursor given; the subscription goes on as it was.
            Closed: the stream has ended.
        """
        added = {parse_filter(pattern) for pattern in filters}
        start = await self._resolve(self._ring, cursor)
        if self._failure is not None:
            raise self._failure
        starts = self._starts()
        self._origins = dict.fromkeys(added, start) | self._origins
        self._change(dict.fromkeys(added, start) | starts)

    def unsubscribe(self, filters: Iterable[str]) -> None:
        """Remove topic filters; those that are not there are passed over. Look at ``behind`` afterwards."""
        if self._failure is None:
            starts = self._starts()
            for pattern in filters:
                starts.pop(pattern, None)
            self._change(starts)

    def look_as(self, viewer: Viewer) -> None:
        """Go on in other rights, from the place reached. Look at ``behind`` afterwards."""
        if self._failure is None and viewer != self.viewer:
            starts = self._starts()
            self._leave()
            self.viewer = viewer
            self._restart(starts)

    def close(self, close: Close | None = None) -> None:
        """End the stream. With a reason, its user is told: ``on_ready`` is called, and ``next`` raises Closed.

        Without one it is the user's own doing, and only a ``next`` that still waits is told.
        """
        if close is None and self._failure is None:
            self._on_ready = None
            self._left = True
        self.end(Closed(close or Close(CloseReason.DRAINING)))

    def end(self, failure: CursorExpired | Closed) -> None:
        """End the stream; ``next`` raises the failure from now on."""
        if self._failure is None:
            self.since = self._served()
            self._failure = failure
            if self._selection is not None:
                self._leave()
            self._catch_up = None
            self._ring.dismiss(self)
            self.notify()

    def notify(self) -> None:
        """Wake whoever uses this subscription. A callback that fails ends it, and harms nobody else."""
        if self._busy:
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)
        elif self._on_ready is not None:
            try:
                self._on_ready()
            except Exception:
                log.exception("a subscriber failed")
                self._on_ready = None
                self.close(Close(CloseReason.INTERNAL))

    def _served(self) -> int:
        if self._catch_up is not None:
            return self._catch_up.place
        selection = self._selection
        if selection is None:
            return self.since
        if self.position == selection.window.end:
            return self._ring.head
        # Not yet told: the selection knows the place before the first entry since all were last told.
        return max(self.since, selection.since) if self.idle else self.since

    def _starts(self) -> dict[str, int]:
        """The place up to which each filter has been served."""
        served = self._served()
        if self._catch_up is None:
            return dict.fromkeys(self.filters, served)
        return {pattern: max(start, served) for pattern, start in self._catch_up.starts.items()}

    def _change(self, starts: dict[str, int]) -> None:
        filters = frozenset(starts)
        if filters == self.filters:
            return
        self._leave()
        self.filters = filters
        self._origins = {pattern: self._origins[pattern] for pattern in filters}
        self._restart(starts)

    def _restart(self, starts: dict[str, int]) -> None:
        self._begin(min(starts.values(), default=self._ring.head), starts)
        if self._catch_up is not None:
            self._notify_soon()

    def _begin(self, place: int, starts: Mapping[str, int]) -> None:
        """Go on behind a place of the log: live if that is its head, else by catching up."""
        self.idle = True
        if place == self._ring.head:
            self._catch_up = None
            self._selection = self._ring.join(self, self.filters, self.viewer)
            self.position = self._selection.window.end
            self.since = place
        else:
            self._catch_up = _CatchUp(place, starts, self._origins)

    def _leave(self) -> None:
        if self._selection is not None:
            self._ring.leave(self, self._selection)
            self._selection = None

    async def _advance(self) -> Batch | None:
        while True:
            if self._failure is not None:
                raise self._failure
            if not self.behind:
                return None
            # Notes, when it has just fallen behind, from where to read.
            batch = self.take()
            if batch is None and self._catch_up is not None:
                batch = await self._read(self._catch_up)
            if batch is not None:
                return batch

    async def _read(self, state: _CatchUp) -> Batch | None:
        """Read a piece of the log, from the ring if it is there, and go live at its end."""
        ring, place = self._ring, state.place
        if place > ring.head:
            # A page that was read for others told of more than has come to this ring.
            await self._log.reach(ring, place)
            return None
        if ring.covers(place):
            entries = ring.after(place, ring.limits.page)
        else:
            page = await self._log.page(ring, place)
            if self._catch_up is not state:
                return None
            if page.floor > place:
                self.end(CursorExpired(ring.cursor_at(page.floor)))
                return None
            entries = page.after(place)
        wanted: list[Entry] = []
        size = 0
        for entry in entries:
            state.place = entry.place
            if state.wants(entry.event, self.viewer):
                wanted.append(entry)
                size += entry.size
                if size > _BATCH_BYTES:
                    break
        if state.place == ring.head:
            self._begin(state.place, state.starts)
        if wanted:
            return Batch(wanted)
        await asyncio.sleep(0)
        return None

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _notify_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self.notify)
