"""Pets: writing, listing, searching, and what is announced of them."""

import asyncio
from typing import Any

import pytest

from core.kernel.errors import BadRequest, Conflict, Forbidden, NotFound, PreconditionFailed, Unauthorized
from core.kernel.events import PUBLIC
from core.kernel.ids import new_id
from core.models import examples
from core.models.pets import Pet, PetStatus
from core.services.classic.pets import DELETE_PET as CLASSIC_DELETE
from core.services.inventory import COUNT_PETS, GET_INVENTORY
from core.services.orders import PLACE_ORDER
from core.services.pets import (
    CREATE_PET,
    DELETE_PET,
    GET_PET,
    LIST_PETS,
    REPLACE_PET,
    SEARCH_PETS,
    UPDATE_PET,
)
from tests.core.stores import Shop, without

DOG = examples.PET_DRAFT
CAT: dict[str, Any] = {"name": "Cleo", "species": "CAT", "ageMonths": 36, "price": "290.00"}


async def create(shop: Shop, draft: dict[str, Any] = DOG, **changes: Any) -> Pet:
    pet = await shop.call(CREATE_PET, body={**draft, **changes})
    assert isinstance(pet, Pet)
    return pet


def shown(pet: Pet) -> dict[str, Any]:
    return pet.model_dump(mode="json", exclude_none=True)


# --- creating ---


async def test_a_new_pet_is_available_and_numbered(shop: Shop) -> None:
    first, second = await create(shop), await create(shop, CAT)
    assert (first.number, second.number) == (1, 2)
    assert first.status is second.status is PetStatus.AVAILABLE
    assert first.created_at == first.updated_at
    assert shown(first) == {
        **examples.PET,
        **{name: shown(first)[name] for name in ("id", "createdAt", "updatedAt")},
        "tenantId": shop.tenant,
        "number": 1,
    }
    assert await shop.call(GET_PET, shop.visitor, id=first.id) == first


async def test_creating_announces_the_pet_and_then_the_stock(shop: Shop) -> None:
    pet = await create(shop)
    created, stock = await shop.events()
    assert (created["eventType"], created["topic"], created["audience"]) == (
        "pet.created",
        f"pets/{pet.id}",
        "*",
    )
    assert created["data"] == {"pet": shown(pet)}
    assert created["tenantId"] == shop.tenant
    assert (stock["eventType"], stock["topic"], stock["audience"]) == (
        "inventory.changed",
        "inventory/DOG/stock",
        "*",
    )
    assert stock["data"] == {"species": "DOG", "available": 1, "pending": 0, "adopted": 0}


async def test_what_a_client_may_not_write_is_ignored(shop: Shop) -> None:
    pet = await create(shop, DOG, id="x", number=99, ownerId="me", tenantId="y", createdAt="z", updatedAt=1)
    assert (pet.number, pet.owner_id, pet.tenant_id) == (1, None, shop.tenant)


@pytest.mark.parametrize("price", ["75.00", "75", "75.0", 75, 75.0])
async def test_a_price_may_be_a_number_and_called_adoption_fee(shop: Shop, price: object) -> None:
    pet = await create(shop, without(CAT, "price"), adoptionFee=price)
    assert shown(pet)["price"] == "75.00"
    assert (await create(shop, CAT, price=price)).price == pet.price


async def test_enumerations_are_read_without_regard_to_case(shop: Shop) -> None:
    pet = await create(
        shop, CAT, species="cat", size="Large", gender="female", status="not_available", currency="eur"
    )
    assert [shown(pet)[name] for name in ("species", "size", "gender", "status", "currency")] == [
        "CAT",
        "LARGE",
        "FEMALE",
        "NOT_AVAILABLE",
        "EUR",
    ]


