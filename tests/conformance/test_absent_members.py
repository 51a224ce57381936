"""A member without a value is left out of what the store writes, at every door; GraphQL's own fields say null."""

from typing import Any

from tests.conformance.conftest import At
from tests.conformance.door import Ability
from tests.conformance.manifest import Door
from tests.conformance.people import World
from tests.conformance.scenario import scenario
from tests.conformance.test_orders import payment

_LAST = "The last of them"


def nulls(value: Any, path: str = "") -> list[str]:
    """Where a value says null, by path."""
    if isinstance(value, dict):
        return [found for name, inner in value.items() for found in nulls(inner, f"{path}.{name}")]
    if isinstance(value, list):
        return [found for place, inner in enumerate(value) for found in nulls(inner, f"{path}[{place}]")]
    return [path] if value is None else []


@scenario("What has no value is left out of a result", "createPet", "placeOrder", "getOrder", "payOrder")
async def test_results(world: World, at: At, door: Door) -> None:
    staff, visitor = (at(door, who, world.target.first) for who in (await world.staff(), world.visitor))
    draft = {"name": "Bo", "species": "CAT", "ageMonths": 1, "price": "75.00", "medicalInfo": {}}
    pet = (await staff.call("createPet", body=draft)).value
    assert not nulls(pet)
    assert not {"ownerId", "breed", "size", "description", "goodWithKids"} & pet.keys()
    order = (await visitor.call("placeOrder", body={"petId": pet["id"]})).value
    assert not nulls(order)
    assert "userId" not in order
    assert (await visitor.call("getOrder", id=order["id"])).value == order
    declined = (await visitor.call("payOrder", id=order["id"], body=payment(number="4000000000000002"))).value
    assert not nulls(declined)
    assert "receiptId" not in declined
    assert "billingAddress" not in declined["source"]
    paid = (await visitor.call("payOrder", id=order["id"], body=payment())).value
    assert not nulls(paid)
    assert "failureReason" not in paid


@scenario("What has no value is left out of an event", Ability.FOLLOW)
async def test_events(world: World, at: At, door: Door) -> None:
    async with at(door, await world.staff(), world.target.first).follow("#") as stream:
        order = await world.order(world.visitor)
        await world.ask("POST", f"/v1/orders/{order['id']}/payment", world.visitor, payment())
        for status in ("SHIPPED", "DELIVERED"):
            await world.ask("PATCH", f"/v1/orders/{order['id']}", await world.staff(), {"status": status})
        chat = await world.ask("POST", "/v1/chats", await world.customer(), {})
        await world.ask(
            "POST", f"/v1/chats/{chat['id']}/messages", await world.customer(), {"text": "Hello?"}
        )
        await world.pet(name=_LAST)
        told = await stream.until(lambda event: event["data"].get("pet", {}).get("name") == _LAST)
    kinds = {"pet.adopted", "order.created", "payment.processing", "chat.opened"}
    assert kinds <= {event["eventType"] for event in told}
    assert not [path for event in told for path in nulls(event, event["eventType"])]


@scenario("What has no value is left out of what is said in a chat", Ability.CONVERSE)
async def test_chats(world: World, at: At, door: Door) -> None:
    customer, staff = await world.customer(), await world.staff()
    async with at(door, customer, world.target.first).converse() as conversation:
        chat = await conversation.join()
        assert not nulls(chat)
        assert not {"subject", "agentId"} & chat.keys()
        said = await conversation.say(chat["id"], "Hello?")
        assert not nulls(said)
        await world.ask("POST", f"/v1/chats/{chat['id']}/assignment", staff, {})
        await world.ask("POST", f"/v1/chats/{chat['id']}/messages", staff, {"text": "Yes?"})
        assigned = await conversation.hear("agentAssigned")
        assert not nulls(assigned)
        assert "subject" not in assigned
        heard = await conversation.hear("chatMessage")
        assert not nulls(heard)
        assert not {"clientMessageId", "readAt"} & heard.keys()
