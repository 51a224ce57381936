"""Devices: provisioned, listed and removed by STAFF."""

import base64
import secrets
from collections.abc import Sequence

from core.auth.authorization import may_grant, order_topics
from core.auth.passwords import hash_device_password
from core.kernel.caller import Scope
from core.kernel.errors import ErrorCode, Forbidden, ValidationFailed, Violation, ViolationCode
from core.kernel.ids import new_id
from core.kernel.model import ById, NoParams, Page, Paged, Resource
from core.models import examples
from core.models.auth import LoginSession
from core.models.devices import Device, DeviceDraft, NewDevice
from core.models.orders import Order
from core.models.pets import Pet
from core.models.users import Login, LoginKind, name_key
from core.ports.records import Equal, OneOf, Query, Transaction
from core.ports.security import TokenSigner
from core.services.paging import page_of
from core.services.quotas import count_one, uncount
from core.store.context import Context
from core.store.operation import AnyOperation, Operation


async def _create(ctx: Context, _: NoParams, body: DeviceDraft) -> NewDevice:
    for pattern in (*body.topics, *map(order_topics, body.order_ids)):
        if not may_grant(ctx.caller, pattern):
            raise Forbidden(f"You may not subscribe to '{pattern}' yourself.")
    tx = await ctx.tx()
    violations = [
        *await _missing(tx, Pet, "petIds", body.pet_ids),
        *await _missing(tx, Order, "orderIds", body.order_ids),
    ]
    if violations:
        raise ValidationFailed(tuple(violations))
    device_id = new_id()
    password = device_password(ctx.store.signer, device_id)
    device = Device(
        id=device_id,
        tenant_id=ctx.tenant,
        name=body.name,
        username=f"device-{secrets.token_hex(8)}",
        pet_ids=body.pet_ids,
        order_ids=body.order_ids,
        topics=body.topics,
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    login = Login(
        id=device.id,
        tenant_id=ctx.tenant,
        kind=LoginKind.DEVICE,
        username_key=name_key(device.username),
        password_hash=hash_device_password(password),
    )
    await count_one(ctx, Device)
    await tx.insert(login)
    await tx.insert(device)
    return NewDevice(**dict(device), password=password)


def device_password(signer: TokenSigner, device_id: str) -> str:
    """The password of a device: a keyed hash of its id, so that other servers it logs in to can be told it at any time.

    It is kept nowhere, and changes for new devices when the store's secret does.
    """
    return (
        base64.urlsafe_b64encode(signer.digest(f"device-password:{device_id}".encode())).decode().rstrip("=")
    )


async def _missing(tx: Transaction, kind: type[Resource], field: str, ids: Sequence[str]) -> list[Violation]:
    """A violation for each id that names nothing."""
    there = {found.id for found in await tx.find(Query(kind, (OneOf("id", tuple(ids)),)))}
    return [
        Violation(
            f"{field}[{place}]", f"there is no such {kind.__name__.lower()}", ViolationCode.INVALID_FORMAT
        )
        for place, record_id in enumerate(ids)
        if record_id not in there
    ]


async def _list(ctx: Context, params: Paged, _: None) -> Page[Device]:
    return await page_of(ctx, Device, (), params)


async def _get(ctx: Context, params: ById, _: None) -> Device:
    return await ctx.get(Device, params.id)


async def _delete(ctx: Context, params: ById, _: None) -> None:
    device = await ctx.get(Device, params.id)
    ctx.check_match(device)
    tx = await ctx.tx()
    # The login is deleted first: a concurrent login holds its lock, and the session it creates must go too.
    await tx.delete(Login, device.id)
    await tx.delete_all(LoginSession, (Equal("owner_id", device.id),))
    await tx.delete(Device, device.id)
    await uncount(ctx, Device)
    ctx.revoke(f"device:{device.id}")


_DRAFT_EXAMPLE = {
    "name": "Collar of Biscuit",
    "petIds": [examples.PET_ID],
    "orderIds": [examples.ORDER_ID],
    "topics": ["inventory/+/stock"],
}
_EXAMPLE = {
    "id": "019e2d15-51aa-7c36-9e02-7d4b6f8a0c12",
    "tenantId": examples.TENANT_ID,
    **_DRAFT_EXAMPLE,
    "username": "device-4f1d2a9c7b60e385",
    "createdAt": "2026-03-02T09:30:00.125Z",
    "updatedAt": "2026-03-02T09:30:00.125Z",
}

CREATE_DEVICE = Operation(
    name="createDevice",
    tag="Devices",
    summary="Provision a device",
    description="The store generates the user name and the password; the password is shown in this response "
    "only. The device may read pets and the given orders, and subscribe to the given topics.",
    params=NoParams,
    body=DeviceDraft,
    result=NewDevice,
    handler=_create,
    scope=Scope.WRITE_DEVICES,
    writes=True,
    creates=True,
    errors=frozenset({ErrorCode.CONFLICT}),
    body_example=_DRAFT_EXAMPLE,
    result_example={**_EXAMPLE, "password": "…"},
)
LIST_DEVICES = Operation(
    name="listDevices",
    tag="Devices",
    summary="List the devices",
    description="Newest first, without their passwords.",
    params=Paged,
    result=Page[Device],
    handler=_list,
    scope=Scope.WRITE_DEVICES,
    result_example=examples.page(_EXAMPLE),
)
GET_DEVICE = Operation(
    name="getDevice",
    tag="Devices",
    summary="Get a device",
    description="Without its password, which was shown once.",
    params=ById,
    result=Device,
    handler=_get,
    scope=Scope.WRITE_DEVICES,
    errors=frozenset({ErrorCode.NOT_FOUND}),
    result_example=_EXAMPLE,
)
DELETE_DEVICE = Operation(
    name="deleteDevice",
    tag="Devices",
    summary="Remove a device",
    description="Its login ends at once, on every node.",
    params=ById,
    handler=_delete,
    scope=Scope.WRITE_DEVICES,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.PRECONDITION_FAILED}),
)

OPERATIONS: tuple[AnyOperation, ...] = (CREATE_DEVICE, LIST_DEVICES, GET_DEVICE, DELETE_DEVICE)
