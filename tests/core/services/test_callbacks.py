"""Callbacks about the payment of orders: one each, signed, whoever pays and whenever it was asked for."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from core.kernel.errors import Conflict, NotFound
from core.models.callbacks import OrderCallback
from core.models.webhooks import WebhookState
from core.ports.records import Query
from core.services.orders import CANCEL_ORDER, PLACE_ORDER
from core.services.payments import PAY_ORDER
from core.services.pets import CREATE_PET
from core.services.tenant import RESET_TENANT
from core.services.webhooks.callbacks import REQUEST_ORDER_CALLBACK
from tests.core.services.test_unpaid_orders import CARD, PET
from tests.core.stores import Shop, customer_of, open_store
from tests.core.webhook_endpoints import Endpoints, delivering
from tests.waiting import eventually

URL = "https://shop.example/callback"
BODY = {"amount": "350.00", "currency": "USD", "timestamp": "2026-03-02T09:30:00Z", "callbackUrl": URL}
DECLINED = {**CARD, "source": {**CARD["source"], "number": "4000000000000002"}}  # type: ignore[dict-item]


class World(Shop):
    """A shop and the endpoints that it calls back."""

    endpoints: Endpoints

    async def order(self, caller: Any = None) -> str:
        pet = await self.call(CREATE_PET, body=PET)
        return str((await self.call(PLACE_ORDER, caller or self.visitor, {"petId": pet.id})).id)

    async def ask(self, order_id: str, caller: Any = None) -> Any:
        return await self.call(REQUEST_ORDER_CALLBACK, caller or self.visitor, BODY, id=order_id)

    async def left(self) -> int:
        async with self.store.storage.read(self.tenant) as tx:
            return await tx.count(Query(OrderCallback)) + await tx.count(Query(WebhookState))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    endpoints = Endpoints()
    async with open_store(tmp_path, webhooks=endpoints) as store:
        world = World(store)
        world.endpoints = endpoints
        yield world


@pytest.mark.parametrize("asked", ["before", "after"])
@pytest.mark.parametrize("outcome", ["paid", "declined", "cancelled"])
async def test_the_outcome_is_told_once(world: World, outcome: str, asked: str) -> None:
    order = await world.order()

    async def decide() -> None:
        if outcome == "cancelled":
            await world.call(CANCEL_ORDER, world.visitor, id=order)
        else:
            await world.call(PAY_ORDER, world.visitor, CARD if outcome == "paid" else DECLINED, id=order)

    if asked == "after":
        await decide()
    async with delivering(world.store) as deliverer:
        accepted = await world.ask(order)
        if asked == "before" or outcome == "declined":  # one of before is no answer to what was asked later
            await decide()
        await eventually(lambda: world.endpoints.posts)
        await eventually(lambda: deliverer.statistics().behind == 0)
        await world.order()

        async def done() -> bool:
            return await world.left() == 0

        await eventually(done)
    [post] = world.endpoints.posts
    told = Verifier(accepted.secret).verify(post.body, dict(post.headers))
    assert post.headers["webhook-id"] == accepted.request_id
    assert (told["requestId"], told["orderId"]) == (accepted.request_id, order)
    expected = {
        "paid": ("COMPLETED", "APPROVED"), "declined": ("FAILED", "PLACED"), "cancelled": ("FAILED", "CANCELLED")
    }  # fmt: skip
    assert (told["status"], told["result"]["orderStatus"]) == expected[outcome]
    assert ("receiptId" in told["result"]) == (outcome == "paid")
    assert ("failureReason" in told["result"]) == (outcome == "declined")
    assert "4242" not in post.body.decode()


async def test_one_that_fails_is_attempted_again(world: World) -> None:
    order = await world.order()
    world.endpoints.answers[URL] = 500
    await world.ask(order)
    async with delivering(world.store) as deliverer:
        await world.call(PAY_ORDER, world.visitor, CARD, id=order)
        await eventually(lambda: deliverer.statistics().attempts.failed == 1)
        [state] = await _states(world)
        assert (state.pending, state.due_at is not None) == (1, True)
    await world.call(RESET_TENANT, confirm=world.tenant)
    assert await world.left() == 0


async def _states(world: World) -> list[WebhookState]:
    async def look() -> list[WebhookState]:
        async with world.store.storage.read(world.tenant) as tx:
            found = await tx.find(Query(WebhookState))
        return [state for state in found if state.failing_since is not None]

    return await eventually(look)


async def test_what_cannot_be_called_back_is_refused(world: World) -> None:
    own = await world.order(world.customer)
    await world.refusal(NotFound, REQUEST_ORDER_CALLBACK, customer_of(world.tenant), BODY, id=own)
    await world.refusal(NotFound, REQUEST_ORDER_CALLBACK, world.visitor, BODY, id=own)
    wrong = {**BODY, "amount": "1.00", "currency": "EUR"}
    assert await world.violations(REQUEST_ORDER_CALLBACK, world.customer, wrong, id=own) == {
        "amount": "OUT_OF_RANGE",
        "currency": "OUT_OF_RANGE",
    }
    private = {**BODY, "callbackUrl": "https://private.example/"}
    assert await world.violations(REQUEST_ORDER_CALLBACK, world.customer, private, id=own) == {
        "callbackUrl": "INVALID_FORMAT"
    }
    for _ in range(5):
        await world.ask(own, world.customer)
    await world.refusal(Conflict, REQUEST_ORDER_CALLBACK, world.customer, BODY, id=own)
