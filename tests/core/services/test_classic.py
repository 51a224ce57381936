"""The rules of the classic API, and what they leave alone."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from core.kernel.caller import STAFF_SCOPES, Credentials, Scope
from core.kernel.clock import utc_now
from core.kernel.errors import BadRequest, Conflict, Forbidden, RateLimited, Unauthorized
from core.kernel.limits import Limits
from core.models.orders import OrderStatus
from core.models.pets import Pet
from core.services.auth import LOG_IN
from core.services.classic import pets
from core.services.classic.orders import GET_ORDER, PLACE_ORDER
from core.services.classic.pets import ADD_PET, DELETE_PET, FIND_BY_STATUS, FIND_BY_TAGS, GET_PET
from core.services.classic.seed import seed_classic
from core.services.classic.users import CREATE_USER, CREATE_USERS, GET_USER, UPDATE_USER
from core.services.classic.users import LOG_IN as CLASSIC_LOG_IN
from core.services.devices import CREATE_DEVICE
from core.services.oauth import pages
from core.services.orders import LIST_ORDERS
from core.services.orders import PLACE_ORDER as PLACE_MODERN
from core.services.pets import CREATE_PET
from core.services.unpaid_orders import cancel_unpaid
from core.services.users import LIST_USERS, REGISTER
from tests.core.accounts import ADDRESS, PASSWORD, log_in, profile, register
from tests.core.stores import Shop, open_store

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


async def test_the_store_counts_on_past_numbers_that_were_chosen(shop: Shop) -> None:
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


async def test_lists_hold_the_newest_pets_of_all_that_are_asked_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pets, "MAX_FOUND", 5)
    monkeypatch.setattr(pets, "_PAGE", 2)
    moments = count()
    # Each at a time of its own: answers are in the order of changes.
    monkeypatch.setattr(shop.store, "clock", lambda: utc_now() + timedelta(milliseconds=next(moments)))
    words = ("available", "pending", "sold")
    for number in range(1, 13):
        body = {"id": number, "name": "x", "status": words[number % 3], "tags": [{"name": f"t{number % 4}"}]}
        await shop.call(ADD_PET, body=body)
    await shop.call(
        ADD_PET, body={"id": 10, "name": "changed", "status": "pending", "tags": [{"name": "t2"}]}
    )

    async def by_status(*status: str) -> list[int]:
        return [pet.number for pet in await shop.call(FIND_BY_STATUS, status=status)]

    async def by_tags(*tags: str) -> list[int]:
        return [pet.number for pet in await shop.call(FIND_BY_TAGS, tags=tags)]

    assert await by_status("sold") == [2, 5, 8, 11]
    assert await by_status("pending", "sold") == [5, 7, 8, 11, 10]
    assert await by_status(*words) == [8, 9, 11, 12, 10]
    assert await by_tags("t1", "t3") == [3, 5, 7, 9, 11]
    assert await by_tags("t0", "t2") == [4, 6, 8, 12, 10]
    assert await by_tags("t2", "t0", "t1") == [6, 8, 9, 12, 10]


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


#: Names that no other door takes, or that look like another one.
BAD_NAMES = (
    "demo-staff\u200b", "\u202edemo", "d\u0435mo-staff", "demo ", " demo", "de mo", "demo\n", "demo\ufe0f",
    "demo\u034f", "\u1160", "\uffa0", "..", ".", "?", "@", "a/b", "a\\b", "<b>", "a#b", "a%b", "a:b", "a\x7f", "\u00a0",
    "a\u2003", "",
)  # fmt: skip
GOOD_NAMES = ("user?10", "theUser", "a", "1", "x.y_z-1", "jo+a@email.com", "мария", "ソフィー山田", "n" * 100)


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_a_name_that_could_be_taken_for_another_is_refused(shop: Shop, name: str) -> None:
    assert set(await shop.violations(CREATE_USER, body={"username": name})) == {"username"}
    assert set(await shop.violations(CREATE_USERS, body={"users": [{"username": name}]})) == {
        "users[0].username"
    }
    await shop.call(CREATE_USER, body={"username": "ann"})
    await shop.violations(UPDATE_USER, body={"username": name}, username="ann")
    person = {"email": "a@example.com", "firstName": "A", "lastName": "B", "password": PASSWORD}
    await shop.violations(REGISTER, shop.visitor, body={**person, "username": name})


@pytest.mark.parametrize("name", GOOD_NAMES)
async def test_names_of_classic_clients_are_names(shop: Shop, name: str) -> None:
    assert (await shop.call(CREATE_USER, body={"username": name})).username == name
    assert (await shop.call(GET_USER, username=name)).username == name


async def test_a_name_is_one_after_normalizing(shop: Shop) -> None:
    await shop.call(CREATE_USER, body={"username": "demo", "firstName": "A"})
    await shop.call(CREATE_USER, body={"username": "\uff44\uff25mo", "firstName": "B"})
    assert (await shop.call(GET_USER, username="demo")).first_name == "B"
    assert len((await shop.call(LIST_USERS)).data) == 1


async def test_the_name_of_a_device_is_taken(shop: Shop) -> None:
    device = (await shop.call(CREATE_DEVICE, body={"name": "Door"})).username
    await shop.refusal(Conflict, CREATE_USER, body={"username": device})
    await shop.call(CREATE_USER, body={"username": "ann"})
    await shop.refusal(Conflict, UPDATE_USER, body={"username": device}, username="ann")


async def test_a_weak_password_logs_in_at_the_classic_door_alone(shop: Shop) -> None:
    for name, password, strong in (
        ("ann", "12345", False),
        ("bea", "1234567", False),
        ("eve", "x" * 129, False),
        ("sam", "12345678", True),
    ):
        await shop.call(CREATE_USER, shop.visitor, body={"username": name, "password": password})
        await shop.call(CLASSIC_LOG_IN, shop.visitor, username=name, password=password)
        await shop.refusal(Unauthorized, CLASSIC_LOG_IN, shop.visitor, username=name, password="wrong")
        if strong:
            assert (await log_in(shop, name, password)).user.username == name
            continue
        body = {"username": name, "password": password}
        await shop.refusal(Unauthorized, LOG_IN, shop.visitor, body=body)
        with pytest.raises(Unauthorized):
            await pages.log_in(shop.store, shop.tenant, ADDRESS, name, password)
        with pytest.raises(Unauthorized):
            await shop.store.authenticator.authenticate(
                Credentials(ADDRESS, tenant=shop.tenant, username=name, password=password)
            )


async def test_an_address_belongs_to_one_account(shop: Shop) -> None:
    async def held() -> dict[str, str]:
        return {user.username: user.email for user in (await shop.call(LIST_USERS)).data}

    await register(shop, "maria")
    ann = {"username": "ann", "email": "ann@example.com"}
    bea = {"username": "bea", "email": "Maria@example.com"}
    eve = {"username": "eve", "email": "no address"}
    again = {"username": "ida", "email": "ANN@example.com"}
    shown = await shop.call(CREATE_USERS, body={"users": [ann, bea, eve, again]})
    # As classic clients gave them, and at all other doors whose they are.
    assert [user.email for user in shown] == [ann["email"], bea["email"], eve["email"], again["email"]]
    assert (await shop.call(GET_USER, username="bea")).email == bea["email"]
    addresses = {"maria": "maria@example.com", "ann": "ann@example.com", "bea": "", "eve": "", "ida": ""}
    assert await held() == addresses
    assert [user.username for user in (await shop.call(LIST_USERS, email="ann@example.com")).data] == ["ann"]
    assert [user.username for user in (await shop.call(LIST_USERS, email=bea["email"])).data] == ["maria"]
    taken = {**profile("other", password=PASSWORD), "email": "ann@example.com"}
    await shop.refusal(Conflict, REGISTER, shop.visitor, body=taken)
    # Written again it stays; what is given up is free for the next.
    await shop.call(UPDATE_USER, body=ann, username="ann")
    assert await held() == addresses
    await shop.call(UPDATE_USER, body={**ann, "email": "maria@example.com"}, username="ann")
    await shop.call(CREATE_USER, body=again)
    assert await held() == {**addresses, "ann": "", "ida": "ANN@example.com"}


async def test_many_who_give_one_address_have_it_once(shop: Shop) -> None:
    async with asyncio.TaskGroup() as group:
        for name in ("ann", "bea", "eve", "ida"):
            group.create_task(shop.call(CREATE_USER, body={"username": name, "email": "a@example.com"}))
    held = [user.email for user in (await shop.call(LIST_USERS)).data]
    assert sorted(held) == ["", "", "", "a@example.com"]


async def test_of_users_in_a_list_there_are_as_many_as_can_register_at_once(
    tmp_path: Path, database: str
) -> None:
    def crowd(size: int, name: str = "user") -> dict[str, object]:
        return {"users": [{"username": f"{name}-{number}"} for number in range(size)]}

    for most, bound in ((Limits().network_registrations_per_minute, 30), (3, 3), (1000, 30), (0, 30)):
        limits = Limits(network_registrations_per_minute=most)
        async with open_store(tmp_path, database, limits=limits) as store:
            shop = Shop(store)
            error = await shop.refusal(BadRequest, CREATE_USERS, shop.visitor, body=crowd(bound + 1))
            assert error.detail == f"A list has at most {bound} users."
            assert error.retry_after is None
            assert len(await shop.call(CREATE_USERS, shop.visitor, body=crowd(bound))) == bound
            if most == bound:
                late = await shop.refusal(RateLimited, CREATE_USERS, shop.visitor, body=crowd(1, "late"))
                assert late.retry_after is not None


async def test_seeds_overwrite_nothing(shop: Shop) -> None:
    await shop.call(CREATE_PET, body=MODERN)
    async with shop.context() as ctx:
        await seed_classic(ctx)
        await seed_classic(ctx)
    assert (await shop.call(GET_PET, number=1)).name == "Bo"
    assert (await shop.call(GET_PET, number=2)).name == "Cat 2"
    assert (await shop.call(CREATE_PET, body=MODERN)).number == 20_001


async def test_no_program_changes_what_a_classic_user_logs_in_with(shop: Shop) -> None:
    ann = {"username": "ann", "password": "12345", "email": "ann@example.com"}
    await shop.call(CREATE_USER, body=ann)
    del ann["password"]
    for program in (replace(shop.staff, key="key:1"), replace(shop.staff, key="client:c", client_id="c")):
        for change in ({"password": "other"}, {"email": "x@example.com"}, {"username": "mallory"}):
            await shop.refusal(Forbidden, UPDATE_USER, program, ann | change, username="ann")
            if "username" not in change:
                await shop.refusal(Forbidden, CREATE_USER, program, ann | change)
                await shop.refusal(Forbidden, CREATE_USERS, program, {"users": [ann | change]})
        named = {**ann, "firstName": "Ann"}
        assert (await shop.call(UPDATE_USER, program, named, username="ann")).first_name == "Ann"
    cut = replace(shop.staff, key="key:1", scopes=STAFF_SCOPES - {Scope.READ_USER})
    for operation in (CREATE_USER, UPDATE_USER):
        named = {} if operation is CREATE_USER else {"username": "ann"}
        error = await shop.refusal(Forbidden, operation, cut, ann, **named)
        assert isinstance(error, Forbidden)
        assert error.scope == "read:user"