async def test_every_violation_of_a_pet_is_told_at_once(shop: Shop) -> None:
    body = {
        "name": " ",
        "species": "DRAGON",
        "ageMonths": -1,
        "size": 3,
        "color": "x" * 51,
        "goodWithKids": "yes",
        "price": "1.234",
        "currency": "XXX",
        "description": "a\0b",
        "photos": ["https://example.com/a.jpg", "javascript:alert(1)", ""],
        "medicalInfo": {"vaccinated": 1, "mood": "good"},
        "wings": 2,
    }
    assert await shop.violations(CREATE_PET, body=body) == {
        "name": "INVALID_LENGTH",
        "species": "INVALID_ENUM_VALUE",
        "ageMonths": "OUT_OF_RANGE",
        "size": "INVALID_TYPE",
        "color": "INVALID_LENGTH",
        "goodWithKids": "INVALID_TYPE",
        "price": "INVALID_FORMAT",
        "currency": "INVALID_ENUM_VALUE",
        "description": "INVALID_FORMAT",
        "photos[1]": "INVALID_FORMAT",
        "photos[2]": "INVALID_LENGTH",
        "medicalInfo.vaccinated": "INVALID_TYPE",
        "medicalInfo.mood": "UNKNOWN_FIELD",
        "wings": "UNKNOWN_FIELD",
    }


@pytest.mark.parametrize(
    ("body", "violations"),
    [
        ({}, dict.fromkeys(("name", "species", "ageMonths", "price"), "REQUIRED_FIELD")),
        ([], {"": "INVALID_TYPE"}),
        (None, {"": "INVALID_TYPE"}),
        ({**CAT, "adoptionFee": "1.00"}, {"adoptionFee": "UNKNOWN_FIELD"}),
        ({**CAT, "price": -1}, {"price": "OUT_OF_RANGE"}),
        ({**CAT, "price": "1e3"}, {"price": "INVALID_FORMAT"}),
        ({**CAT, "price": "\u0663"}, {"price": "INVALID_FORMAT"}),  # a digit, but none of ours
        ({**CAT, "price": True}, {"price": "INVALID_TYPE"}),
        ({**CAT, "price": 10**30}, {"price": "OUT_OF_RANGE"}),
        ({**CAT, "price": float("nan")}, {"price": "OUT_OF_RANGE"}),
        ({**CAT, "ageMonths": "3"}, {"ageMonths": "INVALID_TYPE"}),
        ({**CAT, "ageMonths": 10**30}, {"ageMonths": "OUT_OF_RANGE"}),
        ({**CAT, "name": "x" * 51}, {"name": "INVALID_LENGTH"}),
        ({**CAT, "photos": ["https://e.com"] * 51}, {"photos": "INVALID_LENGTH"}),
    ],
)
async def test_a_faulty_pet_is_refused(shop: Shop, body: object, violations: dict[str, str]) -> None:
    assert await shop.violations(CREATE_PET, body=body) == violations


async def test_only_who_may_write_pets_does(shop: Shop) -> None:
    pet = await create(shop)
    for operation, body, params in (
        (CREATE_PET, DOG, {}),
        (REPLACE_PET, DOG, {"id": pet.id}),
        (UPDATE_PET, {}, {"id": pet.id}),
        (DELETE_PET, None, {"id": pet.id}),
    ):
        await shop.refusal(Unauthorized, operation, shop.visitor, body, **params)
        await shop.refusal(Forbidden, operation, shop.customer, body, **params)


# --- reading ---


@pytest.mark.parametrize("operation", [GET_PET, DELETE_PET, REPLACE_PET, UPDATE_PET])
async def test_a_pet_that_is_not_there_is_not_found(shop: Shop, operation: Any) -> None:
    body = {GET_PET: None, DELETE_PET: None, REPLACE_PET: DOG, UPDATE_PET: {}}[operation]
    await shop.refusal(NotFound, operation, body=body, id=new_id())
    await shop.refusal(BadRequest, operation, body=body, id="nonsense")


async def test_another_tenants_pet_is_not_found(shop: Shop) -> None:
    pet, other = await create(shop), Shop(shop.store)
    for operation, body in ((GET_PET, None), (DELETE_PET, None), (REPLACE_PET, DOG), (UPDATE_PET, {})):
        await other.refusal(NotFound, operation, body=body, id=pet.id)
    assert (await other.call(LIST_PETS, status="ALL")).data == []
    assert await shop.call(GET_PET, id=pet.id) == pet


async def found(shop: Shop, **params: object) -> list[str]:
    return [pet.name for pet in (await shop.call(LIST_PETS, shop.visitor, **params)).data]


