"""The store's operations mean the same at every door that has them."""

from typing import Any

from tests.conformance.conftest import At
from tests.conformance.door import Ability, refusal
from tests.conformance.manifest import Door
from tests.conformance.people import World
from tests.conformance.scenario import scenario

DRAFT: dict[str, Any] = {
    "name": "Momo",
    "species": "CAT",
    "breed": "Siamese",
    "ageMonths": 7,
    "size": "SMALL",
    "color": "cream",
    "gender": "FEMALE",
    "goodWithKids": True,
    "goodWithDogs": False,
    "price": "120.50",
    "currency": "EUR",
    "description": "Talks a lot.",
    "medicalInfo": {"vaccinated": True, "spayedNeutered": False, "healthNotes": "none"},
}


@scenario("A pet is created, read, changed and removed", "createPet", "getPet", "updatePet", "deletePet")
async def test_pet(world: World, at: At, door: Door) -> None:
    staff = at(door, await world.staff(), world.target.first)
    visitor = at(door, world.visitor, world.target.last)
    made = (await staff.call("createPet", body=DRAFT)).value
    assert made == await world.ask("GET", f"/v1/pets/{made['id']}", world.visitor)
    assert {name: made[name] for name in DRAFT} == DRAFT
    assert made["status"] == "AVAILABLE"
    assert (await visitor.call("getPet", id=made["id"])).value == made
    changed = (await staff.call("updatePet", id=made["id"], body={"price": "99.00", "breed": None})).value
    assert changed["price"] == "99.00"
    assert "breed" not in changed
    assert changed["color"] == made["color"]
    assert (await visitor.call("getPet", id=made["id"])).value == changed
    await staff.call("deletePet", id=made["id"])
    assert (await refusal(visitor.call("getPet", id=made["id"]))).code == "not-found"


@scenario(
    "A change on a condition is refused when the pet has changed meanwhile", "updatePet", Ability.IF_MATCH
)
async def test_if_match(world: World, at: At, door: Door) -> None:
    pet = await world.pet()
    staff = at(door, await world.staff(), world.target.first)
    seen = await staff.call("getPet", id=pet["id"])
    assert seen.etag is not None
    after = await staff.call("updatePet", id=pet["id"], body={"name": "Rexy"}, if_match=seen.etag)
    late = await refusal(staff.call("updatePet", id=pet["id"], body={"name": "Roxy"}, if_match=seen.etag))
    assert late.code == "precondition-failed"
    assert (await staff.call("getPet", id=pet["id"])).value == after.value
