"""Durable readers of every tenant's log: they remember in the database how far they are, and miss nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from core.hub.leases import LeaseLost
from core.kernel.errors import StorageDown
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.ports.coordination import Lag, Lease
from core.ports.records import TransientFailure
from core.ports.storage import Storage

log = logging.getLogger(__name__)

#: Does something about consecutive events of one tenant, and returns when that is durable.
Handle = Callable[[TenantId, Sequence[Event]], Awaitable[None]]


@dataclass(slots=True)
class ConsumerCounters:
    """Events since the process began: dealt with, and gone from the log before they could be read."""

    consumed: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class ConsumerStatistics:
    """``behind``: events that waited for the consumer when it last looked."""

    behind: int
    counters: ConsumerCounters


class Consumer:
    """Hands each event of every tenant to a handler, in each tenant's order, until it is dealt with.

    It observes the events of a hub, which wakes it at once; every ``poll`` seconds it looks by itself. At
    most ``page`` events of a tenant, and ``tenants`` tenants, are with the handler at a time; a crash repeats at most
    those. Only the holder of the lease may run it.
    """

    def __init__(
        self, storage: Storage, name: str, *, page: int = 100, tenants: int = 8, poll: float = 1.0
    ) -> None:
        self.name = name
        self._storage = storage
        self._page = page
        self._tenants = tenants
        self._poll = poll
        self._woken = asyncio.Event()
        self._behind = 0
        self._counters = ConsumerCounters()

    async def enrol(self) -> None:
        """Be known: from now on nothing is missed. See core.ports.storage.Storage."""
        await self._storage.enrol(self.name)

    def on_events(self, tenant: TenantId, events: Sequence[Event]) -> None:  # noqa: ARG002 - an observer's signature
        """See core.hub.EventObserver."""
        self._woken.set()

    def on_lost(self, tenant: TenantId | None) -> None:  # noqa: ARG002 - an observer's signature
        """See core.hub.EventObserver."""
        self._woken.set()

    def statistics(self) -> ConsumerStatistics:
        """Figures for metrics and tests."""
        return ConsumerStatistics(self._behind, replace(self._counters))

    async def run(self, lease: Lease, handle: Handle) -> None:
        """Hand over what there is, and what comes, until cancelled. What the handler raises ends it.

        Raises:
            LeaseLost: somebody else goes on from here.
        """
        away = False
        while True:
            self._woken.clear()
            try:
                more = await self._round(lease, handle)
            except (StorageDown, TransientFailure) as error:
                if not away:
                    log.warning("%s cannot read the event log, trying again: %s", self.name, error)
                away, more = True, False
                await asyncio.sleep(self._poll)
            else:
                away = False
            if not more:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll):
                        await self._woken.wait()

    async def _round(self, lease: Lease, handle: Handle) -> bool:
        """A page of each tenant that has something, so that none waits for a busy one; says whether there is more."""
        behind, waiting, more = "", 0, False
        while True:
            lags = await self._storage.lagging(self.name, behind, self._tenants)
            waiting += sum(lag.head - lag.position for lag in lags)
            # One tenant's failure leaves the others to finish their pages, which are then not repeated.
            pages = await asyncio.gather(
                *(self._next(lease, lag, handle) for lag in lags), return_exceptions=True
            )
            for page in pages:
                if isinstance(page, BaseException):
                    raise page
                more = more or page
            if len(lags) < self._tenants:
                self._behind = waiting
                return more
            behind = lags[-1].tenant

    async def _next(self, lease: Lease, lag: Lag, handle: Handle) -> bool:
        """A tenant's next page; says whether it was not the last."""
        page = await self._storage.read_log(lag.tenant, lag.position, self._page)
        if page.floor > lag.position:
            lost = page.floor - lag.position
            self._counters.lost += lost
            log.error(
                "%s: %d events had left the log before they could be read",
                self.name,
                lost,
                extra={"tenant": lag.tenant},
            )
        if page.events:
            await handle(lag.tenant, page.events)
        reached = page.events[-1].sequence if page.events else max(page.floor, lag.position)
        if not await self._storage.advance(lease, self.name, lag.tenant, reached):
            raise LeaseLost
        self._counters.consumed += len(page.events)
        return reached < page.head
