"""Which webhooks a program has to do with: those that get nothing but what it could get itself."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.kernel.caller import Caller, Role, Scope
from core.kernel.errors import NotFound
from core.services.api_keys import CREATE_API_KEY
from core.services.orders import PLACE_ORDER
from core.services.pets import CREATE_PET
from core.services.webhooks.deliveries import LIST_DELIVERIES, REDELIVER, TEST_WEBHOOK
from core.services.webhooks.management import (
    CREATE_WEBHOOK,
    DELETE_WEBHOOK,
    GET_WEBHOOK,
    LIST_WEBHOOKS,
    ROTATE_WEBHOOK_SECRET,
    UPDATE_WEBHOOK,
)
from tests.core.accounts import by_key
from tests.core.stores import Shop, open_store, user_in
from tests.core.webhook_endpoints import Endpoints, delivering
from tests.waiting import eventually

URL, OTHER = "https://hooks.example/a", "https://hooks.example/b"
PET = {"name": "Biscuit", "species": "DOG", "ageMonths": 14, "price": "350.00"}


@pytest.fixture
def endpoints() -> Endpoints:
    return Endpoints()


@pytest.fixture
async def shop(tmp_path: Path, endpoints: Endpoints) -> AsyncIterator[Shop]:
    async with open_store(tmp_path, webhooks=endpoints) as store:
        shop = Shop(store)
        assert shop.staff.user_id is not None
        await shop.add(user_in(shop.tenant, user_id=shop.staff.user_id, username="staff", role=Role.STAFF))
        yield shop


async def key_of(shop: Shop, *scopes: str) -> Caller:
    made = await shop.call(CREATE_API_KEY, body={"name": "Hooks", "scopes": ["write:webhooks", *scopes]})
    return await by_key(shop, made.key)


async def hook(shop: Shop, caller: Caller | None = None, url: str = URL) -> Any:
    return await shop.call(CREATE_WEBHOOK, caller, {"url": url, "events": ["pets/#"]})


async def listed(shop: Shop, caller: Caller) -> list[str]:
    return [one.id for one in (await shop.call(LIST_WEBHOOKS, caller)).data]


async def test_no_operation_is_for_who_sees_less_than_the_webhook_gets(
    shop: Shop, endpoints: Endpoints
) -> None:
    narrow, orders = await key_of(shop), await key_of(shop, "read:orders")
    client = replace(narrow, key="client:c", client_id="c", user_id=None)
    reduced = replace(shop.staff, scopes=frozenset({Scope.WRITE_WEBHOOKS, Scope.READ_ORDERS}))
    staffs, of_orders = await hook(shop), await hook(shop, orders)
    async with delivering(shop.store):
        await shop.call(CREATE_PET, body=PET)

        async def delivered() -> Any:
            found = (await shop.call(LIST_DELIVERIES, id=staffs.id)).data
            return found if found and found[0].status == "SUCCEEDED" else None

        [delivery, *_] = await eventually(delivered)
        before = len(endpoints.posts)
        for webhook, callers in ((staffs, (narrow, client, orders, reduced)), (of_orders, (narrow, client))):
            for caller in callers:
                for operation, body, params in (
                    (GET_WEBHOOK, None, {}),
                    (UPDATE_WEBHOOK, {"url": OTHER}, {}),
                    (UPDATE_WEBHOOK, {}, {}),
                    (DELETE_WEBHOOK, None, {}),
                    (ROTATE_WEBHOOK_SECRET, None, {}),
                    (TEST_WEBHOOK, None, {}),
                    (LIST_DELIVERIES, None, {}),
                    (REDELIVER, None, {"deliveryId": delivery.id}),
                ):
                    await shop.refusal(NotFound, operation, caller, body, id=webhook.id, **params)
                assert webhook.id not in await listed(shop, caller)
    assert len(endpoints.posts) == before
    assert (await shop.call(GET_WEBHOOK, id=staffs.id)).url == URL


async def test_programs_have_to_do_with_those_that_get_no_more(shop: Shop) -> None:
    narrow, other = await key_of(shop), await key_of(shop)
    orders, all_of_it = await key_of(shop, "read:orders"), await key_of(shop, "read:orders", "read:user")
    reduced = replace(shop.staff, scopes=frozenset({Scope.WRITE_WEBHOOKS, Scope.READ_ORDERS}))
    made = [(await hook(shop, caller)).id for caller in (narrow, other, orders, reduced, shop.staff)]
    assert await listed(shop, narrow) == await listed(shop, other) == made[:2]
    assert (
        await listed(shop, orders) == await listed(shop, all_of_it) == await listed(shop, reduced) == made[:4]
    )
    assert await listed(shop, shop.staff) == made
    page = await shop.call(LIST_WEBHOOKS, orders, limit=3)
    assert page.pagination.total_items == 4
    following = await shop.call(LIST_WEBHOOKS, orders, limit=3, after=page.pagination.next)
    assert [one.id for one in (*page.data, *following.data)] == made[:4]
    await shop.call(ROTATE_WEBHOOK_SECRET, other, id=made[0])
    await shop.call(DELETE_WEBHOOK, orders, id=made[1])


async def test_a_change_by_who_sees_more_widens_nothing(shop: Shop, endpoints: Endpoints) -> None:
    narrow = await key_of(shop)
    webhook, everything = await hook(shop, narrow), await hook(shop, url=OTHER)
    for one in (webhook, everything):
        for status in ("DISABLED", "ENABLED"):
            await shop.call(UPDATE_WEBHOOK, body={"events": ["#"], "status": status}, id=one.id)
    assert await listed(shop, narrow) == [webhook.id]
    async with delivering(shop.store):
        pet = await shop.call(CREATE_PET, body=PET)
        await shop.call(PLACE_ORDER, body={"petId": pet.id})
        last = await shop.call(CREATE_PET, body=PET)

        def got(url: str) -> bool:
            return any(last.id in post.body.decode() for post in endpoints.at(url))

        await eventually(lambda: got(URL) and got(OTHER))
    kinds = {url: {post.event["eventType"] for post in endpoints.at(url)} for url in (URL, OTHER)}
    assert "order.created" in kinds[OTHER]
    assert "order.created" not in kinds[URL]
