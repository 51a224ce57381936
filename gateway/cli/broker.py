"""``petstore broker-account``."""

import asyncio
import secrets

from core.kernel.ids import SHARED_TENANT, parse_tenant
from gateway.broker.acl import staff_role
from gateway.broker.address import BrokerAddress
from gateway.broker.control import NoControl, controlling, create_client, create_role, role_of
from gateway.broker.link import LinkFailed
from gateway.settings import load_settings
from gateway.startup_errors import BadSettings, CannotStart


def run(name: str, tenant: str | None) -> None:
    """Create a STAFF account at the broker, or give it a new password, and print both."""
    settings = load_settings()
    if settings.mqtt_broker is None:
        raise BadSettings("PETSTORE_MQTT_BROKER_URL: there is no broker to make an account at")
    named = SHARED_TENANT if tenant is None else parse_tenant(tenant)
    if named is None:
        raise BadSettings(f"'{tenant}' is no tenant: a tenant is a UUID of version 4 or 7")
    password = secrets.token_urlsafe(24)
    try:
        asyncio.run(_make(settings.mqtt_broker, name, password, named))
    except (NoControl, LinkFailed) as error:
        raise CannotStart(f"the MQTT broker {settings.mqtt_broker}: dynamic security: {error}") from None
    print(f"{name}\n{password}")


async def _make(address: BrokerAddress, name: str, password: str, tenant: str) -> None:
    role = staff_role(tenant)
    async with controlling(address) as control:
        known_role, client = await control.ask(
            {"command": "getRole", "rolename": role.name}, {"command": "getClient", "username": name}
        )
        there = known_role.get("data", {}).get("role")
        if there is None:
            await control.change(create_role(role))
        elif role_of(there) != role:
            await control.change(create_role(role) | {"command": "modifyRole"})
        if "error" in client:
            await control.change(create_client(name, password, role))
        elif {"rolename": role.name} in client["data"]["client"]["roles"]:
            await control.change({"command": "setClientPassword", "username": name, "password": password})
        else:
            raise CannotStart(f"'{name}' is an account at the broker already, and not one of this STAFF")
