"""The bridge to the broker: one process of all holds the lease, publishes every event, and takes telemetry."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.hub.consumers import Consumer, ConsumerCounters
from core.hub.leases import Leaseholder, LeaseLost
from core.kernel.backoff import backoff_seconds
from core.kernel.errors import StorageDown
from core.kernel.events import Event
from core.kernel.ids import TenantId, new_id
from core.ports.coordination import Lease
from core.ports.records import TransientFailure
from core.store.store import Store
from gateway.broker.address import BrokerAddress
from gateway.broker.control import RESPONSES, Control, NoControl
from gateway.broker.devices import Fleet
from gateway.broker.link import Link, LinkFailed, Refused
from gateway.broker.provisioning import Provisioner, admit_gateway
from gateway.broker.publishing import messages_of
from gateway.broker.readings import FILTERS, Telemetry
from gateway.broker.readings import Counters as TelemetryCounters

log = logging.getLogger(__name__)

#: The consumer's and the lease's name, and the client id at the broker: all that is kept goes by it.
NAME = "mqtt-broker"
IDENTIFIER = "petstore-gateway"

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
#: Events of one tenant, and tenants, that may be on their way to the broker at once.
_PAGE, _TENANTS = 100, 8
#: Seconds between two looks for changed devices, and between two comparisons of all of them.
_LOOK, _COMPARE = 2.0, 600.0
#: Seconds for which it is believed that a broker answers which another process serves.
_BELIEVED = 5.0
_REACH = 2.0


@dataclass(slots=True)
class Counters:
    """What has happened since the process began; messages, unless the name says otherwise.

    ``oversized`` were too large for the broker, and skipped.
    """

    published: int = 0
    oversized: int = 0
    connections: int = 0
    failures: int = 0
    telemetry: TelemetryCounters = field(default_factory=TelemetryCounters)


@dataclass(frozen=True, slots=True)
class Statistics:
    """``holding`` and ``connected`` are 1 in the one process that serves the broker, if all is well."""

    holding: int
    connected: int
    behind: int
    devices: int
    consumed: ConsumerCounters
    counters: Counters


class Bridge:
    """Serves the broker from this process while no other one does."""

    def __init__(self, store: Store, address: BrokerAddress) -> None:
        self.address = address
        self.consumer = Consumer(store.storage, NAME, page=_PAGE, tenants=_TENANTS)
        self._store = store
        self._fleet = Fleet(store.storage, store.clock)
        self._leaseholder = Leaseholder(store.storage, NAME, new_id(), self._serve)
        self._connected = False
        self._counters = Counters()
        self._reached_at = float("-inf")
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the background."""
        self._store.hub.observers.add(self.consumer)
        self._running = asyncio.create_task(self._leaseholder.run(), name="MQTT broker")

    async def stop(self) -> None:
        """End, and leave the broker to another process; what is on its way may be published again there."""
        running, self._running = self._running, None
        if running is None:
            return
        self._store.hub.observers.remove(self.consumer)
        running.cancel()
        await asyncio.wait({running})

    async def check(self) -> None:
        """Raise unless the broker answers: to us, if it is ours to serve, else to anybody who knocks."""
        if self._leaseholder.lease is not None:
            if not self._connected:
                raise ConnectionError
            return
        now = asyncio.get_running_loop().time()
        if now - self._reached_at > _BELIEVED:
            async with asyncio.timeout(_REACH):
                _, writer = await asyncio.open_connection(self.address.host, self.address.port)
            writer.transport.abort()
            self._reached_at = now

    def statistics(self) -> Statistics:
        """Figures for metrics and tests."""
        consumed = self.consumer.statistics()
        return Statistics(
            holding=int(self._leaseholder.lease is not None),
            connected=int(self._connected),
            behind=consumed.behind,
            devices=len(self._fleet.devices),
            consumed=consumed.counters,
            counters=replace(self._counters),
        )

    # -- while the lease is ours -----------------------------------------------------------------------------

    async def _serve(self, lease: Lease) -> None:
        """Have a connection, and make another one after ever longer pauses."""
        await self._prepare()
        loop = asyncio.get_running_loop()
        failures, known = 0, ""
        while True:
            began = loop.time()
            try:
                # Whoever connects ends the connection of who was there before, and that must not be the new holder.
                await self._leaseholder.confirm(lease)
                # What devices have sent meanwhile comes at once, from new ones too.
                await self._fleet.refresh()
                async with Link(self.address, IDENTIFIER) as link:
                    self._counters.connections += 1
                    await self._converse(link, lease)
            except (LinkFailed, StorageDown, TransientFailure) as fault:
                self._counters.failures += 1
                if str(fault) != known:
                    log.warning("%s: %s; trying again", self.address, fault)
                known = str(fault)
            if loop.time() - began > _LONGEST_PAUSE:
                failures, known = 0, ""
            failures += 1
            await asyncio.sleep(backoff_seconds(failures, first=_FIRST_PAUSE, longest=_LONGEST_PAUSE))

    async def _prepare(self) -> None:
        """What the database has to say before anything can begin."""
        while True:
            try:
                await self.consumer.enrol()
                await self._fleet.load()
            except (StorageDown, TransientFailure) as fault:
                log.warning("%s cannot be served yet: %s", self.address, fault)
                await asyncio.sleep(_LOOK)
            else:
                return

    async def _converse(self, link: Link, lease: Lease) -> None:
        """Everything that happens on one connection; it ends by raising."""
        control = Control(link)
        incoming = Telemetry(link, self._store, self._fleet, self._counters.telemetry)
        try:
            await _together(
                self._receive(link, control, incoming),
                incoming.run(),
                self._begin(link, lease, control),
            )
        finally:
            self._connected = False

    async def _receive(self, link: Link, control: Control, incoming: Telemetry) -> None:
        while True:
            message = await link.receive()
            if message.topic == RESPONSES:
                control.take(message)
                link.acknowledge(message)
            else:
                incoming.take(message)

    async def _begin(self, link: Link, lease: Lease, control: Control) -> None:
        provisioner = await self._provisioner(link, control)
        try:
            await link.subscribe(FILTERS)
        except Refused as fault:
            log.error("%s: no telemetry is taken: %s", self.address, fault)
        self._connected = True
        log.info("%s is served", self.address)

        async def handle(_: TenantId, events: Sequence[Event]) -> None:
            await self._publish(link, events)

        await _together(self.consumer.run(lease, handle), self._mind_devices(provisioner))

    async def _publish(self, link: Link, events: Sequence[Event]) -> None:
        messages = [message for event in events for message in messages_of(event)]
        fitting = [message for message in messages if link.fits(message)]
        if len(fitting) < len(messages):
            self._counters.oversized += len(messages) - len(fitting)
            log.error("%s: %d messages are too large for it", self.address, len(messages) - len(fitting))
        await link.publish(fitting)
        self._counters.published += len(fitting)

    # -- accounts at the broker --------------------------------------------------------------------------------

    async def _provisioner(self, link: Link, control: Control) -> Provisioner | None:
        """Who keeps the accounts of devices, where the broker lets us."""
        if self.address.username is None:
            return None
        try:
            await link.subscribe([RESPONSES])
            await admit_gateway(control, self.address.username)
        except (NoControl, Refused) as fault:
            log.warning("%s: dynamic security: %s; accounts there are not ours to keep", self.address, fault)
            return None
        return Provisioner(control, self._store)

    async def _mind_devices(self, provisioner: Provisioner | None) -> None:
        """Know the devices, and keep their accounts; a new connection may be to a broker that has lost them."""
        loop = asyncio.get_running_loop()
        compared, known = float("-inf"), ""
        while True:
            try:
                if loop.time() - compared > _COMPARE:
                    await self._fleet.load()
                    if provisioner is not None:
                        await provisioner.reconcile(self._fleet.devices.values())
                    compared = loop.time()
                else:
                    new, gone = await self._fleet.refresh()
                    if provisioner is not None:
                        await provisioner.create(new)
                        await provisioner.remove([device.username for device in gone])
            except (StorageDown, TransientFailure, NoControl) as fault:
                if str(fault) != known:
                    log.warning("%s: the devices' accounts cannot be kept: %s", self.address, fault)
                # What was looked at is known and yet not dealt with.
                compared, known = float("-inf"), str(fault)
            else:
                known = ""
            await asyncio.sleep(_LOOK)


async def _together(*works: Coroutine[Any, Any, None]) -> None:
    """Run things that never end by themselves until one of them raises, and raise that."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    faults = [fault for task in tasks if not task.cancelled() and (fault := task.exception()) is not None]
    # Among several, the lost lease is the one that must not be passed over.
    for fault in sorted(faults, key=lambda fault: not isinstance(fault, LeaseLost)):
        raise fault