async def fill(shop: Shop) -> None:
    await create(shop, DOG, name="Ann", ageMonths=4, size="SMALL", price="10.00", color="red")
    await create(
        shop, DOG, name="Bob", ageMonths=8, size="LARGE", price="9.00", goodWithKids=False, breed=None
    )
    await create(
        shop,
        CAT,
        name="Cat",
        ageMonths=12,
        status="PENDING",
        goodWithDogs=True,
        description="Red as 100%_fire",
    )
    await create(
        shop, CAT, name="Dan", ageMonths=16, status="NOT_AVAILABLE", medicalInfo={"specialNeeds": True}
    )


async def test_a_list_shows_available_pets_unless_asked_for_others(shop: Shop) -> None:
    await fill(shop)
    assert await found(shop) == ["Ann", "Bob"]
    assert await found(shop, status="ALL") == ["Ann", "Bob", "Cat", "Dan"]
    assert await found(shop, status="pending") == ["Cat"]
    assert await found(shop, status="PENDING, not_available") == ["Cat", "Dan"]
    assert await found(shop, status="PENDING,ALL") == ["Ann", "Bob", "Cat", "Dan"]
    assert await found(shop, status=["PENDING"]) == ["Cat"]


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"species": "dog"}, ["Ann", "Bob"]),
        ({"species": "DOG,CAT"}, ["Ann", "Bob", "Cat", "Dan"]),
        ({"species": "BIRD"}, []),
        ({"ageMin": "8"}, ["Bob", "Cat", "Dan"]),
        ({"ageMax": "8"}, ["Ann", "Bob"]),
        ({"ageMin": "8", "ageMax": "8"}, ["Bob"]),
        ({"size": "small"}, ["Ann"]),
        ({"goodWithKids": "true"}, ["Ann"]),
        ({"goodWithKids": "false"}, ["Bob"]),
        ({"limit": "2"}, ["Ann", "Bob"]),
        ({"limit": "2", "page": "2"}, ["Cat", "Dan"]),
        ({"page": "1000000000", "limit": "100"}, []),
    ],
)
async def test_a_list_is_filtered_and_paged(shop: Shop, params: dict[str, str], names: list[str]) -> None:
    await fill(shop)
    assert await found(shop, status="ALL", **params) == names


async def test_a_page_says_where_it_lies(shop: Shop) -> None:
    await fill(shop)
    page = await shop.call(LIST_PETS, status="ALL", limit="3", page="2")
    assert page.pagination.model_dump(exclude_none=True) == {
        "page": 2,
        "limit": 3,
        "totalItems": 4,
        "totalPages": 2,
    }


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"status": "SOLD"}, "status"),
        ({"species": ""}, "species"),
        ({"size": "HUGE"}, "size"),
        ({"ageMin": "-1"}, "ageMin"),
        ({"ageMin": "x"}, "ageMin"),
        ({"ageMin": "9", "ageMax": "8"}, "ageMax"),
        ({"goodWithKids": "perhaps"}, "goodWithKids"),
        ({"page": "0"}, "page"),
        ({"limit": "101"}, "limit"),
        ({"limit": "0"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
    ],
)
async def test_a_bad_parameter_is_named(shop: Shop, params: dict[str, str], name: str) -> None:
    assert name in (await shop.refusal(BadRequest, LIST_PETS, shop.visitor, **params)).detail


