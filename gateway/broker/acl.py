"""Who may do what at a broker: the gateway itself, devices, and STAFF.

Roles are fixed when an account is made, since a broker cuts off everybody whose role changes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from core.auth.authentication import device_topics
from core.auth.authorization import PRIVATE_ROOTS, PUBLIC_ROOTS
from core.kernel.ids import SHARED_TENANT
from core.models.devices import Device

#: First levels of every topic that events have.
ROOTS = sorted(PUBLIC_ROOTS | PRIVATE_ROOTS)
GATEWAY = "petstore-gateway"
DEVICE_PREFIX = "petstore-device-"
_NAME = "petstore-"


@dataclass(frozen=True, slots=True)
class Role:
    """A role of the broker's: topic filters that its bearers may subscribe to, and publish to."""

    name: str
    subscribe: frozenset[str] = frozenset()
    publish: frozenset[str] = frozenset()


def prefix_of(tenant: str) -> str:
    """What stands before the topics of a tenant; nothing for the shared pool."""
    return "" if tenant == SHARED_TENANT else f"tenants/{tenant}/"


def gateway_role() -> Role:
    """The gateway publishes everything and takes telemetry."""
    return Role(
        GATEWAY,
        subscribe=frozenset({"telemetry/#", "tenants/+/telemetry/#"}),
        publish=frozenset({f"{root}/#" for root in ROOTS} | {f"tenants/+/{root}/#" for root in ROOTS}),
    )


def staff_role(tenant: str) -> Role:
    """STAFF listen to every event of their tenant."""
    name = f"{_NAME}staff" if tenant == SHARED_TENANT else f"{_NAME}staff-{tenant}"
    return Role(name, subscribe=_within(tenant, ["#"]))


def device_role(device: Device) -> Role:
    """A device reads what it reads at the gateway, and publishes the telemetry of the pets that it watches."""
    prefix = prefix_of(device.tenant_id)
    public = [f"{root}/#" for root in PUBLIC_ROOTS]
    return Role(
        _NAME + device.username,
        subscribe=_within(device.tenant_id, [*public, *device_topics(device)]),
        publish=frozenset(f"{prefix}telemetry/pets/{pet_id}/health" for pet_id in device.pet_ids),
    )


def username_of(role: str) -> str:
    """The user name of the device whose role this is."""
    return role.removeprefix(_NAME)


def _within(tenant: str, patterns: Iterable[str]) -> frozenset[str]:
    """The patterns in a tenant's topics. A first wildcard is for events alone: no other tenant's, and no telemetry."""
    found = set()
    for pattern in patterns:
        root, slash, rest = pattern.partition("/")
        if root == "#":
            found |= {f"{known}/#" for known in ROOTS}
        elif root == "+":
            found |= {f"{known}{slash}{rest}" for known in ROOTS}
        elif root in ROOTS:
            found.add(pattern)
    return frozenset(prefix_of(tenant) + pattern for pattern in found)
