"""Delivers to webhooks from this process while no other process does."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.hub.consumers import Consumer, ConsumerCounters
from core.hub.leases import Leaseholder, together
from core.kernel.events import Event
from core.kernel.ids import TenantId, new_id
from core.ports.coordination import Lease
from core.services.webhooks.dispatch import Dispatch, DispatchCounters
from core.services.webhooks.fan_out import FanOut
from core.services.webhooks.records import NAME
from core.store.parts import StoreParts


@dataclass(frozen=True, slots=True)
class WebhookStatistics:
    """``holding`` is 1 in the one process that delivers; ``behind``: events that are no deliveries yet."""

    holding: int
    behind: int
    consumed: ConsumerCounters
    attempts: DispatchCounters


class Deliverer:
    """The one process that holds the lease makes deliveries of events, and attempts those that are due.

    It reads the logs of the tenants in which there was a webhook or a callback: each follows the log, in the
    transaction that makes it.
    """

    def __init__(self, store: StoreParts) -> None:
        self.consumer = Consumer(store.storage, NAME)
        self._store = store
        self._fan_out = FanOut(store)
        self._dispatch = Dispatch(store)
        self._leaseholder = Leaseholder(store.storage, NAME, new_id(), self._serve)
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start, in the background."""
        self._store.hub.observers.add(self.consumer)
        self._running = asyncio.create_task(self._leaseholder.run(), name="webhooks")

    async def stop(self) -> None:
        """Stop, and leave it to another process, which may repeat what was under way."""
        running, self._running = self._running, None
        if running is None:
            return
        self._store.hub.observers.remove(self.consumer)
        running.cancel()
        await asyncio.wait({running})

    def statistics(self) -> WebhookStatistics:
        """Figures for metrics and tests."""
        consumed = self.consumer.statistics()
        return WebhookStatistics(
            holding=int(self._leaseholder.lease is not None),
            behind=consumed.behind,
            consumed=consumed.counters,
            attempts=replace(self._dispatch.counters),
        )

    async def _serve(self, lease: Lease) -> None:
        async def handle(tenant: TenantId, events: Sequence[Event]) -> None:
            if await self._fan_out.take(tenant, events):
                self._dispatch.wake()

        await together(self.consumer.run(lease, handle), self._dispatch.run())
