"""The permissions at the broker: of the gateway itself, of devices, and of STAFF.

Roles are fixed when an account is created, since a broker disconnects every client whose role changes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from core.auth.authentication import device_topics
from core.auth.authorization import PERSONAL_TOPICS, PRIVATE_ROOTS, PUBLIC_ROOTS
from core.kernel.ids import SHARED_TENANT
from core.models.devices import Device

#: First levels of every topic that events have.
ROOTS = sorted(PUBLIC_ROOTS | PRIVATE_ROOTS)
GATEWAY_ROLE = "petstore-gateway"
DEVICE_PREFIX = "petstore-device-"
_ROLE_PREFIX = "petstore-"


@dataclass(frozen=True, slots=True)
class BrokerRole:
    """A role at the broker: topic filters that its holders may subscribe to, and publish to.

    What matches a ``hidden`` one is not delivered to them, whatever they subscribe to.
    """

    name: str
    subscribe: frozenset[str] = frozenset()
    publish: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()


def prefix_of(tenant: str) -> str:
    """The prefix of a tenant's topics; empty for the shared pool."""
    return "" if tenant == SHARED_TENANT else f"tenants/{tenant}/"


def gateway_role() -> BrokerRole:
    """The gateway publishes every event and subscribes to devices' readings."""
    return BrokerRole(
        GATEWAY_ROLE,
        subscribe=frozenset({"telemetry/#", "tenants/+/telemetry/#"}),
        publish=frozenset({f"{root}/#" for root in ROOTS} | {f"tenants/+/{root}/#" for root in ROOTS}),
    )


def staff_role(tenant: str) -> BrokerRole:
    """STAFF may subscribe to every event of their tenant."""
    name = f"{_ROLE_PREFIX}staff" if tenant == SHARED_TENANT else f"{_ROLE_PREFIX}staff-{tenant}"
    return BrokerRole(name, subscribe=_within(tenant, ["#"]))


def device_role(device: Device) -> BrokerRole:
    """A device may subscribe to what it may at the gateway, and publishes readings for the pets that it watches."""
    prefix = prefix_of(device.tenant_id)
    public = [f"{root}/#" for root in PUBLIC_ROOTS]
    return BrokerRole(
        _ROLE_PREFIX + device.username,
        subscribe=_within(device.tenant_id, [*public, *device_topics(device)]),
        publish=frozenset(f"{prefix}telemetry/pets/{pet_id}/health" for pet_id in device.pet_ids),
        hidden=frozenset(prefix + pattern for pattern in PERSONAL_TOPICS),
    )


def username_of(role: str) -> str:
    """The user name of the device whose role this is."""
    return role.removeprefix(_ROLE_PREFIX)


def _within(tenant: str, patterns: Iterable[str]) -> frozenset[str]:
    """The patterns within a tenant's topics. A leading wildcard covers events only: no other tenant's, and no
    readings."""
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
