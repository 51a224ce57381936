"""A database that is away or slow is told from an error of ours."""

import asyncio
import sqlite3
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import JSON, BigInteger, Boolean, Table, insert

from core.kernel.errors import StorageDown
from core.models.pets import Pet
from core.ports.records import Query, TransientFailure
from gateway.storage.columns import Cents, UtcTime
from gateway.storage.errors import StatementFailed
from gateway.storage.migration import migrate
from gateway.storage.opening import open_storage
from gateway.storage.sql import SqlStorage
from gateway.storage.tables import METADATA
from gateway.storage.transaction import run
from tests.gateway.storage.records import NOW, a_pet, a_tenant, an_event, announce, put
from tests.servers import PostgresServer, free_port
from tests.waiting import eventually


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that the test may stop."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def test_a_server_that_nobody_runs_is_down() -> None:
    storage = open_storage(f"postgresql://petstore@127.0.0.1:{free_port()}/store")
    with pytest.raises(StorageDown):
        await storage.ping()
    with pytest.raises(StorageDown):
        async with storage.write(a_tenant()):
            pass
    with pytest.raises(StorageDown):
        await storage.read_log(a_tenant(), 0, 1)
    await storage.close()


async def test_a_database_that_is_not_there_is_down(postgres_server: PostgresServer) -> None:
    storage = open_storage(postgres_server.url("nowhere"))
    with pytest.raises(StorageDown):
        await storage.ping()
    await storage.close()


async def test_a_folder_that_is_not_there_is_down(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/nowhere/store.db")
    with pytest.raises(StorageDown):
        await storage.ping()
    await storage.close()
    # aiosqlite's thread of a failed connection ends by itself a little later, and must find the loop open.
    await eventually(lambda: not any("_connection_worker" in thread.name for thread in threading.enumerate()))


async def test_a_restarted_server_is_used_again_without_an_error(own_server: PostgresServer) -> None:
    url = own_server.url(own_server.create_database())
    await migrate(url)
    storage = open_storage(url)
    tenant = a_tenant()
    await asyncio.gather(*(announce(storage, an_event(tenant)) for _ in range(5)))
    await asyncio.to_thread(own_server.restart)
    # Every connection in the pool is dead, and known to be.
    await asyncio.gather(*(announce(storage, an_event(tenant)) for _ in range(5)))
    assert await storage.heads([tenant]) == {tenant: 10}
    await storage.close()


async def test_a_server_that_dies_in_the_middle_is_down_until_it_is_back(own_server: PostgresServer) -> None:
    url = own_server.url(own_server.create_database())
    await migrate(url)
    storage = open_storage(url)
    tenant = a_tenant()

    async def lose_the_server() -> None:
        async with storage.write(tenant) as tx:
            await tx.insert(a_pet(tenant))
            own_server.kill()
            await tx.insert(a_pet(tenant, 2))

    with pytest.raises(StorageDown):
        await lose_the_server()
    with pytest.raises(StorageDown):
        await storage.ping()
    own_server.start()

    async def back() -> bool:
        try:
            await storage.ping()
        except StorageDown:
            return False
        return True

    await eventually(back)
    async with storage.read(tenant) as tx:
        assert await tx.count(Query(Pet)) == 0
    await storage.close()


async def test_two_who_wait_for_each_other_end_as_one_winner_and_one_transient_failure(
    shared_database: str,
) -> None:
    await migrate(shared_database)
    storage = open_storage(shared_database)
    tenant = a_tenant()
    pets = [a_pet(tenant, 1), a_pet(tenant, 2)]
    await put(storage, *pets)
    both = asyncio.Barrier(2)

    async def lock(first: Pet, second: Pet) -> str:
        try:
            async with storage.write(tenant) as tx:
                await tx.get(Pet, first.id, lock=True)
                await both.wait()
                await tx.get(Pet, second.id, lock=True)
        except TransientFailure:
            return "lost"
        return "won"

    outcomes = await asyncio.gather(lock(pets[0], pets[1]), lock(pets[1], pets[0]))
    assert sorted(outcomes) == ["lost", "won"]
    await storage.close()


async def test_a_file_that_another_process_holds_is_a_transient_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.storage.sqlite._BUSY_TIMEOUT_SECONDS", 0.05)
    url = f"sqlite:///{tmp_path}/store.db"
    await migrate(url)
    storage = open_storage(url)
    tenant = a_tenant()
    holder = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(TransientFailure):
        await put(storage, a_pet(tenant))
    # Reading goes on.
    async with storage.read(tenant) as tx:
        assert await tx.count(Query(Pet)) == 0
    holder.close()
    await put(storage, a_pet(tenant))
    await storage.close()


SECRET = "Ada Lovelace"


def a_row(table: Table, **changes: object) -> dict[str, object]:
    """Values for every column of a table, each text a secret."""
    given: dict[type, object] = {UtcTime: NOW, Cents: Decimal("75.00"), BigInteger: 1, Boolean: True}
    row: dict[str, object] = {}
    for column in table.columns:
        row[column.name] = given.get(
            type(column.type), {"name": SECRET} if isinstance(column.type, JSON) else SECRET
        )
    return row | {"tenant_id": a_tenant()} | changes


@pytest.mark.parametrize("table", METADATA.sorted_tables, ids=lambda table: table.name)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_the_error_of_a_statement_shows_nothing_of_the_row(database: str, table: Table) -> None:
    await migrate(database)
    storage = open_storage(database)
    assert isinstance(storage, SqlStorage)
    row = a_row(table)
    key = {column.name for column in table.primary_key}
    without_values = {name: value if name in key else None for name, value in row.items()}
    of_wrong_type = row | {next(iter(row)): {"name": SECRET}}
    faults = {"twice": [row, row], "empty": [without_values], "wrong type": [of_wrong_type]}
    if row.keys() == key or all(column.nullable for column in table.columns if column.name not in key):
        del faults["empty"]
    try:
        for fault, rows in faults.items():
            with pytest.raises(StatementFailed) as failed:
                await insert_all(storage, table, rows)
            told = "".join(traceback.format_exception(failed.value))
            assert SECRET not in told, fault
            assert "SQLSTATE" in told or "sqlite" in database
    finally:
        await storage.close()


async def insert_all(storage: SqlStorage, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    async with storage._begin() as connection:
        for row in rows:
            await run(connection, insert(table), row)
