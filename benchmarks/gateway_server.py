"""The gateway as it is served, with one addition: after "feed <seconds>" on standard input it makes events itself.

REST cannot write fast enough to show what the fan-out can carry, so events are appended to the real log here, in
batches of one transaction each, and handed to the hub just as a committed operation hands over its own.
"""

import time

from benchmarks.message import mark
from core.events import PUBLIC, Draft, Event
from core.ids import SHARED_TENANT
from core.models.inventory import INVENTORY_CHANGED, InventoryEvent
from core.models.pets import Species
from core.store import Store

BATCH = 100
"""Events in a transaction."""


class NumberedStock(InventoryEvent):
    """A stock event with the benchmark's number."""

    mark: str


class Feeder:
    """Appends events to the shared pool's log as fast as the subscribers take them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def feed(self, seconds: float) -> int:
        """Feeds for so many seconds; returns how many events it made."""
        end, counter, last = time.monotonic() + seconds, 0, False
        while not last:
            last = time.monotonic() >= end
            marks = [mark(counter + i, last=last and i == BATCH) for i in range(1, BATCH + 1)]
            counter += BATCH
            await self._commit([self._event(text) for text in marks])
        return counter

    def _event(self, text: str) -> Event:
        data = NumberedStock(species=Species.DOG, available=45, pending=3, adopted=7, mark=text)
        draft = Draft(INVENTORY_CHANGED, data, PUBLIC, {"species": Species.DOG})
        return draft.to_event(SHARED_TENANT, self._store.clock(), None)

    async def _commit(self, events: list[Event]) -> None:
        async with self._store.storage.write(SHARED_TENANT) as transaction:
            head = await transaction.hold_log()
            placed = [event.at(self._store.epoch, head + i) for i, event in enumerate(events, 1)]
            await transaction.append(placed)
        self._store.hub.publish(SHARED_TENANT, placed)
