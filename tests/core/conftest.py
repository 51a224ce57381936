"""A store on each embedded storage, and a shop in it."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path

import pytest

from core.models.pets import Pet, PetStatus, Species
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
        counted = await tx.tally(Pet, ("species", "status"))
        numbers = {kinds: f"stock/{kinds[0]}/{kinds[1]}" for kinds in product(Species, PetStatus)}
        kept = await tx.numbers(list(numbers.values()))
    assert {kinds: kept[name] for kinds, name in numbers.items() if kept[name]} == counted
