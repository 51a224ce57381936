"""Every implementation of storage, empty; and two nodes over the same data."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from core.ports.storage import Storage
from gateway.storage.migration import migrate
from gateway.storage.opening import open_storage
from tests.servers import PostgresServer


@pytest.fixture(scope="package")
def shared_database(postgres_server: PostgresServer) -> Iterator[str]:
    """A database for all tests of storage: each keeps to tenants of its own."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of each kind."""
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return str(request.getfixturevalue("shared_database"))


@pytest.fixture
async def nodes(database: str) -> AsyncIterator[tuple[Storage, Storage]]:
    """Two nodes over one database; memory is one node's only, which is then both."""
    await migrate(database)
    one = open_storage(database)
    other = one if database == "memory://" else open_storage(database)
    yield one, other
    await one.close()
    await other.close()


@pytest.fixture
def storage(nodes: tuple[Storage, Storage]) -> Storage:
    """One node."""
    return nodes[0]
