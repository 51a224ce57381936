"""What every storage promises of queries."""

from decimal import Decimal

import pytest

from core.kernel.ids import TenantId
from core.models.orders import Order
from core.models.pets import MedicalInfo, Pet, PetStatus, Species
from core.models.users import User
from core.ports.records import AnyOf, Between, Condition, Contains, Equal, NoneOf, OneOf, Query
from core.ports.storage import Storage
from tests.gateway.storage import records
from tests.gateway.storage.records import a_pet, a_tenant, later, put

_HUGE = 10**30


@pytest.fixture
async def tenant(storage: Storage) -> TenantId:
    """A tenant with five pets, numbered from 1."""
    mine = a_tenant()
    await put(
        storage,
        a_pet(
            mine, 1, id="p1", name="Zoë", breed="Große Dogge", price="75.00", size="LARGE", good_with_kids=True,
            medical_info=MedicalInfo(vaccinated=True, health_notes="Fit"), created_at=later(0.001),
        ),
        a_pet(
            mine, 2, id="p2", name="Äpfel", species="CAT", breed=None, price="9.99", good_with_kids=False,
            medical_info=MedicalInfo(vaccinated=False), created_at=later(0.003), color="100% black",
        ),
        a_pet(
            mine, 3, id="p3", name="apple", species="CAT", price="100.00", age_months=0, medical_info=None,
            created_at=later(0.002), color="snow_white",
        ),
        a_pet(mine, 4, id="p4", name="Banana", price="75.01", status="PENDING", size="SMALL", age_months=12_000),
        a_pet(mine, 5, id="p5", name="\U0001f436", price="0.00", status="ADOPTED", size="SMALL", created_at=later(-1)),
    )  # fmt: skip
    return mine


async def _found(storage: Storage, tenant: TenantId, *where: Condition, order: str = "id") -> list[int]:
    async with storage.read(tenant) as tx:
        query = Query(Pet, where, order)
        found = [pet.number for pet in await tx.find(query)]
        assert await tx.count(query) == len(found)
    return found


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        (Equal("species", Species.CAT), [2, 3]),
        (Equal("species", "CAT"), [2, 3]),
        (Equal("species", "cat"), []),
        (Equal("name", "Äpfel"), [2]),
        (Equal("name", "äpfel"), []),
        (Equal("price", Decimal("75.00")), [1]),
        (Equal("good_with_kids", True), [1]),
        (Equal("good_with_kids", False), [2]),
        (Equal("good_with_kids", None), [3, 4, 5]),
        (Equal("breed", None), [2, 3, 4, 5]),
        (Equal("created_at", later(0.003)), [2]),
        (Equal("age_months", _HUGE), []),
        (Equal("name", "a\0b"), []),
        (Equal("name", "\ud800"), []),
        (OneOf("status", (PetStatus.PENDING, PetStatus.ADOPTED)), [4, 5]),
        (OneOf("status", ("PENDING",)), [4]),
        (OneOf("status", ()), []),
        (NoneOf("status", ("PENDING",)), [1, 2, 3, 5]),
        (NoneOf("status", ()), [1, 2, 3, 4, 5]),
        (OneOf("size", ("SMALL", None)), [2, 3, 4, 5]),
        (OneOf("size", (None,)), [2, 3]),
        (OneOf("name", ("\0", "apple")), [3]),
        (OneOf("id", tuple(f"p{n}" for n in range(2, 3000))), [2, 3, 4, 5]),
        (Between("age_months", 7, 7), [1, 2, 5]),
        (Between("age_months", 8), [4]),
        (Between("age_months", None, 6), [3]),
        (Between("age_months", -_HUGE, _HUGE), [1, 2, 3, 4, 5]),
        (Between("age_months", _HUGE, None), []),
        (Between("age_months"), [1, 2, 3, 4, 5]),
        (Between("price", Decimal("9.99"), Decimal("75.00")), [1, 2]),
        (Between("price", Decimal("75.01")), [3, 4]),
        (Between("created_at", later(0.002), later(0.003)), [2, 3]),
        (Between("created_at", None, later(-0.001)), [5]),
        (Between("name", "a", "b"), [3]),
        (Contains(("name",), "APPL"), [3]),
        (Contains(("name",), "äPF"), [2]),
        (Contains(("name",), "ZOË"), [1]),
        (Contains(("name", "breed"), "GROSSE"), [1]),
        (Contains(("name", "breed"), "a"), [3, 4]),
        (Contains(("color",), "%"), [2]),
        (Contains(("color",), "_"), [3]),
        (Contains(("color",), "\\"), []),
        (Contains(("color", "description"), "w_w"), [3]),
        (Contains(("name",), "\U0001f436"), [5]),
        (Contains(("name",), ""), [1, 2, 3, 4, 5]),
        (Contains((), "a"), []),
        (Contains(("name",), "\0"), []),
        (Contains(("name",), "a" * 100_000), []),
        (AnyOf((Equal("size", "SMALL"), Contains(("name",), "APPL"))), [3, 4, 5]),
        (AnyOf((Equal("good_with_kids", True),)), [1]),
        (AnyOf(()), []),
        (Equal("medical_info.vaccinated", True), [1, 4, 5]),
        (Equal("medical_info.vaccinated", False), [2]),
        (Equal("medical_info.vaccinated", None), [3]),
        (Equal("medical_info.special_needs", None), [1, 2, 3, 4, 5]),
        (Equal("medical_info.health_notes", "Fit"), [1]),
        (OneOf("medical_info.health_notes", ("Fit", None)), [1, 2, 3]),
        (Equal("medical_info", None), [3]),
    ],
    ids=str,
)  # fmt: skip
async def test_a_condition_selects_what_it_says(
    storage: Storage, tenant: TenantId, condition: Condition, numbers: list[int]
) -> None:
    assert await _found(storage, tenant, condition) == numbers