@pytest.mark.parametrize(
    ("criteria", "names"),
    [
        ({}, ["Ann", "Bob", "Cat", "Dan"]),
        ({"species": ["DOG"]}, ["Ann", "Bob"]),
        ({"species": []}, ["Ann", "Bob", "Cat", "Dan"]),
        ({"status": ["pending", "AVAILABLE"]}, ["Ann", "Bob", "Cat"]),
        ({"size": ["SMALL", "LARGE"]}, ["Ann", "Bob"]),
        ({"ageRange": {"min": 5}}, ["Bob", "Cat", "Dan"]),
        ({"ageRange": {"min": 8, "max": 12}}, ["Bob", "Cat"]),
        ({"ageRange": {}}, ["Ann", "Bob", "Cat", "Dan"]),
        ({"priceRange": {"max": "10.00"}}, ["Ann", "Bob"]),
        ({"priceRange": {"min": 9.5, "max": 290}}, ["Ann", "Cat", "Dan"]),
        ({"compatibility": {"goodWithKids": False}}, ["Bob"]),
        ({"compatibility": {"goodWithDogs": True}}, ["Ann", "Bob", "Cat"]),
        ({"medical": {"vaccinated": True}}, ["Ann", "Bob"]),
        ({"medical": {"spayedNeutered": True, "specialNeeds": True}}, []),
        ({"medical": {"specialNeeds": True}}, ["Dan"]),
        ({"text": "RED"}, ["Ann", "Cat"]),
        ({"text": "  "}, ["Ann", "Bob", "Cat", "Dan"]),
        ({"text": "golden ann"}, ["Ann"]),
        ({"text": "100%_"}, ["Cat"]),
        ({"text": "%"}, ["Cat"]),
        ({"species": ["CAT"], "text": "red"}, ["Cat"]),
    ],
)
async def test_a_search_finds_what_fits_all_criteria(
    shop: Shop, criteria: dict[str, Any], names: list[str]
) -> None:
    await fill(shop)
    page = await shop.call(SEARCH_PETS, shop.visitor, {"criteria": criteria})
    assert [pet.name for pet in page.data] == names
    assert page.pagination.total_items == len(names)


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ({}, ["Ann", "Bob", "Cat", "Dan"]),
        ({"field": "name", "order": "desc"}, ["Dan", "Cat", "Bob", "Ann"]),
        ({"field": "agemonths", "order": "DESC"}, ["Dan", "Cat", "Bob", "Ann"]),
        ({"field": "AGE_MONTHS"}, ["Ann", "Bob", "Cat", "Dan"]),
        ({"field": "price"}, ["Bob", "Ann", "Cat", "Dan"]),
        ({"field": "createdAt", "order": "ASC"}, ["Ann", "Bob", "Cat", "Dan"]),
    ],
)
async def test_a_search_is_sorted(shop: Shop, sort: dict[str, str], names: list[str]) -> None:
    await fill(shop)
    page = await shop.call(SEARCH_PETS, shop.visitor, {"sort": sort})
    assert [pet.name for pet in page.data] == names


async def test_a_search_is_paged(shop: Shop) -> None:
    await fill(shop)
    page = await shop.call(SEARCH_PETS, shop.visitor, {"pagination": {"page": 2, "limit": 3}})
    assert [pet.name for pet in page.data] == ["Dan"]
    assert page.pagination.model_dump(exclude_none=True) == {
        "page": 2,
        "limit": 3,
        "totalItems": 4,
        "totalPages": 2,
    }


async def test_every_violation_of_a_search_is_told_at_once(shop: Shop) -> None:
    body = {
        "criteria": {
            "species": ["DOG", "DRAGON"],
            "ageRange": {"min": 9, "max": 8},
            "priceRange": {"min": "2.00", "max": "1.00"},
            "text": "x" * 201,
            "mood": 1,
        },
        "sort": {"field": "weight", "order": 1},
        "pagination": {"page": 0, "limit": 101},
        "more": 1,
    }
    assert await shop.violations(SEARCH_PETS, shop.visitor, body) == {
        "criteria.species[1]": "INVALID_ENUM_VALUE",
        "criteria.ageRange.max": "OUT_OF_RANGE",
        "criteria.priceRange.max": "OUT_OF_RANGE",
        "criteria.text": "INVALID_LENGTH",
        "criteria.mood": "UNKNOWN_FIELD",
        "sort.field": "INVALID_ENUM_VALUE",
        "sort.order": "INVALID_TYPE",
        "pagination.page": "OUT_OF_RANGE",
        "pagination.limit": "OUT_OF_RANGE",
        "more": "UNKNOWN_FIELD",
    }
    assert await shop.violations(SEARCH_PETS, shop.visitor, {"sort": {"field": 1}}) == {
        "sort.field": "INVALID_TYPE"
    }


# --- changing ---


