"""Clients of the Swagger Petstore come to the same store as all others."""

from typing import Any

from tests.conformance.conftest import At
from tests.conformance.door import Ability, Event, refusal
from tests.conformance.manifest import DOORS, Door
from tests.conformance.people import World
from tests.conformance.scenario import scenario
from tests.conformance.test_events import everywhere
from tests.pictures import PNG

CLASSIC = next(door for door in DOORS if door.name == "Classic")
PET = {
    "id": 4711,
    "category": {"id": 1, "name": "Dogs"},
    "name": "Rex",
    "photoUrls": ["a", "https://example.com/b.jpg"],
    "tags": [{"id": 3, "name": "friendly"}],
    "status": "available",
}


@scenario(
    "What a classic client does is told alike at every live door", Ability.FOLLOW, spans="all", nodes=True
)
async def test_told(world: World, at: At, doors: tuple[Door, ...]) -> None:
    person = await world.staff()
    classic = at(CLASSIC, person, world.target.last)
    async with everywhere(world, at, doors, person, "pets/#", "orders/#") as streams:
        await classic.call("classicAddPet", body=PET)
        await classic.call("classicPlaceOrder", body={"id": 5, "petId": 4711, "quantity": 2})
        await classic.call("classicPlaceOrder", body={"id": 5, "petId": 4711, "status": "delivered"})
        await classic.call("classicUpdatePet", body={**PET, "status": "sold"})
        await classic.call("classicDeleteOrder", orderId=5)
        await classic.call("classicDeletePet", petId=4711)

        def is_last(event: Event) -> bool:
            return bool(event["eventType"] == "pet.deleted")

        told = [await stream.until(is_last) for stream in streams]
    assert all(events == told[0] for events in told[1:])
    assert all(event["cursor"] for event in told[0])
    assert [event["eventType"] for event in told[0]] == [
        "pet.created",
        "order.created",
        "order.status_changed",
        "pet.status_changed",
        "pet.availability_changed",
        "order.status_changed",
        "pet.deleted",
    ]
    made, placed = told[0][0]["data"]["pet"], told[0][1]["data"]["order"]
    assert (made["number"], made["species"], made["photos"]) == (4711, "DOG", ["https://example.com/b.jpg"])
    assert (placed["number"], placed["petId"], placed["classic"]["petNumber"]) == (5, made["id"], 4711)
    statuses = [event["data"]["newStatus"] for event in told[0] if "newStatus" in event["data"]]
    assert statuses == ["PLACED", "DELIVERED", "ADOPTED", "CANCELLED"]


@scenario("A classic client's pet is a pet at every other door", "getPet", "updatePet", "deletePet")
async def test_classic_pet(world: World, at: At, door: Door) -> None:
    person = await world.staff()
    classic, other = at(CLASSIC, person, world.target.first), at(door, person, world.target.last)
    assert (await classic.call("classicAddPet", body=PET)).value == PET
    listed = (await other.call("listPets", status="ALL")).value["data"]
    made = next(pet for pet in listed if pet["number"] == 4711)
    assert (made["name"], made["species"], made["price"], made["ageMonths"]) == ("Rex", "DOG", "0.00", 0)
    await other.call("updatePet", id=made["id"], body={"name": "Rexy", "status": "NOT_AVAILABLE"})
    changed = {**PET, "name": "Rexy", "status": "pending"}
    assert (await classic.call("classicGetPet", petId=4711)).value == changed
    # Seen as pending, it stays what it is; another species has another category.
    assert (await classic.call("classicUpdatePet", body=changed)).value == changed
    assert (await other.call("getPet", id=made["id"])).value["status"] == "NOT_AVAILABLE"
    await other.call("updatePet", id=made["id"], body={"species": "CAT", "photos": []})
    seen = (await classic.call("classicGetPet", petId=4711)).value
    assert (seen["category"], seen["photoUrls"], seen["tags"]) == (
        {"id": 2, "name": "Cats"},
        ["a"],
        PET["tags"],
    )
    await other.call("deletePet", id=made["id"])
    assert (await refusal(classic.call("classicGetPet", petId=4711))).code == "not-found"


@scenario(
    "A classic client's order is in the order book, and left alone there",
    "listOrders",
    "getOrder",
    "payOrder",
    "cancelOrder",
)
async def test_classic_order(world: World, at: At, door: Door) -> None:
    person = await world.staff()
    classic, other = at(CLASSIC, person, world.target.first), at(door, person, world.target.last)
    pet = await world.pet()
    order: dict[str, Any] = {
        "id": 8,
        "petId": pet["number"],
        "quantity": 3,
        "status": "placed",
        "complete": False,
    }
    dated = {**order, "shipDate": "2026-01-31T08:15:00.250Z"}
    found: dict[str, Any] = {}
    for body in (order, dated, {**order, "petId": 999_999}):
        await classic.call("classicPlaceOrder", body=body)
        found = next(o for o in (await other.call("listOrders")).value["data"] if o["number"] == 8)
        shown = {"petNumber": body["petId"], "quantity": 3, "complete": False}
        if "shipDate" in body:
            shown["shipDate"] = body["shipDate"]
        assert found["classic"] == shown
        assert (await other.call("getOrder", id=found["id"])).value == found
        there = body["petId"] == pet["number"]
        assert found.get("petId") == (pet["id"] if there else None)
        assert found["totalAmount"] == (pet["price"] if there else "0.00")
        for call in (
            other.call("cancelOrder", id=found["id"]),
            other.call("payOrder", id=found["id"], body=_payment(found["totalAmount"])),
        ):
            assert (await refusal(call)).code == "conflict"
    assert (await other.call("getPet", id=pet["id"])).value["status"] == "AVAILABLE"
    await classic.call("classicDeleteOrder", orderId=8)
    assert (await other.call("getOrder", id=found["id"])).value["status"] == "CANCELLED"