async def test_all_conditions_hold_at_once(storage: Storage, tenant: TenantId) -> None:
    assert await _found(storage, tenant) == [1, 2, 3, 4, 5]
    assert await _found(storage, tenant, Equal("species", "CAT"), Between("price", Decimal(50))) == [3]
    assert await _found(storage, tenant, Equal("species", "CAT"), Equal("species", "DOG")) == []


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        ("id", [1, 2, 3, 4, 5]),
        ("-id", [5, 4, 3, 2, 1]),
        ("name", [4, 1, 3, 2, 5]),
        ("-name", [5, 2, 3, 1, 4]),
        ("price", [5, 2, 1, 4, 3]),
        ("-price", [3, 4, 1, 2, 5]),
        ("created_at", [5, 4, 1, 3, 2]),
        ("-created_at", [2, 3, 1, 4, 5]),
        ("age_months", [3, 1, 2, 5, 4]),
        ("-age_months", [4, 5, 2, 1, 3]),
        ("size", [1, 4, 5, 2, 3]),
        ("-size", [3, 2, 5, 4, 1]),
        ("good_with_kids", [2, 1, 3, 4, 5]),
    ],
)
async def test_order_is_by_value_with_missing_ones_last_upwards_and_ties_by_id(
    storage: Storage, tenant: TenantId, order: str, numbers: list[int]
) -> None:
    assert await _found(storage, tenant, order=order) == numbers


@pytest.mark.parametrize("order", ["id", "-id", "name", "-price", "price", "-created_at", "age_months"])
async def test_what_comes_behind_a_record_is_the_rest_of_the_order(
    storage: Storage, tenant: TenantId, order: str
) -> None:
    async with storage.read(tenant) as tx:
        # The one without an age has no place in that order.
        where = (Between("age_months", low=0),)
        ordered = await tx.find(Query(Pet, where, order))
        for index, pet in enumerate(ordered):
            behind = (getattr(pet, order.removeprefix("-")), pet.id)
            assert await tx.find(Query(Pet, where, order, behind=behind)) == ordered[index + 1 :]
            two = await tx.find(Query(Pet, where, order, 1, 1, behind))
            assert two == ordered[index + 2 : index + 3]