async def test_replacing_returns_what_is_left_out_to_its_default_but_keeps_the_status(shop: Shop) -> None:
    pet = await create(shop, DOG, status="NOT_AVAILABLE")
    head = await shop.head()
    replaced = await shop.call(REPLACE_PET, body={**CAT, "species": "DOG"}, id=pet.id)
    assert (replaced.id, replaced.number, replaced.status) == (pet.id, pet.number, PetStatus.NOT_AVAILABLE)
    assert (replaced.breed, replaced.photos, replaced.medical_info) == (None, (), None)
    assert replaced.created_at == pet.created_at
    assert await shop.call(GET_PET, id=pet.id) == replaced
    [updated] = await shop.events(head)
    assert (updated["eventType"], updated["topic"]) == ("pet.updated", f"pets/{pet.id}")
    assert updated["data"] == {"pet": shown(replaced)}


async def test_reading_and_writing_back_changes_nothing(shop: Shop) -> None:
    pet = await create(shop)
    head = await shop.head()
    assert await shop.call(REPLACE_PET, body=shown(pet), id=pet.id) == pet
    assert await shop.call(UPDATE_PET, body=shown(pet), id=pet.id) == pet
    assert await shop.call(UPDATE_PET, body={}, id=pet.id) == pet
    assert await shop.head() == head


async def test_a_patch_changes_what_it_names_and_null_removes(shop: Shop) -> None:
    pet = await create(shop)
    patch = {"adoptionFee": 9, "breed": None, "medicalInfo": {"vaccinated": None, "healthNotes": "Fine."}}
    patched = await shop.call(UPDATE_PET, body=patch, id=pet.id)
    expected = {**shown(pet), "price": "9.00"}
    expected["medicalInfo"] = {**expected["medicalInfo"], "healthNotes": "Fine."}
    del expected["breed"], expected["medicalInfo"]["vaccinated"]
    assert shown(patched) == {**expected, "updatedAt": shown(patched)["updatedAt"]}


async def test_the_result_of_a_patch_is_checked_whole(shop: Shop) -> None:
    pet = await create(shop)
    assert await shop.violations(
        UPDATE_PET, body={"name": None, "x": 1, "y": None, "price": "no"}, id=pet.id
    ) == {
        "name": "REQUIRED_FIELD",
        "x": "UNKNOWN_FIELD",
        "y": "UNKNOWN_FIELD",
        "price": "INVALID_FORMAT",
    }
    assert await shop.violations(UPDATE_PET, body={"medicalInfo": {"mood": None}}, id=pet.id) == {
        "medicalInfo.mood": "UNKNOWN_FIELD"
    }
    assert await shop.violations(UPDATE_PET, body=[], id=pet.id) == {"": "INVALID_TYPE"}


async def test_a_null_for_what_is_not_there_changes_nothing(shop: Shop) -> None:
    pet = await create(shop, CAT)
    patch: dict[str, Any] = {"breed": None, "medicalInfo": None, "photos": [], "ownerId": None}
    assert await shop.call(UPDATE_PET, body=patch, id=pet.id) == pet


async def test_a_status_set_by_hand_is_announced_with_its_consequences(shop: Shop) -> None:
    pet = await create(shop)
    head = await shop.head()
    pending = await shop.call(UPDATE_PET, body={"status": "PENDING"}, id=pet.id)
    changed, flipped, stock = await shop.events(head)
    assert (changed["eventType"], changed["topic"]) == ("pet.status_changed", f"pets/{pet.id}/status")
    assert changed["data"] == {
        "petId": pet.id,
        "oldStatus": "AVAILABLE",
        "newStatus": "PENDING",
        "reason": "UPDATED",
        "pet": shown(pending),
    }
    assert (flipped["eventType"], flipped["topic"]) == (
        "pet.availability_changed",
        f"pets/{pet.id}/availability",
    )
    assert flipped["data"] == {"petId": pet.id, "available": False}
    assert stock["data"] == {"species": "DOG", "available": 0, "pending": 1, "adopted": 0}
    assert {event["audience"] for event in (changed, flipped, stock)} == {"*"}


async def test_a_change_between_two_unavailable_statuses_flips_nothing(shop: Shop) -> None:
    pet = await create(shop, DOG, status="NOT_AVAILABLE")
    head = await shop.head()
    await shop.call(UPDATE_PET, body={"status": "PENDING", "name": "Rex"}, id=pet.id)
    assert [kind for kind, _ in await shop.news(head)] == [
        "pet.updated",
        "pet.status_changed",
        "inventory.changed",
    ]


