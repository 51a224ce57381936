"""Clients that others generated from the published contract of this API are understood, and understand the answers."""

from typing import Any

from tests.conformance.conftest import At
from tests.conformance.door import Ability
from tests.conformance.manifest import Door
from tests.conformance.people import World
from tests.conformance.scenario import scenario
from tests.conformance.test_orders import ACCOUNT, CARD, payment

_ADDRESS = {
    "line1": "Lindenstraße 5",
    "line2": "Hinterhaus",
    "city": "Berlin",
    "state": "BE",
    "postalCode": "10969",
    "country": "DE",
}


@scenario(
    "What only the store decides may be sent along, and is ignored", Ability.ECHO, "placeOrder", "payOrder"
)
async def test_sent_along(world: World, at: At, door: Door) -> None:
    pet, other = await world.pet(), await world.pet()
    customer = at(door, await world.customer(), world.target.first)
    known: dict[str, Any] = {
        "id": other["id"],
        "number": 1,
        "tenantId": other["tenantId"],
        "createdAt": other["createdAt"],
        "updatedAt": other["updatedAt"],
    }
    decided = {"status": "DELIVERED", "totalAmount": "0.01", "currency": "GBP"}
    order = (await customer.call("placeOrder", body={"petId": pet["id"], **known, **decided})).value
    assert (order["status"], order["totalAmount"], order["currency"]) == ("PLACED", "75.00", "USD")
    assert order["id"] != other["id"]
    source = {**CARD, "billingAddress": _ADDRESS, "brand": "AMEX", "last4": "0000"}
    paid = (await customer.call("payOrder", id=order["id"], body={**payment(source), **known})).value
    assert (paid["source"]["brand"], paid["source"]["last4"]) == ("VISA", "4242")


@scenario("What was read is changed and written back, whole", Ability.ECHO, "replacePet")
async def test_written_back(world: World, at: At, door: Door) -> None:
    other = await world.pet()
    staff = at(door, await world.staff(), world.target.first)
    changed = (await staff.call("replacePet", id=other["id"], body={**other, "name": "Rexy"})).value
    assert changed == {**other, "name": "Rexy", "updatedAt": changed["updatedAt"]}


@scenario("A payment is told with its source, of which no number is whole", "payOrder")
async def test_sources(world: World, at: At, door: Door) -> None:
    person = await world.customer()
    customer = at(door, person, world.target.first)

    async def paid_from(source: dict[str, Any]) -> dict[str, Any]:
        order = await world.order(person)
        told: dict[str, Any] = (await customer.call("payOrder", id=order["id"], body=payment(source))).value
        assert told["status"] == "SUCCEEDED"
        shown: dict[str, Any] = told["source"]
        return shown

    assert await paid_from({**CARD, "billingAddress": _ADDRESS}) == {
        "object": "card",
        "name": "Sam Demo",
        "number": "************4242",
        "brand": "VISA",
        "last4": "4242",
        "expMonth": 12,
        "expYear": 2099,
        "billingAddress": _ADDRESS,
    }
    assert await paid_from(ACCOUNT) == {**ACCOUNT, "accountNumber": "********6789"}
    assert (await paid_from({**ACCOUNT, "accountNumber": "1234"}))["accountNumber"] == "****"