async def test_a_count_goes_no_further_than_asked(storage: Storage, tenant: TenantId) -> None:
    async with storage.read(tenant) as tx:
        for most, counted in ((0, 0), (3, 3), (5, 5), (6, 5), (None, 5)):
            assert await tx.count(Query(Pet), most) == counted
        assert await tx.count(Query(Pet, (OneOf("species", ("DRAGON",)),)), 3) == 0


async def test_pages_cut_the_ordered_result(storage: Storage, tenant: TenantId) -> None:
    async with storage.read(tenant) as tx:

        async def page(limit: int | None, offset: int) -> list[int]:
            query = Query(Pet, (OneOf("species", ("DOG", "CAT")),), "-price", limit, offset)
            assert await tx.count(query) == 5
            return [pet.number for pet in await tx.find(query)]

        assert await page(2, 0) == [3, 4]
        assert await page(2, 2) == [1, 2]
        assert await page(2, 4) == [5]
        assert await page(2, 5) == []
        assert await page(0, 0) == []
        assert await page(None, 3) == [2, 5]
        assert await page(100, 100_000_000_000) == []
        assert await page(_HUGE, 0) == [3, 4, 1, 2, 5]
        assert await page(1, _HUGE) == []


async def test_a_tally_counts_each_combination_of_values(storage: Storage, tenant: TenantId) -> None:
    async with storage.read(tenant) as tx:
        assert await tx.tally(Pet, ("species", "status")) == {
            (Species.CAT, PetStatus.AVAILABLE): 2,
            (Species.DOG, PetStatus.AVAILABLE): 1,
            (Species.DOG, PetStatus.PENDING): 1,
            (Species.DOG, PetStatus.ADOPTED): 1,
        }
        assert await tx.tally(Pet, ("status",), (Equal("species", "CAT"),)) == {("AVAILABLE",): 2}
        assert await tx.tally(Pet, ("size",)) == {("LARGE",): 1, ("SMALL",): 2, (None,): 2}
        assert await tx.tally(Pet, ("good_with_kids",)) == {(True,): 1, (False,): 1, (None,): 3}
        assert await tx.tally(Order, ("status",)) == {}


async def test_a_transaction_finds_what_it_has_just_changed(storage: Storage, tenant: TenantId) -> None:
    async with storage.write(tenant) as tx:
        pet = await tx.get(Pet, "p1", lock=True)
        assert pet is not None
        await tx.update(pet.model_copy(update={"name": "Ünique", "status": PetStatus.PENDING}))
        await tx.insert(a_pet(tenant, 6, id="p6"))
        await tx.delete(Pet, "p5")
        assert [pet.number for pet in await tx.find(Query(Pet, (Contains(("name",), "üNI"),)))] == [1]
        assert await tx.tally(Pet, ("status",)) == {("AVAILABLE",): 3, ("PENDING",): 2}
        assert await tx.count(Query(Pet)) == 5


async def test_fields_of_other_kinds_are_asked_alike(storage: Storage) -> None:
    tenant = a_tenant()
    user = records.a_user(tenant)
    mine = records.an_order(tenant, 1, user_id=user.id)
    await put(storage, user, mine, records.an_order(tenant, 2, user_id=None, total_amount="1.00"))
    async with storage.read(tenant) as tx:
        assert await tx.find(Query(Order, (Equal("user_id", user.id),))) == [mine]
        assert await tx.find(Query(Order, (Between("total_amount", Decimal(2)),), "-created_at")) == [mine]
        assert await tx.find(Query(User, (Equal("preferences.newsletter", False),))) == [user]
