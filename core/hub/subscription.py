"""One subscriber's place in the log."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from core.hub.batch import Batch
from core.hub.catch_up import CatchUp
from core.hub.reader import LogReader
from core.hub.ring import Ring
from core.hub.selection import Member
from core.hub.viewer import Viewer
from core.kernel.errors import Close, Closed, CloseReason, CursorExpired
from core.kernel.ids import TenantId
from core.kernel.topics import parse_filter

log = logging.getLogger(__name__)


class Subscription:
    """A live, resumable view of one tenant's events; made by ``Hub.subscribe``.

    There are two ways to use it, in turn if need be. A coroutine calls ``next`` in a loop. Or the owner sets
    ``on_ready`` and, whenever it is called, calls ``take`` (at once or when the client can be written to again);
    if that gives nothing and ``behind`` is true, they await ``catch_up`` until it gives None, and take again. It must
    be awaited directly, not within a task, since what comes after its batch may be taken as soon as it is done.

    A subscription is in one of three states: live (member of a Selection: all before its position there is served),
    catching up (all up to ``_catch_up.place`` in the log is served), or ended (all up to ``_ended_at`` was served).
    """

    __slots__ = (
        "_busy", "_catch_up", "_ended_at", "_failure", "_left", "_log", "_member", "_on_ready", "_origins", "_ring",
        "_waiter", "filters", "viewer",
    )  # fmt: skip

    def __init__(
        self, ring: Ring, viewer: Viewer, filters: frozenset[str], start: int, log: LogReader
    ) -> None:
        self.filters = filters
        self.viewer = viewer
        self._ring = ring
        self._log = log
        self._member: Member | None = None
        self._catch_up: CatchUp | None = None
        self._failure: Exception | None = None
        self._ended_at = 0
        self._left = False
        self._on_ready: Callable[[], None] | None = None
        self._busy = False
        self._waiter: asyncio.Future[None] | None = None
        ring.followers.add(self)
        self._origins = dict.fromkeys(filters, start)
        self._begin(start, self._origins)

    @property
    def tenant(self) -> TenantId:
        """The tenant whose events these are."""
        return self._ring.tenant

    @property
    def behind(self) -> bool:
        """Whether it is for ``catch_up`` or ``next`` to go on: the log must be read, or the stream has ended."""
        member = self._member
        if member is None:
            return self._catch_up is not None or not self._left
        return member.position < member.selection.window.start

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
        if callback is not None and (self.behind or not (self._member is None or self._member.idle)):
            self._notify_soon()

    def take(self) -> Batch | None:
        """Everything that is new, in one go; None when there is nothing, or the log must be read (see ``behind``)."""
        member = self._member
        if member is None:
            return None
        selection = member.selection
        window = selection.window
        position = member.position
        if position == window.end:
            return None
        if position < window.start:
            place = self._served()
            self._leave()
            self._catch_up = CatchUp(place, dict.fromkeys(self.filters, place), self._origins)
            return None
        batch = selection.batch(position)
        member.position = window.end
        member.since = batch.place
        member.idle = True
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
        start = await self._log.resolve(self._ring, cursor)
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

    def change_viewer(self, viewer: Viewer) -> None:
        """Go on with the permissions of another viewer, from the place reached. Look at ``behind`` afterwards."""
        if self._failure is None and viewer != self.viewer:
            starts = self._starts()
            self._leave()
            self.viewer = viewer
            self._restart(starts)

    def close(self, close: Close | None = None) -> None:
        """End the stream. With a reason, its owner is told: ``on_ready`` is called, and ``next`` raises Closed.

        Without one it is the owner's own doing, and only a ``next`` that still waits is told.
        """
        if close is None and self._failure is None:
            self._on_ready = None
            self._left = True
        self.end(Closed(close or Close(CloseReason.DRAINING)))

    def end(self, failure: CursorExpired | Closed) -> None:
        """End the stream; ``next`` raises the failure from now on."""
        if self._failure is None:
            self._ended_at = self._served()
            self._failure = failure
            self._leave()
            self._catch_up = None
            self._ring.dismiss(self)
            self.notify()

    def notify(self) -> None:
        """Wake the owner. A callback that fails ends the subscription, and harms nobody else."""
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
        member = self._member
        if member is None:
            return self._ended_at
        selection = member.selection
        if member.position == selection.window.end:
            return self._ring.head
        # Not yet told: the selection knows the place before the first entry since all were last told.
        return max(member.since, selection.since) if member.idle else member.since

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
        if place == self._ring.head:
            self._catch_up = None
            self._member = self._ring.join(self.filters, self.viewer, self)
        else:
            self._catch_up = CatchUp(place, starts, self._origins)

    def _leave(self) -> None:
        if self._member is not None:
            self._ring.leave(self._member)
            self._member = None

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

    async def _read(self, state: CatchUp) -> Batch | None:
        """Read a piece of the log, and go live at its end."""
        try:
            entries = await self._log.after(self._ring, state.place)
        except CursorExpired as expired:
            if self._catch_up is state:
                self.end(expired)
            return None
        if self._catch_up is not state:
            return None
        wanted = state.advance(entries, self.viewer)
        if state.place == self._ring.head:
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
