"""Adoptions mean the same at every door, a pet is given once, and what tells of a person is told to them and STAFF."""

import asyncio
from typing import Any

from tests.conformance.conftest import At
from tests.conformance.door import Ability, Refused, refusal
from tests.conformance.manifest import Door
from tests.conformance.people import Person, World
from tests.conformance.scenario import scenario
from tests.conformance.test_events import all_hear, everywhere
from tests.conformance.test_orders import payment

FORM: dict[str, Any] = {
    "applicant": {"name": "Ada Conformance", "email": "ada@example.com", "phone": "+14155550123"},
    "householdType": "TOWNHOUSE",
    "hasYard": False,
    "message": "There is a park across the street.",
}


async def application(world: World, person: Person, pet: dict[str, Any] | None = None) -> dict[str, Any]:
    """A new application, for a new pet unless one is given."""
    pet = pet or await world.pet()
    made: dict[str, Any] = await world.ask("POST", "/v1/adoptions", person, {"petId": pet["id"], **FORM})
    return made


async def move(world: World, adoption: dict[str, Any], *statuses: str) -> None:
    """STAFF moves an application."""
    for status in statuses:
        path = f"/v1/adoptions/{adoption['id']}"
        await world.ask("PATCH", path, await world.staff(), {"status": status})


@scenario(
    "A pet is applied for, and given to one who applied",
    "createAdoption", "getAdoption", "updateAdoption", "listAdoptions", Ability.DECIDE, nodes=True
)  # fmt: skip
async def test_adoption(world: World, at: At, door: Door) -> None:
    pet, person = await world.pet(), await world.customer()
    other = await application(world, await world.customer("other"), pet)
    customer = at(door, person, world.target.first)
    staff = at(door, await world.staff(), world.target.last)
    made = (await customer.call("createAdoption", body={"petId": pet["id"], **FORM})).value
    assert made == await world.ask("GET", f"/v1/adoptions/{made['id']}", person)
    assert {name: made[name] for name in FORM} == FORM
    assert (made["status"], made["userId"], made["petId"]) == ("SUBMITTED", person.user_id, pet["id"])
    assert (await staff.call("getAdoption", id=made["id"])).value == made
    assert (await staff.call("listAdoptions", petId=pet["id"])).value["data"] == [made, other]
    assert (await customer.call("listAdoptions")).value["data"] == [made]
    assert (await staff.call("listAdoptions", status=["APPROVED"])).value["data"] == []
    early = staff.call("updateAdoption", id=made["id"], body={"status": "APPROVED"})
    assert (await refusal(early)).code == "conflict"
    for status in ("UNDER_REVIEW", "APPROVED"):
        moved = (await staff.call("updateAdoption", id=made["id"], body={"status": status})).value
        assert moved["status"] == status
        assert (await customer.call("getAdoption", id=made["id"])).value == moved
    assert (await staff.call("getAdoption", id=other["id"])).value["status"] == "REJECTED"
    owned = await world.ask("GET", f"/v1/pets/{pet['id']}", world.visitor, node=world.target.last)
    assert (owned["status"], owned["ownerId"]) == ("ADOPTED", person.user_id)
    late = customer.call("updateAdoption", id=made["id"], body={"status": "WITHDRAWN"})
    assert (await refusal(late)).code == "conflict"


@scenario(
    "An application is withdrawn by its applicant alone",
    "createAdoption", "updateAdoption", "getAdoption"
)  # fmt: skip
async def test_withdraw(world: World, at: At, door: Door) -> None:
    person = await world.customer()
    made = await application(world, person)
    customer = at(door, person, world.target.first)
    staff = at(door, await world.staff(), world.target.last)
    other = at(door, await world.customer("other"), world.target.last)
    withdraw = {"id": made["id"], "body": {"status": "WITHDRAWN"}}
    assert (await refusal(staff.call("updateAdoption", **withdraw))).code == "forbidden"
    assert (await refusal(other.call("updateAdoption", **withdraw))).code == "not-found"
    withdrawn = (await customer.call("updateAdoption", **withdraw)).value
    assert withdrawn["status"] == "WITHDRAWN"
    assert (await customer.call("getAdoption", id=made["id"])).value == withdrawn
    assert (await refusal(customer.call("updateAdoption", **withdraw))).code == "conflict"
    wrong = {"applicant": {"name": "x" * 101, "email": "ada", "phone": "030"}, "message": "x" * 2001}
    again = await refusal(customer.call("createAdoption", body={"petId": "rex", **FORM, **wrong}))
    assert (again.code, sorted(again.fields)) == (
        "validation-error",
        [
            ("applicant.email", "INVALID_FORMAT"),
            ("applicant.name", "INVALID_LENGTH"),
            ("applicant.phone", "INVALID_FORMAT"),
            ("message", "INVALID_LENGTH"),
            ("petId", "INVALID_FORMAT"),
        ],
    )
    body = {"petId": made["petId"], **FORM}
    made_again = (await customer.call("createAdoption", body=body)).value
    assert made_again["id"] != made["id"]
    assert (await refusal(customer.call("createAdoption", body=body))).code == "conflict"


