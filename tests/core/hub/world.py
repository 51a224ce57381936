"""A store's log with hubs around it, where everything that may go wrong can be made to."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import ClassVar

from core.hub import Hub, RingLimits
from core.kernel.events import PUBLIC, Audience, Event
from core.kernel.ids import TenantId
from core.ports.coordination import OnMessage
from core.ports.log import LogPage
from gateway.storage.memory import MemoryStorage

TENANT = TenantId("00000000-0000-4000-8000-000000000001")
OTHER = TenantId("00000000-0000-4000-8000-000000000002")

_NUMBERS = itertools.count(1)
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def draft(
    topic: str,
    audience: Audience = PUBLIC,
    *,
    tenant: TenantId = TENANT,
    aliases: tuple[str, ...] = (),
    size: int = 2,
) -> Event:
    """An event that has no place in the log; an ephemeral one if it never gets one."""
    number = next(_NUMBERS)
    return Event(
        id=f"event-{number}",
        event_type="thing.happened",
        tenant=tenant,
        topic=topic,
        timestamp=_BEGIN + timedelta(milliseconds=number),
        audience=audience,
        data=b'"' + b"x" * (size - 2) + b'"',
        aliases=aliases,
    )


class TrackedStorage(MemoryStorage):
    """Storage in memory whose reads take time and may be made to fail, and whose log is easy to write."""

    def __init__(self, random: Random | None = None) -> None:
        super().__init__()
        self.random = random
        self.away = False
        self.page_reads = 0

    async def append(self, *drafts: Event) -> list[Event]:
        """Commit events; gives them with their places."""
        async with self.write(drafts[0].tenant) as transaction:
            head = await transaction.hold_log()
            epoch = await MemoryStorage.epoch(self)
            events = [placed(event, head + place, epoch) for place, event in enumerate(drafts, 1)]
            await transaction.append(events)
        return events

    def restore(self) -> None:
        """Begin a new epoch, with the same events."""
        self._epoch += 1
        for log in self._logs.values():
            log.events[:] = [placed(event, event.sequence, self._epoch) for event in log.events]

    async def epoch(self) -> int:
        await self._delay()
        return await super().epoch()

    async def heads(self, tenants: Sequence[TenantId]) -> dict[TenantId, int]:
        await self._delay()
        found = await super().heads(tenants)
        await self._delay()
        return found

    async def read_log(self, tenant: TenantId, after: int, limit: int) -> LogPage:
        self.page_reads += 1
        await self._delay()
        page = await super().read_log(tenant, after, limit)
        await self._delay()
        return page

    async def _delay(self) -> None:
        if self.random is not None:
            await asyncio.sleep(self.random.choice([0, 0, 0.001, 0.05]))
        if self.away:
            raise ConnectionError("the storage is away")


def placed(event: Event, sequence: int, epoch: int) -> Event:
    """The event at a place of the log."""
    return Event(
        id=event.id,
        event_type=event.event_type,
        tenant=event.tenant,
        topic=event.topic,
        timestamp=event.timestamp,
        audience=event.audience,
        data=event.data,
        aliases=event.aliases,
        sequence=sequence,
        epoch=epoch,
    )


class Air:
    """What connects buses: it loses, repeats, delays and reorders messages by chance."""

    def __init__(self, random: Random | None = None) -> None:
        self.random = random
        self.buses: list[AirBus] = []

    def carry(self, message: bytes, sender: "AirBus") -> None:
        for bus in self.buses:
            random = self.random
            copies = 1 if random is None else random.choice([0, 1, 1, 1, 2])
            for _ in range(copies):
                delay = 0.0 if random is None else random.choice([0, 0, 0.001, 0.1, 2.0])
                asyncio.get_running_loop().call_later(delay, bus.hear, message)


class AirBus:
    """A bus of one node."""

    alone: ClassVar[bool] = False
    healthy = True

    def __init__(self, air: Air) -> None:
        self.on_gap: Callable[[], None] = lambda: None
        self._air = air
        self._on_message: OnMessage | None = None

    def publish(self, message: bytes) -> None:
        self._air.carry(message, self)

    async def start(self, on_message: OnMessage, on_gap: Callable[[], None]) -> None:
        self._on_message = on_message
        self.on_gap = on_gap
        self._air.buses.append(self)

    async def stop(self) -> None:
        self._air.buses.remove(self)

    def hear(self, message: bytes) -> None:
        if self in self._air.buses and self._on_message is not None:
            self._on_message(message)


async def started_hub(
    storage: MemoryStorage, air: Air | None = None, node: str = "a", limits: RingLimits | None = None
) -> Hub:
    """A hub that runs."""
    hub = Hub(storage, AirBus(air or Air()), node, limits=limits or RingLimits())
    await hub.start()
    return hub
