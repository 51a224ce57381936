"""Who may do what at a broker."""

from core.kernel.ids import SHARED_TENANT, TenantId
from gateway.broker.acl import device_role, gateway_role, staff_role
from tests.gateway.storage.records import a_device

TENANT = TenantId("019e2d14-2b7c-7a90-8d11-3e5f7a9c1b20")
EVENTS = {"adoptions/#", "chats/#", "inventory/#", "orders/#", "payments/#", "pets/#", "webhooks/#"}


def test_a_device_hears_what_is_public_and_what_it_was_given_and_publishes_for_its_pets() -> None:
    device = a_device(TENANT, "device-1").model_copy(
        update={"pet_ids": ("p1", "p2"), "order_ids": ("o1",), "topics": ("chats/c1", "orders/+/status")}
    )
    role = device_role(device)
    prefix = f"tenants/{TENANT}/"
    heard = {"pets/#", "inventory/#", "pets/p1/#", "pets/p2/#", "orders/o1/#", "chats/c1", "orders/+/status"}
    assert role.name == "petstore-device-1"
    assert role.subscribe == {prefix + pattern for pattern in heard}
    assert role.publish == {f"{prefix}telemetry/pets/{pet}/health" for pet in ("p1", "p2")}
    assert role.hidden == {f"{prefix}pets/+/adoption", f"{prefix}adoptions/+/status"}


def test_a_wide_filter_of_the_shared_pool_reaches_no_other_tenant_and_no_telemetry() -> None:
    device = a_device(SHARED_TENANT, "device-1").model_copy(
        update={"topics": ("#",), "pet_ids": (), "order_ids": ()}
    )
    assert device_role(device).subscribe == EVENTS
    narrow = device.model_copy(update={"topics": ("+/x/status", "tenants/#", "telemetry/#")})
    roots = {pattern.partition("/")[0] for pattern in EVENTS}
    assert device_role(narrow).subscribe == {"pets/#", "inventory/#"} | {f"{root}/x/status" for root in roots}


def test_staff_hear_everything_of_their_tenant_and_publish_nothing() -> None:
    assert staff_role(SHARED_TENANT).subscribe == EVENTS
    assert staff_role(TENANT).subscribe == {f"tenants/{TENANT}/{pattern}" for pattern in EVENTS}
    assert not staff_role(TENANT).publish
    assert staff_role(TENANT).name != staff_role(SHARED_TENANT).name


def test_the_gateway_publishes_every_event_and_no_telemetry() -> None:
    role = gateway_role()
    assert role.publish == EVENTS | {f"tenants/+/{pattern}" for pattern in EVENTS}
    assert role.subscribe == {"telemetry/#", "tenants/+/telemetry/#"}