@scenario("A classic client's order is moved on by classic clients alone", "updateOrder")
async def test_moved_on(world: World, at: At, door: Door) -> None:
    person = await world.staff()
    classic, other = at(CLASSIC, person, world.target.first), at(door, person, world.target.last)
    await classic.call("classicPlaceOrder", body={"id": 8, "petId": 999_999, "status": "placed"})
    (found,) = (await world.ask("GET", "/v1/orders", person))["data"]
    move = other.call("updateOrder", id=found["id"], body={"status": "SHIPPED"})
    assert (await refusal(move)).code == "conflict"


def _payment(amount: str) -> dict[str, Any]:
    card = {"object": "card", "name": "A", "number": "4242424242424242", "cvc": "123"}
    return {"amount": amount, "currency": "USD", "source": {**card, "expMonth": 12, "expYear": 2099}}


@scenario(
    "A classic client keeps pets by their numbers",
    "classicAddPet",
    "classicUpdatePet",
    "classicGetPet",
    "classicUpdatePetWithForm",
    "classicFindPetsByStatus",
    "classicFindPetsByTags",
    "classicUploadFile",
    "classicDeletePet",
    "classicGetInventory",
)
async def test_pets(world: World, at: At, door: Door) -> None:
    classic = at(door, await world.staff(), world.target.first)
    assert (await classic.call("classicAddPet", body=PET)).value == PET
    assert (await classic.call("classicGetPet", petId=4711)).value == PET
    changed = await classic.call("classicUpdatePetWithForm", petId=4711, name="Rexy", status="sold")
    assert changed.value == {**PET, "name": "Rexy", "status": "sold"}
    assert (await classic.call("classicFindPetsByStatus", status="sold")).value == [changed.value]
    assert (await classic.call("classicFindPetsByTags", tags="friendly")).value == [changed.value]
    assert (await classic.call("classicGetInventory")).value == {"available": 0, "pending": 0, "sold": 1}
    assert (await classic.call("classicUpdatePet", body=PET)).value == PET
    assert (await classic.call("classicUploadFile", petId=4711, body=PNG)).value["code"] == 200
    assert (await classic.call("classicDeletePet", petId=4711)).value == "Pet deleted"
    for gone in (
        classic.call("classicGetPet", petId=4711),
        classic.call("classicUpdatePet", body=PET),
    ):
        assert (await refusal(gone)).code == "not-found"


@scenario(
    "A classic client keeps orders by their numbers",
    "classicPlaceOrder",
    "classicGetOrder",
    "classicDeleteOrder",
)
async def test_orders(world: World, at: At, door: Door) -> None:
    classic = at(door, await world.staff(), world.target.first)
    order = {"id": 9, "petId": 1, "quantity": 2, "status": "approved", "complete": True}
    assert (await classic.call("classicPlaceOrder", body=order)).value == order
    assert (await classic.call("classicGetOrder", orderId=9)).value == order
    await classic.call("classicDeleteOrder", orderId=9)
    assert (await refusal(classic.call("classicGetOrder", orderId=9))).code == "not-found"


@scenario(
    "A classic client keeps users by their names",
    "classicCreateUser",
    "classicCreateUsersWithListInput",
    "classicGetUserByName",
    "classicUpdateUser",
    "classicDeleteUser",
    "classicLoginUser",
    "classicLogoutUser",
)
async def test_users(world: World, at: At, door: Door) -> None:
    classic = at(door, await world.staff(), world.target.first)
    user = {"id": 1, "username": "ann", "firstName": "Ann", "userStatus": 2}
    hidden = {**user, "password": "XXXXXXXXXXX"}
    assert (await classic.call("classicCreateUser", body={**user, "password": "12345"})).value == hidden
    assert (await classic.call("classicGetUserByName", username="ann")).value == hidden
    said = await classic.call("classicLoginUser", username="ann", password="12345")
    assert said.value.startswith("Logged in user session: ")
    assert (await classic.call("classicLogoutUser")).value == "User logged out"
    renamed = await classic.call("classicUpdateUser", username="ann", body={**user, "username": "bea"})
    assert renamed.value == {**hidden, "username": "bea"}
    assert (await classic.call("classicCreateUsersWithListInput", body=[user])).value == [hidden]
    await classic.call("classicDeleteUser", username="bea")
    assert (await refusal(classic.call("classicGetUserByName", username="bea"))).code == "not-found"
