"""Reading the event log for subscribers who are behind and for rings with a hole."""

import asyncio
import logging
import random
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from core.hub.batch import Entry
from core.hub.ring import Ring
from core.hub.tasks import Tasks
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.ports.log import LogPage
from core.ports.storage import Storage

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Estimated bytes of the pages kept for other subscribers who come by.
_KEPT_BYTES = 16 << 20
_READS_AT_ONCE = 4
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
#: How long a hole is left alone, in seconds: most close by themselves, since commits are handed over out of order.
_PATIENCE = 0.005


class Page:
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
        self._pages: OrderedDict[tuple[TenantId, int], Page] = OrderedDict()
        self._size = 0
        self._reading: dict[tuple[TenantId, int], asyncio.Task[Page]] = {}
        self._filling: dict[Ring, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(_READS_AT_ONCE)

    async def page(self, ring: Ring, place: int) -> Page:
        """A page of the log with the events behind a place, if there are any.

        Pages begin at fixed places, so that subscribers who fell behind at different ones soon share them.
        """
        key = (ring.tenant, place // ring.limits.page * ring.limits.page)
        page = self._pages.get(key)
        if page is not None and page.last > place:
            self._pages.move_to_end(key)
        else:
            task = self._reading.get(key)
            if task is None:
                task = self._reading[key] = self._tasks.spawn(self._read(ring, key))
            page = await self._tasks.join(task)
        # It may have been read for an earlier ring of this tenant.
        if page.last > ring.head:
            self._offer(ring, [entry.event for entry in page.entries])
        return page

    def fill(self, ring: Ring) -> asyncio.Task[None]:
        """See to it that the ring reaches what is known to exist. At most one such task runs for a ring."""
        task = self._filling.get(ring)
        if task is None:
            task = self._filling[ring] = self._tasks.spawn(self._fill(ring))
        return task

    async def reach(self, ring: Ring, place: int) -> None:
        """Wait until the ring has come to a place that is known to exist, or is of no use any more."""
        ring.known = max(ring.known, place)
        await self._tasks.join(self.fill(ring))

    def forget(self) -> None:
        """Drop what is kept: history was replaced."""
        self._pages.clear()
        self._size = 0

    async def _read(self, ring: Ring, key: tuple[TenantId, int]) -> Page:
        try:
            async with self._turn:
                found = await self._insist(
                    partial(self._storage.read_log, ring.tenant, key[1], ring.limits.page)
                )
        finally:
            del self._reading[key]
        self.reads += 1
        page = Page(found)
        self._size += page.size - (old.size if (old := self._pages.pop(key, None)) else 0)
        self._pages[key] = page
        while self._size > _KEPT_BYTES and len(self._pages) > 1:
            self._size -= self._pages.popitem(last=False)[1].size
        return page

    async def _fill(self, ring: Ring) -> None:
        try:
            await asyncio.sleep(_PATIENCE)
            while ring.head < ring.known and not ring.closed:
                after = ring.head
                page = await self._insist(
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
            del self._filling[ring]

    def _offer(self, ring: Ring, events: Sequence[Event]) -> None:
        if not ring.closed:
            new = [event for event in events if ring.offer(event)]
            if new:
                self._received(ring.tenant, new)

    async def _insist(self, read: Callable[[], Awaitable[T]]) -> T:
        pause = _FIRST_PAUSE
        while True:
            try:
                return await read()
            except Exception as fault:  # noqa: BLE001 the storage's faults are its own; nothing is lost by waiting
                log.warning("the event log can't be read, trying again: %r", fault)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(2 * pause, _LONGEST_PAUSE)
