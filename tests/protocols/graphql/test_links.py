"""Resources inside resources: read in one go, in the caller's rights."""

from collections.abc import Sequence
from typing import Any

import pytest

from core.kernel.caller import Role
from core.kernel.ids import SHARED_TENANT
from core.models.pets import Pet
from core.store.store import Call
from tests.core.stores import Shop, user_in
from tests.protocols.graphql.clients import add_order, add_pet, data_of
from tests.protocols.live import Live

ORDERS = "{ orders(limit: 100) { id user { username } items { price pet { id name owner { username } } } } }"


@pytest.fixture
def loads(node: Live, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that the store runs."""
    seen: list[str] = []
    execute = node.store.execute

    async def counted(caller: Any, call: Call) -> Any:
        seen.append(call.operation.name)
        return await execute(caller, call)

    monkeypatch.setattr(node.store, "execute", counted)
    return seen


async def _people(node: Live, *callers: Any) -> None:
    shop = Shop(node.store, SHARED_TENANT)
    await shop.add(
        *(user_in(SHARED_TENANT, user_id=caller.user_id, username=caller.username) for caller in callers)
    )


async def test_a_page_of_orders_costs_one_read_of_pets_and_one_of_users(
    node: Live, loads: Sequence[str]
) -> None:
    staff, buyers = node.member(Role.STAFF), [node.member() for _ in range(5)]
    await _people(node, *buyers)
    for buyer in buyers * 3:
        await add_order(node, node.token(staff), node.token(buyer))
    before = len(loads)
    found = await data_of(node, ORDERS, node.token(staff))
    assert len(found["orders"]) == 15
    assert {order["user"]["username"] for order in found["orders"]} == {buyer.username for buyer in buyers}
    assert all(order["items"][0]["pet"]["name"] == "Rex" for order in found["orders"])
    assert sorted(loads[before:]) == ["listOrders", "lookUpPets", "lookUpUsers"]


async def test_an_application_leads_to_its_pet_and_to_its_applicant(node: Live, loads: Sequence[str]) -> None:
    staff, applicant, other = node.member(Role.STAFF), node.member(), node.member()
    await _people(node, applicant)
    pet_id = await add_pet(node, node.token(staff))
    apply = (
        "mutation($petId: ID!) { createAdoption(input: {petId: $petId, householdType: FARM, hasYard: true, "
        'applicant: {name: "Ada", email: "ada@example.com"}}) { id status applicant { name phone } } }'
    )
    made = (await data_of(node, apply, node.token(applicant), variables={"petId": pet_id}))["createAdoption"]
    assert (made["status"], made["applicant"]) == ("SUBMITTED", {"name": "Ada", "phone": None})
    before = len(loads)
    listed = "query($petId: ID!) { adoptions(petId: $petId) { id pet { name } user { username } } }"
    for member, shown in ((staff, [made["id"]]), (applicant, [made["id"]]), (other, [])):
        found = (await data_of(node, listed, node.token(member), variables={"petId": pet_id}))["adoptions"]
        assert [one["id"] for one in found] == shown
        assert all(one["pet"]["name"] == "Rex" for one in found)
        assert all(one["user"]["username"] == applicant.username for one in found)
    assert sorted(loads[before:]) == ["listAdoptions"] * 3 + ["lookUpPets"] * 2 + ["lookUpUsers"] * 2


async def test_the_owner_of_a_pet_is_shown_to_staff_and_himself_alone(node: Live) -> None:
    staff, owner, other = node.member(Role.STAFF), node.member(), node.member()
    await _people(node, owner)
    pet_id = await add_pet(node, node.token(staff))
    shop = Shop(node.store, SHARED_TENANT)
    async with node.store.storage.write(SHARED_TENANT) as tx:
        pet = await tx.get(Pet, pet_id, lock=True)
        assert pet is not None
        await tx.update(pet.model_copy(update={"owner_id": owner.user_id}))
    node.store.cache.on_lost(shop.tenant)
    query = "query($id: ID!) { pet(id: $id) { ownerId owner { username } } }"
    for token, shown in (
        (node.token(staff), {"username": owner.username}),
        (node.token(owner), {"username": owner.username}),
        (node.token(other), None),
        (None, None),
    ):
        found = await data_of(node, query, token, variables={"id": pet_id})
        assert found["pet"] == {"ownerId": owner.user_id, "owner": shown}


async def test_after_a_write_links_are_looked_up_anew(node: Live) -> None:
    staff = node.staff_token()
    order = await add_order(node, staff)
    again = await data_of(
        node,
        """mutation($id: ID!) { a: cancelOrder(id: $id) { items { pet { status } } } }""",
        staff,
        variables={"id": order},
    )
    assert again["a"]["items"] == [{"pet": {"status": "AVAILABLE"}}]
    pet = await add_pet(node, staff)
    both = await data_of(
        node,
        """mutation($id: ID!) { a: placeOrder(input: {petId: $id}) { items { pet { name } } }
        updatePet(id: $id, input: {name: "Max"}) { name }
        b: openChat(input: {}) { id } }""",
        staff,
        variables={"id": pet},
    )
    assert both["a"]["items"] == [{"pet": {"name": "Rex"}}]


async def test_links_of_an_order_that_somebody_else_placed_stay_closed(node: Live) -> None:
    staff = node.staff_token()
    order_id = await add_order(node, staff, node.token(node.member()))
    found = await data_of(
        node, "query($id: ID!) { order(id: $id) { userId user { id } } }", staff, variables={"id": order_id}
    )
    assert found["order"]["userId"]
    assert found["order"]["user"] is None  # The account was never registered.
