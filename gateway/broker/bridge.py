"""The bridge to the broker: the one process that holds the lease publishes every event and takes devices'
readings."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from core.hub.consumers import Consumer, ConsumerCounters
from core.hub.leases import Leaseholder, together
from core.kernel.backoff import backoff_seconds
from core.kernel.errors import StorageDown
from core.kernel.events import Event
from core.kernel.ids import TenantId, new_id
from core.ports.coordination import Lease
from core.ports.records import TransientFailure
from core.store.store import Store
from gateway.broker.address import BrokerAddress
from gateway.broker.control import RESPONSES, Control, NoControl
from gateway.broker.devices import DeviceRegistry
from gateway.broker.link import Link, LinkFailed, Refused
from gateway.broker.provisioning import Provisioner, admit_gateway
from gateway.broker.publishing import messages_of
from gateway.broker.readings import FILTERS, ReadingsCounters, ReadingsIntake

log = logging.getLogger(__name__)

#: The name of the consumer and the lease, and the client id at the broker: stored state is found by them.
NAME = "mqtt-broker"
IDENTIFIER = "petstore-gateway"

_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.1, 5.0
#: Events of one tenant, and tenants, that may be in flight to the broker at once.
_PAGE_EVENTS, _MAX_TENANTS = 100, 8
#: Seconds between two refreshes of changed devices, and between two comparisons of all of them.
_REFRESH_SECONDS, _RECONCILE_SECONDS = 2.0, 600.0
#: Seconds for which a successful connection attempt counts, when another process serves the broker.
_REACHED_VALID_SECONDS = 5.0
_REACH_TIMEOUT_SECONDS = 2.0


@dataclass(slots=True)
class Counters:
    """Totals since the process started; messages, unless the name says otherwise.

    ``oversized`` were too large for the broker, and skipped.
    """

    published: int = 0
    oversized: int = 0
    connections: int = 0
    failures: int = 0
    readings: ReadingsCounters = field(default_factory=ReadingsCounters)


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
    """Serves the broker from this process while no other process does."""

    def __init__(self, store: Store, address: BrokerAddress) -> None:
        self.address = address
        self.consumer = Consumer(store.storage, NAME, page=_PAGE_EVENTS, tenants=_MAX_TENANTS)
        self._store = store
        self._devices = DeviceRegistry(store.storage, store.clock)
        self._leaseholder = Leaseholder(store.storage, NAME, new_id(), self._serve)
        self._connected = False
        self._counters = Counters()
        self._reached_at = float("-inf")
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start, in the background."""
        self._store.hub.observers.add(self.consumer)
        self._running = asyncio.create_task(self._leaseholder.run(), name="MQTT broker")

    async def stop(self) -> None:
        """Stop, and leave the broker to another process, which may publish again what was in flight."""
        running, self._running = self._running, None
        if running is None:
            return
        self._store.hub.observers.remove(self.consumer)
        running.cancel()
        await asyncio.wait({running})

    async def check(self) -> None:
        """Raise unless the broker answers: on our connection if this process serves it, else to a TCP connection."""
        if self._leaseholder.lease is not None:
            if not self._connected:
                raise ConnectionError
            return
        now = asyncio.get_running_loop().time()
        if now - self._reached_at > _REACHED_VALID_SECONDS:
            async with asyncio.timeout(_REACH_TIMEOUT_SECONDS):
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
            devices=len(self._devices.devices),
            consumed=consumed.counters,
            counters=replace(self._counters),
        )

    # -- while the lease is ours -----------------------------------------------------------------------------

    async def _serve(self, lease: Lease) -> None:
        """Keep a connection, reconnecting after ever longer pauses."""
        await self._prepare()
        loop = asyncio.get_running_loop()
        failures, known = 0, ""
        while True:
            began = loop.time()
            try:
                # Connecting ends the previous connection of this client id, which must not be the new holder's.
                await self._leaseholder.confirm(lease)
                # What devices have sent meanwhile arrives at once, from new devices too.
                await self._devices.refresh()
                async with Link(self.address, IDENTIFIER) as link:
                    self._counters.connections += 1
                    await self._converse(link, lease)
            except (LinkFailed, StorageDown, TransientFailure) as error:
                self._counters.failures += 1
                if str(error) != known:
                    log.warning("%s: %s; trying again", self.address, error)
                known = str(error)
            if loop.time() - began > _MAX_PAUSE_SECONDS:
                failures, known = 0, ""
            failures += 1
            await asyncio.sleep(
                backoff_seconds(failures, first=_MIN_PAUSE_SECONDS, longest=_MAX_PAUSE_SECONDS)
            )

    async def _prepare(self) -> None:
        """Load from the database what must be known before anything can begin."""
        while True:
            try:
                await self.consumer.enrol()
                await self._devices.load()
            except (StorageDown, TransientFailure) as error:
                log.warning("%s cannot be served yet: %s", self.address, error)
                await asyncio.sleep(_REFRESH_SECONDS)
            else:
                return

    async def _converse(self, link: Link, lease: Lease) -> None:
        """Everything that happens on one connection; it ends by raising."""
        control = Control(link)
        incoming = ReadingsIntake(link, self._store, self._devices, self._counters.readings)
        try:
            await together(
                self._receive(link, control, incoming),
                incoming.run(),
                self._begin(link, lease, control),
            )
        finally:
            self._connected = False

    async def _receive(self, link: Link, control: Control, incoming: ReadingsIntake) -> None:
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
        except Refused as error:
            log.error("%s: no readings are taken: %s", self.address, error)
        self._connected = True
        log.info("%s is served", self.address)

        async def handle(_: TenantId, events: Sequence[Event]) -> None:
            await self._publish(link, events)

        await together(self.consumer.run(lease, handle), self._mind_devices(provisioner))

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
        """The provisioner of devices' accounts, if the broker permits it."""
        if self.address.username is None:
            return None
        try:
            await link.subscribe([RESPONSES])
            await admit_gateway(control, self.address.username)
        except (NoControl, Refused) as error:
            log.warning("%s: dynamic security: %s; its accounts are not provisioned", self.address, error)
            return None
        return Provisioner(control, self._store)

    async def _mind_devices(self, provisioner: Provisioner | None) -> None:
        """Track the devices and their accounts; a new connection may be to a broker that has lost them."""
        loop = asyncio.get_running_loop()
        compared, known = float("-inf"), ""
        while True:
            try:
                if loop.time() - compared > _RECONCILE_SECONDS:
                    await self._devices.load()
                    if provisioner is not None:
                        await provisioner.reconcile(self._devices.devices.values())
                    compared = loop.time()
                else:
                    new, gone = await self._devices.refresh()
                    if provisioner is not None:
                        await provisioner.create(new)
                        await provisioner.remove([device.username for device in gone])
            except (StorageDown, TransientFailure, NoControl) as error:
                if str(error) != known:
                    log.warning("%s: the devices' accounts cannot be kept: %s", self.address, error)
                # The changes are known by now, but were not carried out: compare everything again.
                compared, known = float("-inf"), str(error)
            else:
                known = ""
            await asyncio.sleep(_REFRESH_SECONDS)
