"""A store on each embedded storage, and a shop in it."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path

import pytest

from core.models.pets import Pet, PetStatus, Size, Species
from core.services.inventory import pets_counted
from core.store.store import Store
from gateway.storage.migration import migrate
from tests.core.stores import Shop, open_store


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with empty tables, to be copied: making them takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "empty.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture(params=["memory", pytest.param("sqlite", marks=pytest.mark.database)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each embedded kind."""
    if request.param == "memory":
        return "memory://"
    path = shutil.copyfile(request.getfixturevalue("empty_database"), tmp_path / "store.db")
    return f"sqlite:///{path}"


@pytest.fixture
async def store(database: str, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty, running store."""
    async with open_store(tmp_path, database) as opened:
        yield opened


@pytest.fixture
async def shop(store: Store) -> AsyncIterator[Shop]:
    """A private tenant of the store. Whatever a test does there, the stock is what it would be if it was counted."""
    shop = Shop(store)
    yield shop
    async with store.storage.read(shop.tenant) as tx:
        counted = await tx.tally(Pet, ("species", "status", "size", "good_with_kids"))
        assert await pets_counted(tx) == sum(counted.values())
        for species, status in product(Species, PetStatus) if counted else ():
            of_kind = {kinds[2:]: pets for kinds, pets in counted.items() if kinds[:2] == (species, status)}
            assert await pets_counted(tx, [species], [status]) == sum(of_kind.values())
            if not of_kind:
                continue
            for size, kids in product(Size, (True, False)):
                kept = await pets_counted(tx, [species], [status], [size], kids)
                assert kept == of_kind.get((size, kids), 0)
        assert await pets_counted(tx, good_with_kids=True) == sum(
            pets for kinds, pets in counted.items() if kinds[3] is True
        )
