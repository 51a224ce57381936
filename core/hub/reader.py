"""Reading the event log: for subscribers who begin or are behind, and for rings with a gap."""

import asyncio
import logging
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from core.hub.batch import Entry
from core.hub.ring import Ring
from core.hub.tasks import Tasks
from core.kernel.backoff import backoff_seconds
from core.kernel.cursor import EARLIEST, Cursor
from core.kernel.errors import CursorExpired, StoreError, Unavailable
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.ports.log import LogPage
from core.ports.storage import Storage

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Estimated bytes of the pages kept for other subscribers who come by.
_MAX_KEPT_BYTES = 16 << 20
_MAX_CONCURRENT_READS = 4
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 5.0
#: How long a gap is left alone: most close by themselves, since commits are handed over out of order.
_GAP_GRACE_SECONDS = 0.005


class _EntryPage:
    """Some consecutive events of the log."""

    __slots__ = ("entries", "floor", "last", "size")

    def __init__(self, page: LogPage) -> None:
        self.entries = [Entry(event, event.sequence) for event in page.events]
        #: The sequence before the oldest event of the log when this was read.
        self.floor = page.floor
        self.last = self.entries[-1].place if self.entries else 0
        self.size = sum(entry.size for entry in self.entries)

    def after(self, place: int) -> list[Entry]:
        """The entries behind a place."""
        return self.entries[bisect_right(self.entries, place, key=lambda entry: entry.place) :]


