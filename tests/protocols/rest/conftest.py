"""The REST door on a real server, over SQLite."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.kernel.limits import Limits
from gateway.contracts.documents import DOCUMENTS
from gateway.storage.migration import migrate
from protocols.rest.adapter import RestDoor
from protocols.rest.pages import Pages
from tests.core.stores import UNLIMITED, open_store
from tests.gateway.server.serving import serving
from tests.protocols.rest.shop import Door, Shop


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with empty tables, to copy."""
    path = tmp_path_factory.mktemp("tables") / "empty.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def limits() -> Limits:
    """The bounds of the store; a test may set others."""
    return UNLIMITED


@pytest.fixture
def origins() -> tuple[str, ...]:
    """The web pages that may use the door; a test may name some."""
    return ()


@pytest.fixture
async def door(tables: Path, tmp_path: Path, limits: Limits, origins: tuple[str, ...]) -> AsyncIterator[Door]:
    """A running door on an empty store."""
    shutil.copy(tables, tmp_path / "store.db")
    async with (
        open_store(tmp_path, f"sqlite:///{tmp_path}/store.db", limits=limits) as store,
        serving(RestDoor(store, Pages(DOCUMENTS), origins=origins)) as server,
    ):
        door = Door(f"http://127.0.0.1:{server.port}", store)
        yield door
        await door.close()


@pytest.fixture
async def shop(door: Door) -> Shop:
    """A private tenant with its people."""
    return await door.open_shop()
