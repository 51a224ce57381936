"""Devices' readings, taken from the broker.

A broker does not say who published. So its accounts let a device publish for its own pets only, and a message is
attributed to the device that watches the pet; where several do, to the one that the user property ``deviceId`` names,
else to the oldest.
"""

import asyncio
import logging
from dataclasses import dataclass

import orjson

from core.auth.authentication import device_topics
from core.kernel.caller import DEVICE_SCOPES, Caller, Role
from core.kernel.errors import BadRequest, Forbidden, StoreError, Unavailable
from core.kernel.ids import SHARED_TENANT, TenantId, parse_tenant
from core.models.devices import Device
from core.services.readings import REPORT_HEALTH
from core.store.store import Call, Store
from gateway.broker.devices import DeviceRegistry
from gateway.broker.link import Incoming, Link

log = logging.getLogger(__name__)

FILTERS = ("telemetry/#", "tenants/+/telemetry/#")

#: Messages handled at a time; those of one topic are handled in order.
_LANE_COUNT = 8
_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.1, 5.0


@dataclass(slots=True)
class ReadingsCounters:
    """Messages since the process started: announced as events, and refused as invalid."""

    taken: int = 0
    refused: int = 0


class ReadingsIntake:
    """Handles the readings of one connection. Each is acknowledged once it is in the log, or refused as invalid."""

    def __init__(self, link: Link, store: Store, devices: DeviceRegistry, counters: ReadingsCounters) -> None:
        self._link = link
        self._store = store
        self._devices = devices
        self._counters = counters
        # Bounded by the receive maximum, and by the link's limit of waiting messages.
        self._lanes: list[asyncio.Queue[Incoming]] = [asyncio.Queue() for _ in range(_LANE_COUNT)]

    def take(self, message: Incoming) -> None:
        """Queue a message."""
        self._lanes[hash(message.topic) % _LANE_COUNT].put_nowait(message)

    async def run(self) -> None:
        """Handle queued messages, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(self._work(lane))

    async def _work(self, lane: "asyncio.Queue[Incoming]") -> None:
        while True:
            message = await lane.get()
            await self._deal(message)
            self._link.acknowledge(message)

    async def _deal(self, message: Incoming) -> None:
        pause = _MIN_PAUSE_SECONDS
        while True:
            try:
                await self._report(message)
            except Unavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _MAX_PAUSE_SECONDS)
            except StoreError as error:
                self._counters.refused += 1
                log.debug("a reading was refused: %s", error, extra={"topic": message.topic[:200]})
                return
            else:
                self._counters.taken += 1
                return

    async def _report(self, message: Incoming) -> None:
        tenant, pet_id = _read_topic(message.topic)
        device = self._device(tenant, pet_id, message.properties.get("deviceId"))
        try:
            body = orjson.loads(message.payload)
        except orjson.JSONDecodeError:
            raise BadRequest("The payload is not JSON.") from None
        await self._store.execute(_caller(device), Call(REPORT_HEALTH, {"id": pet_id}, body))

    def _device(self, tenant: TenantId, pet_id: str, named: str | None) -> Device:
        watching = self._devices.watching(tenant, pet_id)
        if not watching:
            raise Forbidden("No device watches that pet.")
        return next((device for device in watching if device.id == named), watching[0])


def _read_topic(topic: str) -> tuple[TenantId, str]:
    """Tenant and pet of ``[tenants/{id}/]telemetry/pets/{petId}/health``.

    Raises:
        BadRequest: it is another topic.
    """
    tenant: TenantId | None = SHARED_TENANT
    levels = topic.split("/")
    if levels[0] == "tenants":
        tenant, levels = parse_tenant(levels[1]) if len(levels) > 1 else None, levels[2:]
    match levels:
        case ["telemetry", "pets", pet_id, "health"] if tenant is not None:
            return tenant, pet_id
    raise BadRequest("This is not a topic for readings.")


def _caller(device: Device) -> Caller:
    return Caller(
        tenant=TenantId(device.tenant_id),
        role=Role.DEVICE,
        key=f"device:{device.id}",
        scopes=DEVICE_SCOPES,
        device_id=device.id,
        username=device.username,
        subjects=(f"device:{device.id}",),
        topics=device_topics(device),
    )