async def test_a_pet_that_is_no_longer_adopted_has_no_owner(shop: Shop) -> None:
    pet = await create(shop)
    owned = pet.model_copy(
        update={"id": new_id(), "number": 7, "status": PetStatus.ADOPTED, "owner_id": new_id()}
    )
    await shop.add(owned)
    assert (await shop.call(UPDATE_PET, body={"name": "Rex"}, id=owned.id)).owner_id == owned.owner_id
    assert (await shop.call(UPDATE_PET, body={"status": "AVAILABLE"}, id=owned.id)).owner_id is None


async def test_a_pet_that_is_made_adopted_by_hand_has_no_known_owner(shop: Shop) -> None:
    pet = await create(shop)
    head = await shop.head()
    adopted = await shop.call(UPDATE_PET, body={"status": "ADOPTED"}, id=pet.id)
    assert (adopted.status, adopted.owner_id) == (PetStatus.ADOPTED, None)
    kinds = [kind for kind, _ in await shop.news(head)]
    assert kinds == ["pet.status_changed", "pet.availability_changed", "inventory.changed"]


async def test_a_change_of_species_moves_the_stock_of_both(shop: Shop) -> None:
    pet = await create(shop)
    head = await shop.head()
    await shop.call(UPDATE_PET, body={"species": "CAT"}, id=pet.id)
    updated, dogs, cats = await shop.events(head)
    assert updated["eventType"] == "pet.updated"
    assert cats["data"] == {"species": "CAT", "available": 1, "pending": 0, "adopted": 0}
    assert dogs["data"] == {"species": "DOG", "available": 0, "pending": 0, "adopted": 0}


@pytest.mark.parametrize("operation", [REPLACE_PET, UPDATE_PET, DELETE_PET])
async def test_a_stale_condition_stops_every_write(shop: Shop, operation: Any) -> None:
    pet = await create(shop)
    body = {REPLACE_PET: CAT, UPDATE_PET: {"name": "Rex"}, DELETE_PET: None}[operation]
    await shop.refusal(PreconditionFailed, operation, body=body, id=pet.id, if_match="stale")
    await shop.call(operation, body=body, id=pet.id, if_match=pet.etag)


async def test_any_state_meets_the_condition_of_existence(shop: Shop) -> None:
    pet = await create(shop)
    await shop.call(UPDATE_PET, body={"name": "Rex"}, id=pet.id, if_match="*")


async def test_two_readers_who_write_back_do_not_overwrite_each_other(shop: Shop) -> None:
    pet = await create(shop)

    async def rename(name: str) -> bool:
        try:
            await shop.call(UPDATE_PET, body={"name": name}, id=pet.id, if_match=pet.etag)
        except PreconditionFailed:
            return False
        return True

    assert sum(await asyncio.gather(*(rename(f"Rex {number}") for number in range(8)))) == 1


# --- removing ---


async def test_a_removed_pet_is_gone_and_announced(shop: Shop) -> None:
    pet = await create(shop)
    await shop.call(GET_PET, id=pet.id)  # now it is in the cache
    head = await shop.head()
    assert await shop.call(DELETE_PET, id=pet.id) is None
    deleted, stock = await shop.events(head)
    assert (deleted["eventType"], deleted["topic"]) == ("pet.deleted", f"pets/{pet.id}")
    assert deleted["data"] == {"petId": pet.id}
    assert stock["data"] == {"species": "DOG", "available": 0, "pending": 0, "adopted": 0}
    await shop.refusal(NotFound, GET_PET, id=pet.id)
    await shop.refusal(NotFound, DELETE_PET, id=pet.id)