class LogReader:
    """Reads the log through the storage, each piece once for all who want it at the same time.

    A storage that is away is asked again, at growing intervals, for as long as it takes. Everything read is
    offered to the ring, so that no subscriber is ever ahead of it; ``received`` is told what was new there.
    """

    def __init__(
        self, storage: Storage, tasks: Tasks, received: Callable[[TenantId, Sequence[Event]], None]
    ) -> None:
        self.reads = 0
        self.fills = 0
        self._storage = storage
        self._tasks = tasks
        self._received = received
        self._pages: OrderedDict[tuple[TenantId, int], _EntryPage] = OrderedDict()
        self._size = 0
        self._page_tasks: dict[tuple[TenantId, int], asyncio.Task[_EntryPage]] = {}
        self._fill_tasks: dict[Ring, asyncio.Task[None]] = {}
        self._read_slots = asyncio.Semaphore(_MAX_CONCURRENT_READS)

    async def open(self, ring: Ring) -> None:
        """Learn where the log ends. Events that are handed over meanwhile are parked in the ring.

        Raises:
            Unavailable: the log can't be read.
        """
        with _unavailable_when_unreadable():
            heads = await self._storage.heads([ring.tenant])
        ring.open(heads[ring.tenant])
        self.close_gap(ring)

    async def resolve(self, ring: Ring, cursor: str | None) -> int:
        """The sequence that a cursor names, behind which nothing is missing; an open ring has reached it.

        Raises:
            BadRequest: no cursor, or another tenant's.
            CursorExpired: the log does not hold all that follows the cursor.
            Unavailable: the log can't be read.
        """
        if cursor is None:
            return ring.head
        place = (
            Cursor(ring.epoch, ring.tenant, 0) if cursor == EARLIEST else Cursor.decode(cursor, ring.tenant)
        )
        if place.epoch == ring.epoch and ring.covers(place.sequence) and place.sequence <= ring.head:
            return place.sequence
        with _unavailable_when_unreadable():
            page = await self._storage.read_log(ring.tenant, place.sequence, 1)
        start = page.floor if cursor == EARLIEST else place.sequence
        if place.epoch != ring.epoch or not page.floor <= start <= page.head:
            raise CursorExpired(ring.cursor_at(page.floor))
        while ring.head < start and not ring.closed:
            await self._reach(ring, start)
        return start

    async def after(self, ring: Ring, place: int) -> list[Entry]:
        """The next entries behind a place, from the ring if it covers them, else from the log; none at the head.

        Raises:
            CursorExpired: the log no longer holds them.
        """
        if place > ring.head:
            # A page that was read for others told of more than has come to this ring.
            await self._reach(ring, place)
            return []
        if ring.covers(place):
            return ring.after(place, ring.limits.page)
        page = await self._page(ring, place)
        if page.floor > place:
            raise CursorExpired(ring.cursor_at(page.floor))
        return page.after(place)

    def close_gap(self, ring: Ring) -> None:
        """See to it that an open ring reaches what is known to exist."""
        if 0 <= ring.head < ring.known and not ring.closed:
            _ = self._fill(ring)

    def forget(self) -> None:
        """Drop what is kept: history was replaced."""
        self._pages.clear()
        self._size = 0

    async def _page(self, ring: Ring, place: int) -> _EntryPage:
        """A page of the log with the events behind a place, if there are any.

        Pages begin at fixed places, so that subscribers who fell behind at different ones soon share them.
        """
        key = (ring.tenant, place // ring.limits.page * ring.limits.page)
        page = self._pages.get(key)
        if page is not None and page.last > place:
            self._pages.move_to_end(key)
        else:
            task = self._page_tasks.get(key)
            if task is None:
                task = self._page_tasks[key] = self._tasks.spawn(self._read(ring, key))
            page = await self._tasks.join(task)
        # It may have been read for an earlier ring of this tenant.
        if page.last > ring.head:
            self._offer(ring, [entry.event for entry in page.entries])
        return page

    def _fill(self, ring: Ring) -> asyncio.Task[None]:
        """Read what the ring lacks. At most one such task runs for a ring."""
        task = self._fill_tasks.get(ring)
        if task is None:
            task = self._fill_tasks[ring] = self._tasks.spawn(self._read_gap(ring))
        return task

    async def _reach(self, ring: Ring, place: int) -> None:
        """Wait until the ring has come to a place that is known to exist, or is of no use any more."""
        ring.known = max(ring.known, place)
        await self._tasks.join(self._fill(ring))

    async def _read(self, ring: Ring, key: tuple[TenantId, int]) -> _EntryPage:
        try:
            async with self._read_slots:
                found = await self._read_at_last(
                    partial(self._storage.read_log, ring.tenant, key[1], ring.limits.page)
                )
        finally:
            del self._page_tasks[key]
        self.reads += 1
        page = _EntryPage(found)
        self._size += page.size - (old.size if (old := self._pages.pop(key, None)) else 0)
        self._pages[key] = page
        while self._size > _MAX_KEPT_BYTES and len(self._pages) > 1:
            self._size -= self._pages.popitem(last=False)[1].size
        return page

    async def _read_gap(self, ring: Ring) -> None:
        try:
            await asyncio.sleep(_GAP_GRACE_SECONDS)
            while ring.head < ring.known and not ring.closed:
                after = ring.head
                page = await self._read_at_last(
                    partial(self._storage.read_log, ring.tenant, after, ring.limits.page)
                )
                self.fills += 1
                if page.floor > ring.head:
                    ring.expire(page.floor)
                elif page.events:
                    ring.known = max(ring.known, page.head)
                    self._offer(ring, page.events)
                elif ring.head == after:
                    # What a message told of does not exist: events are committed before they are announced.
                    log.warning("event %d of tenant %s is not in the log", ring.known, ring.tenant)
                    ring.parked.clear()
                    ring.known = after
        finally:
            del self._fill_tasks[ring]

    def _offer(self, ring: Ring, events: Sequence[Event]) -> None:
        if not ring.closed:
            new = [event for event in events if ring.offer(event)]
            if new:
                self._received(ring.tenant, new)

    async def _read_at_last(self, read: Callable[[], Awaitable[T]]) -> T:
        failures = 0
        while True:
            try:
                return await read()
            except Exception as error:  # noqa: BLE001 the storage's errors are its own; nothing is lost by waiting
                log.warning("the event log can't be read, trying again: %r", error)
            failures += 1
            pause = backoff_seconds(failures, first=_FIRST_PAUSE_SECONDS, longest=_LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)


@contextmanager
def _unavailable_when_unreadable() -> Iterator[None]:
    """Turn the errors of a storage that is away into the error that callers know."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise Unavailable("The event log can't be read just now.") from error
