"""Whose turn it is: neither a tenant nor a webhook that fails keeps others from being attempted."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from core.kernel.caller import Role
from core.kernel.clock import utc_now
from core.services.pets import CREATE_PET
from core.services.webhooks.dispatch import PLACES
from core.services.webhooks.management import CREATE_WEBHOOK
from tests.core.stores import Shop, open_store, user_in
from tests.core.webhook_endpoints import Endpoints, delivering
from tests.waiting import eventually

URL, OTHER = "https://hooks.example/a", "https://hooks.example/b"
PET = {"name": "Biscuit", "species": "DOG", "ageMonths": 14, "price": "350.00"}


@dataclass
class World:
    """Two tenants of one store, one of which is up to no good."""

    villain: Shop
    shop: Shop
    endpoints: Endpoints
    ahead: list[timedelta] = field(default_factory=lambda: [timedelta()])


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    endpoints, ahead = Endpoints(), [timedelta()]

    def clock() -> datetime:
        return utc_now() + ahead[0]

    async with open_store(tmp_path, webhooks=endpoints, clock=clock) as store:
        shops = Shop(store), Shop(store)
        for shop in shops:
            assert shop.staff.user_id is not None
            account = user_in(shop.tenant, user_id=shop.staff.user_id, username="staff", role=Role.STAFF)
            await shop.add(account)
        yield World(*shops, endpoints, ahead)


async def hook(shop: Shop, url: str) -> None:
    await shop.call(CREATE_WEBHOOK, body={"url": url, "events": ["pet.created"]})


async def test_endpoints_that_never_answer_leave_places_for_other_tenants(world: World) -> None:
    count = 2 * PLACES[False]
    for number in range(count):
        url = f"https://dead.example/{number}"
        world.endpoints.dead.add(url)
        await hook(world.villain, url)
    await hook(world.shop, URL)
    async with delivering(world.shop.store):
        await world.villain.call(CREATE_PET, body=PET)
        await eventually(lambda: len(world.endpoints.posts) == PLACES[False] // 2)
        await world.shop.call(CREATE_PET, body=PET)
        await eventually(lambda: world.endpoints.at(URL))
        assert len(world.endpoints.posts) == PLACES[False] // 2 + 1


async def test_a_retry_is_made_beside_endpoints_of_another_tenant_that_keep_failing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.services.webhooks.records._JITTER", 0)
    world.endpoints.answers[URL] = 500
    dead = [f"https://dead.example/{number}" for number in range(2 * PLACES[True])]
    world.endpoints.answers |= dict.fromkeys(dead, 500)
    for url in dead:
        await hook(world.villain, url)
    await hook(world.shop, URL)
    async with delivering(world.shop.store) as deliverer:
        await world.villain.call(CREATE_PET, body=PET)
        await eventually(lambda: deliverer.statistics().attempts.failed == len(dead))
        await world.shop.call(CREATE_PET, body=PET)
        await eventually(lambda: deliverer.statistics().attempts.failed == len(dead) + 1)
        world.endpoints.dead.update(dead)
        world.ahead[0] = timedelta(minutes=2)
        await eventually(lambda: len(world.endpoints.at(URL)) == 2)


async def test_webhooks_with_much_to_try_again_take_turns(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.services.webhooks.dispatch.PLACES", {False: 1, True: 1})
    monkeypatch.setattr("core.services.webhooks.records._JITTER", 0)
    shop = world.shop
    world.endpoints.answers = {URL: 500, OTHER: 500}
    await hook(shop, URL)
    async with delivering(shop.store) as deliverer:
        for _ in range(10):
            await shop.call(CREATE_PET, body=PET)
        await eventually(lambda: deliverer.statistics().attempts.failed == 10)
        await hook(shop, OTHER)
        await shop.call(CREATE_PET, body=PET)
        await eventually(lambda: deliverer.statistics().attempts.failed == 12)
    # All of it is due; what is tried first is that which waits for longest.
    world.ahead[0] = timedelta(minutes=2)
    before = len(world.endpoints.posts)
    async with delivering(shop.store) as deliverer:
        await eventually(lambda: deliverer.statistics().attempts.failed == 12)
    order = [post.url for post in world.endpoints.posts[before:]]
    assert order.index(OTHER) == 2
