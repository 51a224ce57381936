"""Keeps the accounts at the broker in step with the devices in the database."""

import logging
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TypeVar

from core.auth.passwords import hash_device_password
from core.kernel.ids import TenantId
from core.models.devices import Device
from core.models.users import Login
from core.services.devices import device_password
from core.store.store import Store
from gateway.broker.acl import DEVICE_PREFIX, GATEWAY_ROLE, device_role, gateway_role, username_of
from gateway.broker.control import (
    Command,
    Control,
    create_client,
    create_role,
    delete_client,
    delete_role,
    role_of,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Accounts in one request: the plugin rewrites its file for each command, and the broker serves no client meanwhile.
_MAX_BATCH_ACCOUNTS = 5


async def admit_gateway(control: Control, username: str) -> None:
    """Give the gateway's own account the role it needs; when that changes something, the broker ends the connection.

    Raises:
        NoControl: the broker has no dynamic security that we may use.
        LinkFailed: the connection has ended, in particular by this.
    """
    client, role = await control.ask(
        {"command": "getClient", "username": username}, {"command": "getRole", "rolename": GATEWAY_ROLE}
    )
    wanted = gateway_role()
    held = {item["rolename"] for item in client.get("data", {}).get("client", {}).get("roles", [])}
    there = role.get("data", {}).get("role")
    if there is None or role_of(there) != wanted:
        await control.change(delete_role(GATEWAY_ROLE), create_role(wanted), _grant(username))
    elif GATEWAY_ROLE not in held:
        await control.change(_grant(username))


def _grant(username: str) -> Command:
    return {"command": "addClientRole", "username": username, "rolename": GATEWAY_ROLE}


class Provisioner:
    """Creates and deletes the accounts of devices.

    A device's password at the broker is its password at the gateway, which is derived from its id. Accounts with
    other roles than ours are left alone.
    """

    def __init__(self, control: Control, store: Store) -> None:
        self._control = control
        self._store = store

    async def reconcile(self, devices: Iterable[Device]) -> None:
        """Create the accounts that are missing or different, and delete those that no longer have a device."""
        wanted = {device_role(device).name: device for device in devices}
        there = await self._control.roles(DEVICE_PREFIX)
        usernames = await self._control.usernames()
        await self.remove([username_of(name) for name in there if name not in wanted])
        await self.create(
            [
                device
                for name, device in wanted.items()
                if there.get(name) != device_role(device) or device.username not in usernames
            ]
        )

    async def create(self, devices: Sequence[Device]) -> None:
        """Create the accounts of devices; existing ones are replaced."""
        for some in _batches(devices):
            commands: list[Command] = []
            for device in some:
                password = device_password(self._store.signer, device.id)
                if await self._is_password(device, password):
                    role = device_role(device)
                    commands += [
                        delete_client(device.username),
                        delete_role(role.name),
                        create_role(role),
                        create_client(device.username, password, role),
                    ]
            if commands:
                await self._control.change(*commands)

    async def remove(self, usernames: Sequence[str]) -> None:
        """Delete the accounts of devices, and disconnect them."""
        for some in _batches(usernames):
            names = [(name, f"petstore-{name}") for name in some]
            await self._control.change(
                *(command for name, role in names for command in (delete_client(name), delete_role(role)))
            )

    async def _is_password(self, device: Device, password: str) -> bool:
        """Whether the device still exists, and has this password and not one derived from another secret of the
        store."""
        async with self._store.storage.read(TenantId(device.tenant_id)) as tx:
            login = await tx.get(Login, device.id)
        if login is None:
            return False
        if login.password_hash != hash_device_password(password):
            log.warning(
                "a device gets no account at the broker, for it is older than PETSTORE_JWT_SECRET: provision it anew",
                extra={"device": device.id},
            )
            return False
        return True


def _batches(items: Sequence[T]) -> Iterable[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, _MAX_BATCH_ACCOUNTS)):
        yield some
