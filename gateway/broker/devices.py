"""The devices of all tenants, held in memory by the process that serves the broker."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from core.kernel.clock import Clock
from core.models.devices import Device
from core.ports.records import Between, Query
from core.ports.storage import Storage
from core.services.paging import survey_pages

_PAGE_DEVICES = 1000
#: How far clocks may differ, and transactions last: each refresh looks again at so much time before the last one.
_OVERLAP = timedelta(seconds=60)
_REVOKED_PREFIX = "device:"


class DeviceRegistry:
    """Every device of the store, a few seconds behind the database."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self.devices: dict[str, Device] = {}
        self._storage = storage
        self._clock = clock
        self._looked_at: datetime | None = None
        self._watching: dict[tuple[str, str], dict[str, None]] = {}

    async def load(self) -> None:
        """Load all devices anew."""
        looked_at = self._clock()
        pages = survey_pages(self._storage, Device, Between("username"), page_size=_PAGE_DEVICES)
        found = {device.id: device async for device in pages}
        self.devices, self._watching = {}, {}
        self._add(found.values())
        self._looked_at = looked_at

    async def refresh(self) -> tuple[list[Device], list[Device]]:
        """Find out what has changed since the last refresh: the new devices, and the removed ones."""
        assert self._looked_at is not None
        looked_at, since = self._clock(), self._looked_at - _OVERLAP
        made = await self._storage.survey(Query(Device, (Between("created_at", since),)))
        revoked = await self._storage.revocations(since)
        self._looked_at = looked_at
        gone = [
            self.devices[device_id]
            for item in revoked
            if item.subject.startswith(_REVOKED_PREFIX)
            and (device_id := item.subject.removeprefix(_REVOKED_PREFIX)) in self.devices
        ]
        new = [device for device in made if device.id not in self.devices]
        self._add(new)
        for device in gone:
            self._forget(device)
        return new, gone

    def watching(self, tenant: str, pet_id: str) -> list[Device]:
        """The devices that watch a pet, the oldest first."""
        return [self.devices[device_id] for device_id in sorted(self._watching.get((tenant, pet_id), ()))]

    def _add(self, devices: Iterable[Device]) -> None:
        for device in devices:
            self.devices[device.id] = device
            for pet_id in device.pet_ids:
                self._watching.setdefault((device.tenant_id, pet_id), {})[device.id] = None

    def _forget(self, device: Device) -> None:
        del self.devices[device.id]
        for pet_id in device.pet_ids:
            watching = self._watching[device.tenant_id, pet_id]
            watching.pop(device.id, None)
            if not watching:
                del self._watching[device.tenant_id, pet_id]