async def test_a_reserved_pet_keeps_its_status_and_stays(shop: Shop) -> None:
    pet = await create(shop)
    order = await shop.call(PLACE_ORDER, shop.visitor, {"petId": pet.id})
    refusals = [
        await shop.refusal(Conflict, DELETE_PET, id=pet.id),
        await shop.refusal(Conflict, CLASSIC_DELETE, number=pet.number),
    ]
    for status in ("AVAILABLE", "ADOPTED", "NOT_AVAILABLE"):
        refusals += [
            await shop.refusal(Conflict, UPDATE_PET, body={"status": status}, id=pet.id),
            await shop.refusal(Conflict, REPLACE_PET, body={**DOG, "status": status}, id=pet.id),
        ]
    # Whoever knows the id of a visitor's order may read and cancel it, and pets are anybody's to ask about.
    assert all("reserved by an order" in refusal.detail for refusal in refusals)
    assert not any(order.id in refusal.detail for refusal in refusals)
    public = [event for event in await shop.events() if event["audience"] == PUBLIC.encode()]
    assert public
    assert order.id not in str(public)
    renamed = await shop.call(REPLACE_PET, body={**DOG, "name": "Rex"}, id=pet.id)
    assert (renamed.name, renamed.status) == ("Rex", PetStatus.PENDING)


async def test_a_pet_that_is_pending_by_hand_may_be_removed(shop: Shop) -> None:
    pet = await create(shop, DOG, status="PENDING")
    await shop.call(DELETE_PET, id=pet.id)


async def test_a_read_after_a_write_sees_it(shop: Shop) -> None:
    pet = await create(shop)
    for number in range(5):
        await shop.call(GET_PET, id=pet.id)
        changed = await shop.call(UPDATE_PET, body={"name": f"Rex {number}"}, id=pet.id)
        assert await shop.call(GET_PET, id=pet.id) == changed


# --- the stock ---


async def test_the_stock_is_counted_by_species_and_status(shop: Shop) -> None:
    assert (await shop.call(GET_INVENTORY, shop.visitor)).total == 0
    await fill(shop)
    dogs = {"available": 2, "pending": 0, "adopted": 0, "notAvailable": 0}
    cats = {"available": 0, "pending": 1, "adopted": 0, "notAvailable": 1}
    none = dict.fromkeys(dogs, 0)
    stock = await shop.call(GET_INVENTORY, shop.visitor)
    assert stock.model_dump(mode="json", exclude_none=True) == {
        "available": 2,
        "pending": 1,
        "adopted": 0,
        "notAvailable": 1,
        "total": 4,
        "bySpecies": {"DOG": dogs, "CAT": cats, "RABBIT": none, "BIRD": none, "REPTILE": none, "OTHER": none},
    }


async def test_pets_are_counted_by_the_statuses_asked_for(shop: Shop) -> None:
    await fill(shop)
    assert await shop.call(COUNT_PETS, shop.visitor, status="AVAILABLE,pending") == {
        "AVAILABLE": 2,
        "PENDING": 1,
    }
    assert await shop.call(COUNT_PETS, shop.visitor) == {
        "AVAILABLE": 2,
        "PENDING": 1,
        "ADOPTED": 0,
        "NOT_AVAILABLE": 1,
    }
    await shop.refusal(BadRequest, COUNT_PETS, shop.visitor, status="AVAILABLE,SOLD")


async def test_the_last_stock_announced_is_right_whatever_happens_at_once(shop: Shop) -> None:
    pets = [await create(shop) for _ in range(4)]
    await asyncio.gather(
        *(create(shop) for _ in range(10)),
        *(shop.call(UPDATE_PET, body={"status": "PENDING"}, id=pet.id) for pet in pets),
    )
    seen = [event["data"] for event in await shop.events() if event["eventType"] == "inventory.changed"]
    assert seen[-1] == {"species": "DOG", "available": 10, "pending": 4, "adopted": 0}
    totals = [stock["available"] + stock["pending"] for stock in seen]
    assert totals == sorted(totals)


async def test_a_repeated_request_with_a_key_adds_one_pet(shop: Shop) -> None:
    first = await shop.outcome(CREATE_PET, body=DOG, key="k1")
    again = await shop.outcome(CREATE_PET, body=DOG, key="k1")
    assert (first.replayed, again.replayed) == (False, True)
    assert again.value == first.value
    assert (await shop.call(COUNT_PETS))["AVAILABLE"] == 1
    assert await shop.violations(CREATE_PET, body=CAT, key="k1") == {"idempotencyKey": "INVALID_FORMAT"}
