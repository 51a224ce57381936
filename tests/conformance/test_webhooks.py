"""Webhooks are the same at every door, and what happens at any is posted to them."""

import json
from typing import Any

from standardwebhooks import Webhook as Verifier

from tests.conformance.conftest import At
from tests.conformance.door import Ability, Driver, refusal
from tests.conformance.manifest import Door
from tests.conformance.people import World
from tests.conformance.scenario import scenario
from tests.conformance.test_orders import payment
from tests.gateway.webhooks.receiver import receiving
from tests.waiting import eventually


async def ended(staff: Driver, webhook_id: str, count: int) -> list[dict[str, Any]]:
    """So many deliveries, all of which have ended."""

    async def look() -> Any:
        found = (await staff.call("listWebhookDeliveries", id=webhook_id)).value["data"]
        done = len(found) == count and all(one["status"] == "SUCCEEDED" for one in found)
        return found if done else None

    found: list[dict[str, Any]] = await eventually(look)
    return found


@scenario(
    "A webhook is made, tested, changed, given another secret, and removed",
    "createWebhook", "getWebhook", "listWebhooks", "updateWebhook", "deleteWebhook", "testWebhook",
    "rotateWebhookSecret", "listWebhookDeliveries", "redeliverWebhook", Ability.IF_MATCH, own=True, nodes=True,
)  # fmt: skip
async def test_webhooks(world: World, at: At, door: Door) -> None:
    staff = at(door, await world.staff(), world.target.first)
    other = at(door, await world.staff(), world.target.last)
    async with receiving() as receiver:
        body = {
            "url": receiver.url,
            "events": ["pet.created", "inventory/#"],
            "description": "For the shelves",
        }
        made = (await staff.call("createWebhook", body=body)).value
        secret = made.pop("secret")
        seen = await other.call("getWebhook", id=made["id"])
        assert seen.value == made
        assert made == {**made, **body, "status": "ENABLED"}
        assert (await other.call("listWebhooks")).value["data"] == [made]

        tested = (await other.call("testWebhook", id=made["id"])).value
        assert (tested["webhookId"], tested["eventType"]) == (made["id"], "webhook.test")
        [delivery] = await ended(staff, made["id"], 1)
        assert delivery["attempts"][0]["responseStatus"] == 200
        [post] = receiver.received
        assert Verifier(secret).verify(post.body, post.headers)["id"] == delivery["eventId"]

        stale = staff.call("updateWebhook", id=made["id"], body={"events": ["pet.created"]}, if_match="stale")
        assert (await refusal(stale)).code == "precondition-failed"
        await staff.call("updateWebhook", id=made["id"], body={"events": ["pet.created"]}, if_match=seen.etag)
        renewed = (await staff.call("rotateWebhookSecret", id=made["id"])).value["secret"]
        pet = await world.pet()
        created, _ = await ended(other, made["id"], 2)
        for key in (secret, renewed):
            event = Verifier(key).verify(receiver.received[-1].body, receiver.received[-1].headers)
            assert (event["eventType"], event["data"]["pet"]["id"]) == ("pet.created", pet["id"])
        assert created["eventId"] == json.loads(receiver.received[-1].body)["id"]
        await other.call("redeliverWebhook", id=made["id"], deliveryId=created["id"])
        await ended(staff, made["id"], 2)
        assert receiver.received[-1].headers["webhook-id"] == created["eventId"]
        assert len(receiver.received) == 3
    await staff.call("deleteWebhook", id=made["id"])
    assert (await refusal(staff.call("getWebhook", id=made["id"]))).code == "not-found"


@scenario(
    "Webhooks are for STAFF, and lead to what may be posted to", "createWebhook", "listWebhooks", own=True
)
async def test_refused(world: World, at: At, door: Door) -> None:
    staff, customer = (
        at(door, who, world.target.first) for who in (await world.staff(), await world.customer())
    )
    body = {"url": "https://example.com:25/", "events": ["pet.creatd"]}
    refused = await refusal(staff.call("createWebhook", body=body))
    assert refused.code == "validation-error"
    assert {field for field, _ in refused.fields} == {"url", "events[0]"}
    assert (await refusal(customer.call("createWebhook", body=body))).code == "forbidden"
    assert (await refusal(customer.call("listWebhooks"))).code == "forbidden"


@scenario(
    "Whoever asked for it is called back about the payment of an order", "requestOrderCallback", own=True
)
async def test_callback(world: World, at: At, door: Door) -> None:
    visitor = at(door, world.visitor, world.target.first)
    pet = await world.pet()
    order = await world.ask("POST", "/v1/orders", world.visitor, {"petId": pet["id"]})
    async with receiving() as receiver:
        price = {"amount": order["totalAmount"], "currency": order["currency"]}
        body = {**price, "timestamp": "2026-03-02T09:30:00.000Z", "callbackUrl": receiver.url}
        accepted = (await visitor.call("requestOrderCallback", id=order["id"], body=body)).value
        await world.ask("POST", f"/v1/orders/{order['id']}/payment", world.visitor, payment())
        await eventually(lambda: receiver.received)
        [post] = receiver.received
    told = Verifier(accepted["secret"]).verify(post.body, post.headers)
    assert (told["requestId"], told["orderId"]) == (accepted["requestId"], order["id"])
    assert (told["status"], told["result"]["orderStatus"]) == ("COMPLETED", "APPROVED")
