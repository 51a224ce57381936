"""Migrations make the tables that the code expects."""

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import BaseModel
from sqlalchemy import Connection, make_url

from gateway.storage.migration import migrate
from gateway.storage.opening import open_storage
from gateway.storage.postgresql import postgresql_engine
from gateway.storage.sqlite import sqlite_engine
from gateway.storage.tables import METADATA, RECORDS


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return str(request.getfixturevalue("postgres_url"))


async def test_migrations_and_tables_agree(empty: str) -> None:
    await migrate(empty)
    url = make_url(empty)
    engine = sqlite_engine(url, writes=False) if url.drivername == "sqlite" else postgresql_engine(url)

    def compare(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), METADATA))

    async with engine.connect() as connection:
        assert await connection.run_sync(compare) == []
    await engine.dispose()


async def test_migrating_again_changes_nothing(empty: str) -> None:
    await migrate(empty)
    storage = open_storage(empty)
    epoch = await storage.epoch()
    await migrate(empty)
    assert await storage.epoch() == epoch
    await storage.close()


async def test_nodes_may_migrate_at_once(empty: str) -> None:
    await asyncio.gather(*(migrate(empty) for _ in range(4)))
    storage = open_storage(empty)
    assert await storage.epoch() > 0
    await storage.close()


async def test_memory_needs_no_migration() -> None:
    await migrate("memory://")


@pytest.mark.parametrize(
    "url", ["mysql://localhost/x", "sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite:///x", "x"]
)
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="database URL"):
        open_storage(url)


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_a_table_has_the_fields_of_its_record_as_columns(kind: type[BaseModel]) -> None:
    table = RECORDS[kind]
    columns = {column.name: column for column in table.columns if "folds" not in column.info}
    assert set(columns) == set(kind.model_fields)
    for name, member in kind.model_fields.items():
        assert columns[name].nullable == (type(None) in getattr(member.annotation, "__args__", ())), name
