"""Numbers of the store's own, past those that clients have chosen."""

import pytest

from core.models.pets import Pet
from core.ports.records import Query
from core.services.numbers import free_number
from gateway.storage.memory import MemoryStorage, MemoryTransaction
from tests.gateway.storage.records import a_pet, a_tenant


@pytest.mark.parametrize(
    ("chosen", "numbers"),
    [
        ([], [1, 2, 3]),
        ([2], [1, 3, 4]),
        ([1], [2, 3, 4]),
        ([1, 2, 3], [4, 5, 6]),
        ([1, 2, 4, 5, 6, 8], [3, 7, 9]),
        ([*range(1, 8), 9, 10], [8, 11, 12]),
        ([*range(1, 17), -1, 0, 2**63 - 1], [17, 18, 19]),
    ],
)
async def test_the_next_numbers_are_the_first_that_are_free(chosen: list[int], numbers: list[int]) -> None:
    storage, tenant = MemoryStorage(), a_tenant()
    given = []
    async with storage.write(tenant) as tx:
        for number in chosen:
            await tx.insert(a_pet(tenant, number))
        for _ in numbers:
            number = await free_number(tx, Pet, "pets")
            await tx.insert(a_pet(tenant, number))
            given.append(number)
    assert given == numbers


async def test_a_long_row_of_chosen_numbers_costs_everybody_else_few_questions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage, tenant, asked = MemoryStorage(), a_tenant(), 0
    count = MemoryTransaction.count

    async def counted(self: MemoryTransaction, query: Query[Pet]) -> int:
        nonlocal asked
        asked += 1
        return await count(self, query)

    monkeypatch.setattr(MemoryTransaction, "count", counted)
    # Nothing is read but counts.
    monkeypatch.delattr(MemoryTransaction, "find")
    async with storage.write(tenant) as tx:
        for number in range(1, 1000):
            await tx.insert(a_pet(tenant, number))
        assert await free_number(tx, Pet, "pets") == 1000
        assert asked <= 20
        assert await free_number(tx, Pet, "pets") == 1001
        assert asked <= 21
