"""Migrations make the tables that the code expects."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import BaseModel
from sqlalchemy import Connection, DateTime, Insert, column, insert, make_url, table, text

from core.auth.makers import reach_of
from core.kernel.caller import STAFF_SCOPES, Caller, Role, Scope
from core.kernel.clock import utc_now
from core.kernel.ids import SHARED_TENANT, new_id
from core.models.activity import TenantActivity
from core.models.pets import Pet
from core.models.webhooks import WebhookMaker, WebhookState
from core.ports.records import Equal, Query
from gateway.storage.migration import migrate
from gateway.storage.opening import open_storage
from gateway.storage.postgresql import postgresql_engine
from gateway.storage.sqlite import sqlite_engine
from gateway.storage.tables import METADATA, RECORDS
from tests.gateway.storage.records import NOW, a_tenant


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


async def test_what_was_there_before_it_was_counted_counts(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0010"))
    await migrate(empty)
    monkeypatch.undo()
    url, tenant, silent = make_url(empty), a_tenant(), a_tenant()
    on_sqlite = url.drivername == "sqlite"
    engine = sqlite_engine(url, writes=True) if on_sqlite else postgresql_engine(url)
    now = NOW.replace(tzinfo=None) if on_sqlite else NOW

    def row(name: str, /, **values: object) -> Insert:
        """A row of a table with the columns that it had then."""
        times = {"created_at", "updated_at"} & values.keys()
        columns = [column(one, DateTime(timezone=True)) if one in times else column(one) for one in values]
        return insert(table(name, *columns)).values(**values)

    async with engine.begin() as connection:
        for of in (tenant, SHARED_TENANT):
            for size in (3, 4):
                picture = {
                    "pet_id": "p",
                    "url": "u",
                    "media_type": "image/png",
                    "size": size,
                    "created_at": now,
                }
                await connection.execute(row("images", tenant_id=of, id=new_id(), **picture))
            await connection.execute(row("tenants", tenant_id=of, head=1, floor=0))
        for of in (tenant, tenant, silent, SHARED_TENANT):
            key = {"name": "k", "owner_id": "u", "key_hash": new_id(), "created_at": now}
            scopes = text("'[]'")
            await connection.execute(row("api_keys", tenant_id=of, id=new_id(), scopes=scopes, **key))
        user = {
            "username": "u",
            "email": "e",
            "first_name": "f",
            "last_name": "l",
            "created_at": now,
            "updated_at": now,
        }
        for place, (species, status) in enumerate(
            (("DOG", "PENDING"), ("DOG", "PENDING"), ("CAT", "ADOPTED"))
        ):
            pet = {"name": "n", "name_folded": "n", "species": species, "status": status, "gender": "UNKNOWN",
                   "age_months": 1, "price": 1, "currency": "USD", "number": place,
                   "good_with_kids": True if place == 1 else None}  # fmt: skip
            medical = (
                "NULL",
                """'{"vaccinated": true}'""",
                """'{"vaccinated": false, "special_needs": null}'""",
            )
            of_pet = {"photos": text("'[]'"), "medical_info": text(medical[place]),
                      "created_at": now, "updated_at": now}  # fmt: skip
            await connection.execute(row("pets", tenant_id=tenant, id=new_id(), **pet, **of_pet))
        nested = {"preferences": text("'{}'"), "roles": text("'[]'")}
        await connection.execute(row("users", tenant_id=silent, id=new_id(), **user, **nested))
    await engine.dispose()
    await migrate(empty)
    storage = open_storage(empty)
    for of, bytes_, keys, used in ((tenant, 7, 2, True), (silent, 0, 1, True), (SHARED_TENANT, 7, 0, False)):
        async with storage.write(of) as tx:
            assert await tx.add_number("image bytes", 0) == bytes_
            assert await tx.add_number("API keys kept", 0) == keys
            where = [Equal("medical_info.vaccinated", wanted) for wanted in (True, False, None)]
            known = [await tx.count(Query(Pet, (one,))) for one in where]
            assert known == ([1, 1, 1] if of == tenant else [0, 0, 0])
            kept = await tx.numbers(
                [
                    "stock/DOG/PENDING",
                    "stock/CAT/ADOPTED",
                    "listed/DOG/PENDING/-/yes",
                    "listed/CAT/ADOPTED/-/-",
                ]
            )
            assert list(kept.values()) == ([2, 1, 1, 1] if of == tenant else [0, 0, 0, 0])
            found = await tx.get(TenantActivity, of)
            assert (found is not None) is used
            if found is not None:
                assert abs(found.touched_at - utc_now()) < timedelta(hours=1)
                assert (found.idle_since, found.sweeping) == (None, False)
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
    columns = {column.name: column for column in table.columns if not column.info}
    assert set(columns) == set(kind.model_fields)
    for name, member in kind.model_fields.items():
        assert columns[name].nullable == (type(None) in getattr(member.annotation, "__args__", ())), name


async def test_webhooks_made_before_keep_what_their_makers_could_see(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0023"))
    await migrate(empty)
    monkeypatch.undo()
    url, tenant = make_url(empty), a_tenant()
    on_sqlite = url.drivername == "sqlite"
    engine = sqlite_engine(url, writes=True) if on_sqlite else postgresql_engine(url)
    staff, some = tuple(sorted(STAFF_SCOPES)), (Scope.READ_ORDERS, Scope.WRITE_WEBHOOKS)
    makers = {
        "callback": WebhookMaker(key="callback", scopes=()),
        "everything": WebhookMaker(key="user:u", user_id="u", scopes=staff),
        "key": WebhookMaker(key="key:k", user_id="u", scopes=staff),
        "client": WebhookMaker(key="user:u", user_id="u", client_id="c", grant_id="g", scopes=some),
        "narrow": WebhookMaker(key="key:k", user_id="u", scopes=(Scope.WRITE_WEBHOOKS,)),
    }
    states = table(
        "webhook_states",
        *map(column, ("tenant_id", "id", "secret", "since", "pending")),
        column("maker", METADATA.tables["webhook_states"].c.maker.type),
    )
    async with engine.begin() as connection:
        for name, maker in makers.items():
            row = {"tenant_id": tenant, "id": name, "secret": "s", "since": 0, "pending": 0}
            await connection.execute(
                insert(states).values(**row, maker=maker.model_dump(mode="json", by_alias=False))
            )
    await engine.dispose()
    await migrate(empty)
    storage = open_storage(empty)
    async with storage.read(tenant) as tx:
        found = {state.id: state.reach for state in await tx.find(Query(WebhookState))}
    await storage.close()
    expected = {
        name: reach_of(
            Caller(
                tenant,
                Role.STAFF,
                maker.key,
                frozenset(maker.scopes),
                maker.user_id,
                client_id=maker.client_id,
            )
        )
        for name, maker in makers.items()
    }
    assert found == expected | {"callback": "callback"}