@scenario(
    "An application that has changed meanwhile is not withdrawn on a condition",
    "getAdoption", "updateAdoption", Ability.IF_MATCH
)  # fmt: skip
async def test_stale(world: World, at: At, door: Door) -> None:
    person = await world.customer()
    made = await application(world, person)
    customer = at(door, person, world.target.first)
    seen = await customer.call("getAdoption", id=made["id"])
    await move(world, made, "UNDER_REVIEW")
    withdraw = {"id": made["id"], "body": {"status": "WITHDRAWN"}}
    stale = await refusal(customer.call("updateAdoption", **withdraw, if_match=seen.etag))
    assert stale.code == "precondition-failed"
    assert (await customer.call("getAdoption", id=made["id"])).value["status"] == "UNDER_REVIEW"


@scenario(
    "An application does not exist for anybody but its applicant and STAFF",
    "createAdoption", "getAdoption", "listAdoptions", "updateAdoption"
)  # fmt: skip
async def test_private(world: World, at: At, door: Door) -> None:
    made = await application(world, await world.customer())
    other = at(door, await world.customer("other"), world.target.last)
    assert (await refusal(other.call("getAdoption", id=made["id"]))).code == "not-found"
    assert (await other.call("listAdoptions", petId=made["petId"])).value["data"] == []
    visitor = at(door, world.visitor, world.target.first)
    for call in (
        visitor.call("createAdoption", body={"petId": made["petId"], **FORM}),
        visitor.call("getAdoption", id=made["id"]),
        visitor.call("listAdoptions"),
        visitor.call("updateAdoption", id=made["id"], body={"status": "WITHDRAWN"}),
    ):
        assert (await refusal(call)).code == "unauthorized"
    async with World(world.target) as elsewhere:
        stranger = at(door, await elsewhere.staff(), world.target.first)
        assert (await refusal(stranger.call("getAdoption", id=made["id"]))).code == "not-found"
        body = {"petId": made["petId"], **FORM}
        assert (await refusal(stranger.call("createAdoption", body=body))).code == "not-found"


@scenario("The same application with the same key is made once", "createAdoption", Ability.IDEMPOTENCY)
async def test_once(world: World, at: At, door: Door) -> None:
    pet = await world.pet()
    customer = at(door, await world.customer(), world.target.first)
    other = at(door, await world.customer("other"), world.target.last)
    body = {"petId": pet["id"], **FORM}
    first = await customer.call("createAdoption", body=body, key="one application")
    again = await customer.call("createAdoption", body=body, key="one application")
    theirs = await other.call("createAdoption", body=body, key="one application")
    assert again.value == first.value
    assert theirs.value["id"] != first.value["id"]


@scenario(
    "Of many applications approved at once at all doors exactly one is",
    "updateAdoption", Ability.DECIDE, spans="all", nodes=True
)  # fmt: skip
async def test_one_approval(world: World, at: At, doors: tuple[Door, ...]) -> None:
    pet = await world.pet()
    people = [await world.customer(name) for name in ("ann", "ben", "cat")]
    made = [await application(world, person, pet) for person in people]
    for adoption in made:
        await move(world, adoption, "UNDER_REVIEW")
    staff = [at(door, await world.staff(), node) for door in doors for node in world.target.nodes]
    attempts = [(caller, adoption["id"]) for caller in staff for adoption in made]

    async def attempt(number: int) -> str:
        caller, adoption_id = attempts[number]
        try:
            await caller.call("updateAdoption", id=adoption_id, body={"status": "APPROVED"})
        except Refused as error:
            # On a busy machine somebody may have waited for their turn too long, and asks again.
            return await attempt(number) if error.code == "service-unavailable" else error.code
        return "approved"

    outcomes = await asyncio.gather(*map(attempt, range(len(attempts))))
    assert sorted(outcomes) == ["approved"] + ["conflict"] * (len(attempts) - 1)
    listed = await world.ask("GET", "/v1/adoptions", await world.staff())
    assert sorted(one["status"] for one in listed["data"]) == ["APPROVED", "REJECTED", "REJECTED"]


