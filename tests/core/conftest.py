"""A store on each embedded storage, and a shop in it."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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
def shop(store: Store) -> Shop:
    """A private tenant of the store."""
    return Shop(store)
