"""The rules of the classic API, and what they leave alone."""

import asyncio
from datetime import timedelta

import pytest

from core.kernel.errors import Conflict
from core.models.orders import OrderStatus
from core.models.pets import Pet
from core.services import numbers
from core.services.classic.orders import GET_ORDER, PLACE_ORDER
from core.services.classic.pets import ADD_PET, DELETE_PET, FIND_BY_TAGS, GET_PET
from core.services.classic.seed import seed_classic
from core.services.classic.users import CREATE_USER, CREATE_USERS
from core.services.orders import LIST_ORDERS
from core.services.orders import PLACE_ORDER as PLACE_MODERN
from core.services.pets import CREATE_PET
from core.services.unpaid_orders import cancel_unpaid
from core.services.users import REGISTER
from tests.core.stores import Shop

PET = {
    "id": 1,
    "name": "Rex",
    "category": {"id": 7, "name": "dog"},
    "photoUrls": ["a"],
    "tags": [{"name": "t"}],
}
MODERN = {"name": "Bo", "species": "CAT", "ageMonths": 1, "price": "5.00"}


async def test_what_a_classic_client_gives_is_kept_and_no_other_door_shows_it(shop: Shop) -> None:
    pet: Pet = await shop.call(ADD_PET, body=PET)
    again: Pet = await shop.call(GET_PET, number=1)
    assert again == pet
    assert again.labels is not None
    assert (again.labels.category.id if again.labels.category else None, again.species) == (7, "DOG")
    assert again.photos == ()
    assert b"labels" not in again.encoded
    assert b"tag" not in again.encoded
    (created, *_) = await shop.events()
    assert set(created["data"]["pet"]) & {"labels", "tagNames", "category", "tags"} == set()


async def test_the_store_counts_on_past_numbers_that_were_chosen(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "_RUN", 3)
    for number in (1, 2, 3, 4, 5, 7):
        await shop.call(ADD_PET, body={"id": number, "name": "a"})
        await shop.call(PLACE_ORDER, body={"id": number})
    pets = [(await shop.call(CREATE_PET, body=MODERN)) for _ in range(2)]
    assert [pet.number for pet in pets] == [6, 8]
    orders = [(await shop.call(PLACE_MODERN, body={"petId": pet.id})).number for pet in pets]
    assert orders == [6, 8]


async def test_many_who_choose_one_number_or_name_write_one_pet_order_and_user(shop: Shop) -> None:
    async with asyncio.TaskGroup() as group:
        for name in "abcde":
            group.create_task(shop.call(ADD_PET, body={"id": 5, "name": name}))
            group.create_task(shop.call(PLACE_ORDER, body={"id": 5, "quantity": 1}))
            group.create_task(shop.call(CREATE_USER, body={"username": "one", "firstName": name}))
            group.create_task(shop.call(CREATE_PET, body=MODERN))
    kinds = [kind for kind, _ in await shop.news(0)]
    assert kinds.count("pet.created") == 6
    assert kinds.count("order.created") == 1
    orders = (await shop.call(LIST_ORDERS)).data
    assert [order.number for order in orders] == [5]


async def test_a_pet_is_found_by_its_number_in_memory_until_it_changes(shop: Shop) -> None:
    await shop.call(ADD_PET, body=PET)
    await shop.call(GET_PET, number=1)
    loads = shop.store.cache.statistics().loads
    assert (await shop.call(GET_PET, number=1)).name == "Rex"
    assert shop.store.cache.statistics().loads == loads
    await shop.call(ADD_PET, body={**PET, "name": "Rexy"})
    assert (await shop.call(GET_PET, number=1)).name == "Rexy"
    await shop.call(DELETE_PET, number=1)
    await shop.call(ADD_PET, body={"id": 1, "name": "another"})
    assert (await shop.call(GET_PET, number=1)).name == "another"


async def test_tags_are_whole_names(shop: Shop) -> None:
    for number, tag in enumerate(("a", "ab", "A", "a\nb", "b", "%"), start=1):
        await shop.call(ADD_PET, body={"id": number, "name": "x", "tags": [{"name": tag}, {}]})

    async def found(*tags: str) -> list[int]:
        return [pet.number for pet in await shop.call(FIND_BY_TAGS, tags=tags)]

    assert await found("a") == [1]
    assert await found("b") == [5]
    assert await found("a\nb") == [4]
    assert await found("%") == [6]
    assert await found("a", "ab") == [1, 2]


async def test_an_unpaid_order_of_a_classic_client_stays(shop: Shop) -> None:
    await shop.call(PLACE_ORDER, body={"id": 1, "petId": 1})
    await cancel_unpaid(shop.store, timedelta(0))
    assert (await shop.call(GET_ORDER, number=1)).status == "placed"
    (order,) = (await shop.call(LIST_ORDERS)).data
    assert order.status is OrderStatus.PLACED


async def test_several_users_are_made_or_none(shop: Shop) -> None:
    person = {"email": "a@example.com", "firstName": "A", "lastName": "B", "password": "correct horse"}
    await shop.call(REGISTER, shop.visitor, body={**person, "username": "taken"})
    await shop.refusal(Conflict, CREATE_USERS, body={"users": [{"username": "new"}, {"username": "Taken"}]})
    made = await shop.call(CREATE_USERS, body={"users": [{"username": "new", "firstName": "N"}]})
    assert [user.first_name for user in made] == ["N"]


async def test_seeds_overwrite_nothing(shop: Shop) -> None:
    await shop.call(CREATE_PET, body=MODERN)
    async with shop.context() as ctx:
        await seed_classic(ctx)
        await seed_classic(ctx)
    assert (await shop.call(GET_PET, number=1)).name == "Bo"
    assert (await shop.call(GET_PET, number=2)).name == "Cat 2"
    assert (await shop.call(CREATE_PET, body=MODERN)).number == 20_001