@scenario(
    "What becomes of an application is told to its applicant and STAFF alone, at every door and in replays",
    Ability.FOLLOW, spans="all", nodes=True
)  # fmt: skip
async def test_told(world: World, at: At, doors: tuple[Door, ...]) -> None:
    staff, customer, other = await world.staff(), await world.customer(), await world.customer("other")
    async with (
        everywhere(world, at, doors, staff, "#") as of_staff,
        everywhere(world, at, doors, customer, "adoptions/#", "pets/+") as of_applicant,
        everywhere(world, at, doors, other, "#") as of_other,
        everywhere(world, at, doors, world.visitor, "#") as of_visitor,
    ):
        pet = await world.pet()
        made = await application(world, customer, pet)
        await move(world, made, "UNDER_REVIEW", "APPROVED")
        told = await all_hear(world, [*of_staff])
        mine = [event for event in told if event["topic"] == f"adoptions/{made['id']}/status"]
        assert [(event["eventType"], event["data"]["adoption"]["status"]) for event in mine] == [
            ("adoption.submitted", "SUBMITTED"),
            ("adoption.status_changed", "UNDER_REVIEW"),
            ("adoption.status_changed", "APPROVED"),
        ]
        assert mine[0]["data"] == {"adoption": made}
        assert "pet.adopted" in {event["eventType"] for event in told}
        for streams, expected in ((of_applicant, mine), (of_other, []), (of_visitor, [])):
            for stream in streams:
                heard = await stream.until(lambda event: event["id"] == told[-1]["id"])
                assert [event for event in heard if event["topic"].startswith("adoptions/")] == expected
                assert expected or "Ada Conformance" not in str(heard)
    resuming = tuple(door for door in doors if Ability.RESUME in door.offered)
    async with (
        everywhere(world, at, resuming, customer, "adoptions/#", "pets/+", cursor="earliest") as of_applicant,
        everywhere(world, at, resuming, other, "#", cursor="earliest") as of_other,
    ):
        for streams, expected in ((of_applicant, mine), (of_other, [])):
            for stream in streams:
                heard = await stream.until(lambda event: event["id"] == told[-1]["id"])
                assert [event for event in heard if event["topic"].startswith("adoptions/")] == expected


@scenario("Nobody follows an application that they may not read", Ability.FOLLOW)
async def test_literal(world: World, at: At, door: Door) -> None:
    made = await application(world, await world.customer())
    topic = f"adoptions/{made['id']}/status"
    for person, code in ((world.visitor, "unauthorized"), (await world.customer("other"), "forbidden")):
        refused = await refusal(at(door, person, world.target.first).follow(topic))
        assert refused.code in door.driver.says(code)
    async with at(door, await world.customer(), world.target.last).follow(topic) as stream:
        await move(world, made, "REJECTED")
        told = await stream.until(lambda event: event["data"]["adoption"]["status"] == "REJECTED")
    assert {event["topic"] for event in told} == {topic}


@scenario(
    "A receipt says that the money went back", "getReceipt", "payOrder", "cancelOrder", "placeOrder", nodes=True
)  # fmt: skip
async def test_refund(world: World, at: At, door: Door) -> None:
    customer = at(door, await world.customer(), world.target.first)
    other = at(door, await world.customer("other"), world.target.last)
    order = await world.order(await world.customer())
    paid = (await customer.call("payOrder", id=order["id"], body=payment())).value
    receipt = (await customer.call("getReceipt", id=paid["receiptId"])).value
    assert receipt["url"].endswith(f"/v1/receipts/{paid['receiptId']}?tenant={world.tenant}")
    assert "refundedAt" not in receipt
    assert (await refusal(other.call("getReceipt", id=paid["receiptId"]))).code == "not-found"
    await customer.call("cancelOrder", id=order["id"])
    after = (await customer.call("getReceipt", id=paid["receiptId"])).value
    cancelled = (await customer.call("getOrder", id=order["id"])).value
    assert after == {**receipt, "refundedAt": cancelled["updatedAt"]}
