"""Pages of lists and searches: each goes on behind the one before, and totals are counted up to a bound."""

import uuid
from typing import Any

import pytest

from core.kernel.errors import BadRequest
from core.kernel.ids import TenantId
from core.kernel.model import encode
from core.models import examples
from core.services import paging
from core.services.pets import CREATE_PET, DELETE_PET, LIST_PETS, SEARCH_PETS
from core.services.users import LIST_USERS
from tests.core.stores import Shop


async def add(shop: Shop, **changes: Any) -> None:
    await shop.call(CREATE_PET, body={**examples.PET_DRAFT, **changes})


@pytest.mark.parametrize("order", ["ASC", "DESC"])
@pytest.mark.parametrize("field", ["ageMonths", "price", "name", "createdAt"])
async def test_pages_go_on_behind_one_another(shop: Shop, field: str, order: str) -> None:
    for age, price, name in (
        (1, "5.00", "A"),
        (1, "5.00", "A"),
        (2, "5.00", "B"),
        (2, "7.50", "B"),
        (3, "1.00", "É"),
    ):
        await add(shop, name=name, ageMonths=age, price=price)
    sort = {"field": field, "order": order}
    whole = (await shop.call(SEARCH_PETS, shop.visitor, {"sort": sort})).data
    seen, after, number = [], None, 0
    while number == 0 or after is not None:
        asked = {"limit": 2} if after is None else {"limit": 2, "after": after}
        page = await shop.call(SEARCH_PETS, shop.visitor, {"sort": sort, "pagination": asked})
        number += 1
        assert page.pagination.model_dump(exclude_none=True) == {
            "page": number, "limit": 2, "totalItems": 5, "totalPages": 3
        }  # fmt: skip
        seen += page.data
        after = page.pagination.next
        assert "next" not in encode(page).decode()
    assert seen == whole
    # What is added or gone before the place moves nothing.
    if (field, order) == ("createdAt", "ASC"):
        first = await shop.call(SEARCH_PETS, shop.visitor, {"sort": sort, "pagination": {"limit": 2}})
        await shop.call(DELETE_PET, shop.staff, id=whole[0].id)
        rest = await shop.call(
            SEARCH_PETS, shop.visitor, {"sort": sort, "pagination": {"after": first.pagination.next}}
        )
        assert rest.data == whole[2:]


async def test_a_page_goes_on_only_where_one_of_the_same_list_ended(shop: Shop) -> None:
    for _ in range(3):
        await add(shop)
    after = (await shop.call(LIST_PETS, limit=1)).pagination.next
    assert [pet.number for pet in (await shop.call(LIST_PETS, after=after)).data] == [2, 3]
    for wrong in ("", "x", "A" * 999, f"{after}A", after[:-4] + "AAAA", "é", "\0"):
        with pytest.raises(BadRequest, match="after"):
            await shop.call(LIST_PETS, after=wrong)
    with pytest.raises(BadRequest, match="after"):
        await shop.call(SEARCH_PETS, body={"sort": {"field": "price"}, "pagination": {"after": after}})
    with pytest.raises(BadRequest, match="after"):
        await shop.call(LIST_USERS, after=after)
    with pytest.raises(BadRequest, match="after"):
        await shop.call(LIST_PETS, after=after, page=2)
    assert await shop.violations(SEARCH_PETS, body={"pagination": {"page": 2, "after": after}}) == {
        "pagination.after": "INVALID_FORMAT"
    }


async def test_totals_count_no_further_than_a_bound(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_COUNTED", 4)
    monkeypatch.setattr(paging, "MAX_SKIPPED", 2)
    for _ in range(9):
        await add(shop)
    totals = []
    page = await shop.call(LIST_PETS, ageMin=0, limit=2)
    while True:
        found = page.pagination
        totals.append((found.total_items, found.total_pages, found.total_is_exact))
        if found.next is None:
            break
        page = await shop.call(LIST_PETS, ageMin=0, limit=2, after=found.next)
    assert totals == [(4, 2, False), (5, 3, False), (7, 4, False), (9, 5, False), (9, 5, False)]
    second = (await shop.call(LIST_PETS, ageMin=0, limit=2, page=2)).pagination
    assert (second.total_items, second.total_is_exact) == (6, False)
    with pytest.raises(BadRequest, match="page"):
        await shop.call(LIST_PETS, ageMin=0, limit=2, page=3)
    assert (await shop.call(LIST_PETS, ageMin=0, species="CAT", page=10)).data == []
    for _ in range(5):
        pet = (await shop.call(LIST_PETS, limit=1)).data[0]
        await shop.call(DELETE_PET, shop.staff, id=pet.id)
    left = (await shop.call(LIST_PETS, ageMin=0, limit=2)).pagination
    assert (left.total_items, left.total_is_exact) == (4, None)
    # Of species and status alone the stock tells.
    assert (await shop.call(LIST_PETS, limit=1, species="DOG")).pagination.total_items == 4
    with pytest.raises(BadRequest, match="page"):
        await shop.call(LIST_PETS, limit=1, page=4)


async def test_what_to_go_on_behind_is_of_one_tenant(shop: Shop) -> None:
    other = Shop(shop.store, TenantId(str(uuid.uuid4())))
    for one in (shop, other):
        for _ in range(2):
            await add(one)
    after = (await shop.call(LIST_PETS, limit=1)).pagination.next
    with pytest.raises(BadRequest, match="after"):
        await other.call(LIST_PETS, after=after)


async def test_the_number_of_a_page_is_of_the_limit_asked_for(shop: Shop) -> None:
    for _ in range(7):
        await add(shop)
    first = (await shop.call(LIST_PETS, limit=4)).pagination
    second = (await shop.call(LIST_PETS, limit=2, after=first.next)).pagination
    assert (first.page, second.page, second.total_pages) == (1, 3, 4)
    assert (await shop.call(LIST_PETS, limit=2, after=second.next)).pagination.page == 4
