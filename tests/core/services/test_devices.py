"""Devices: provisioned by staff, with rights that do not reach beyond the giver's."""

from dataclasses import replace

import pytest

from core.kernel.caller import Scope
from core.kernel.errors import Forbidden, NotFound, PreconditionFailed, Unauthorized
from core.kernel.ids import new_id
from core.models.users import Login
from core.ports.records import Query
from core.services.devices import CREATE_DEVICE, DELETE_DEVICE, GET_DEVICE, LIST_DEVICES
from core.services.orders import GET_ORDER, LIST_ORDERS, PLACE_ORDER
from core.services.pets import CREATE_PET
from core.store.store import Store
from tests.core.accounts import by_token, log_in
from tests.core.stores import Shop

PET = {"name": "Biscuit", "species": "DOG", "ageMonths": 14, "price": "350.00"}


async def order_of(shop: Shop) -> tuple[str, str]:
    """A pet and the customer's order of it."""
    pet = await shop.call(CREATE_PET, body=PET)
    order = await shop.call(PLACE_ORDER, shop.customer, {"petId": pet.id})
    return pet.id, order.id


async def test_the_password_is_shown_once_and_kept_as_a_hash(shop: Shop) -> None:
    pet_id, order_id = await order_of(shop)
    draft = {
        "name": "Collar",
        "petIds": [pet_id.upper()],
        "orderIds": [order_id],
        "topics": ["inventory/+/stock"],
    }
    made = await shop.call(CREATE_DEVICE, body=draft)
    assert made.username.startswith("device-")
    assert len(made.password) >= 32
    assert made.password not in repr(made)
    shown = (await shop.call(GET_DEVICE, id=made.id)).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    assert shown | {"createdAt": None, "updatedAt": None} == {
        "id": made.id,
        "tenantId": shop.tenant,
        "name": "Collar",
        "username": made.username,
        "petIds": [pet_id],
        "orderIds": [order_id],
        "topics": ["inventory/+/stock"],
        "createdAt": None,
        "updatedAt": None,
    }
    async with shop.store.storage.read(shop.tenant) as tx:
        [login] = await tx.find(Query(Login))
    assert made.password not in str(login.model_dump())


async def test_two_devices_have_nothing_alike(shop: Shop) -> None:
    one, two = [await shop.call(CREATE_DEVICE, body={"name": "Collar"}) for _ in range(2)]
    assert one.username != two.username
    assert one.password != two.password
    assert [device.id for device in (await shop.call(LIST_DEVICES)).data] == [one.id, two.id]


async def test_a_device_reads_its_orders_and_no_others(shop: Shop) -> None:
    (_, mine), (_, other) = await order_of(shop), await order_of(shop)
    made = await shop.call(CREATE_DEVICE, body={"name": "Scale", "orderIds": [mine]})
    device = await by_token(shop, (await log_in(shop, made.username, made.password)).access_token)
    assert (await shop.call(GET_ORDER, device, id=mine)).id == mine
    await shop.refusal(NotFound, GET_ORDER, device, id=other)
    plain = await shop.call(CREATE_DEVICE, body={"name": "Lamp"})
    lamp = await by_token(shop, (await log_in(shop, plain.username, plain.password)).access_token)
    await shop.refusal(NotFound, GET_ORDER, lamp, id=mine)
    await shop.refusal(Forbidden, LIST_ORDERS, device)


async def test_what_a_device_is_given_must_be_there(store: Store, shop: Shop) -> None:
    pet_id, order_id = await order_of(Shop(store))
    mine, _ = await order_of(shop)
    assert await shop.violations(
        CREATE_DEVICE, body={"name": "k", "petIds": [mine, pet_id], "orderIds": [order_id]}
    ) == {
        "petIds[1]": "INVALID_FORMAT",
        "orderIds[0]": "INVALID_FORMAT",
    }


async def test_every_violation_of_a_device_is_told(shop: Shop) -> None:
    body = {
        "name": "",
        "petIds": ["1"],
        "orderIds": "x",
        "topics": ["pets/#/x", "pets/+", ""],
        "password": "mine",
    }
    assert await shop.violations(CREATE_DEVICE, body=body) == {
        "name": "INVALID_LENGTH",
        "petIds[0]": "INVALID_FORMAT",
        "orderIds": "INVALID_TYPE",
        "topics[0]": "INVALID_FORMAT",
        "topics[2]": "INVALID_FORMAT",
        "password": "UNKNOWN_FIELD",
    }


async def test_devices_are_for_those_with_the_right(shop: Shop) -> None:
    for operation in (CREATE_DEVICE, LIST_DEVICES, GET_DEVICE, DELETE_DEVICE):
        await shop.refusal(Forbidden, operation, shop.customer, {"name": "k"}, id=new_id())
        await shop.refusal(Unauthorized, operation, shop.visitor, {"name": "k"}, id=new_id())


@pytest.mark.parametrize("given", [{"topics": ["orders/#"]}, {"topics": ["#"]}, {"orderIds": [new_id()]}])
async def test_nobody_gives_a_device_what_he_may_not_hear_himself(
    shop: Shop, given: dict[str, list[str]]
) -> None:
    program = replace(shop.staff, scopes=frozenset({Scope.WRITE_DEVICES, Scope.CHAT_AGENT}))
    await shop.refusal(Forbidden, CREATE_DEVICE, program, {"name": "k", **given})
    made = await shop.call(CREATE_DEVICE, program, {"name": "k", "topics": ["pets/+/status", "chats/#"]})
    assert made.topics == ("pets/+/status", "chats/#")


async def test_another_tenants_device_does_not_exist(store: Store, shop: Shop) -> None:
    made, other = await shop.call(CREATE_DEVICE, body={"name": "Collar"}), Shop(store)
    await other.refusal(NotFound, GET_DEVICE, id=made.id)
    await other.refusal(NotFound, DELETE_DEVICE, id=made.id)
    assert (await other.call(LIST_DEVICES)).data == []


async def test_a_stale_deletion_is_refused(shop: Shop) -> None:
    made = await shop.call(CREATE_DEVICE, body={"name": "Collar"})
    await shop.refusal(PreconditionFailed, DELETE_DEVICE, id=made.id, if_match="another")
    device = await shop.call(GET_DEVICE, id=made.id)
    await shop.call(DELETE_DEVICE, id=made.id, if_match=device.etag)
    await shop.refusal(NotFound, GET_DEVICE, id=made.id)
