"""What is looked for in tables of any length is found by an index, in its order."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite

from core.models.activity import TenantActivity
from core.models.devices import Device
from core.models.orders import Order, OrderStatus
from core.models.payments import Payment, PaymentStatus
from core.models.pets import Pet, PetStatus
from core.models.webhooks import WebhookState
from core.ports.records import Between, Condition, Equal, Query
from core.services.classic.pets import TAGGED
from gateway.storage.conditions import selected
from gateway.storage.mapping import mapping_of
from gateway.storage.migration import migrate
from tests.gateway.storage.records import NOW


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("plans") / "store.db"
    asyncio.run(migrate(f"sqlite:///{file}"))
    return file


@pytest.mark.parametrize(
    ("kind", "span", "where", "index"),
    [
        (
            Order,
            "created_at",
            (Equal("status", OrderStatus.PLACED), Equal("classic", None)),
            "ix_orders_unpaid",
        ),
        (Order, "updated_at", (Equal("status", OrderStatus.CANCELLED),), "ix_orders_status_updated_at"),
        (
            Payment,
            "updated_at",
            (Equal("status", PaymentStatus.PROCESSING),),
            "ix_payments_status_updated_at",
        ),
        (TenantActivity, "touched_at", (), "ix_activity_touched_at"),
        (TenantActivity, "idle_since", (), "ix_activity_idle_since"),
        (Device, "username", (), "sqlite_autoindex_devices_2"),
        (WebhookState, "due_at", (Equal("failing_since", None),), "ix_webhook_states_due"),
        (WebhookState, "due_at", (Between("failing_since", high=NOW),), "ix_webhook_states_failing"),
    ],
)
def test_a_chore_finds_its_page_by_an_index(
    tables: Path, kind: Any, span: str, where: tuple[Any, ...], index: str
) -> None:
    low: object = "a" if span == "username" else NOW
    plan = _plan(tables, Query(kind, (*where, Between(span, low)), span, 100))
    assert f"USING INDEX {index} " in plan
    # Ties are sorted by id, and nothing else.
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan


@pytest.mark.parametrize(
    ("where", "index"),
    [
        (Equal("status", PetStatus.PENDING), "ix_pets_tenant_id_status_id"),
        (TAGGED, "ix_pets_tagged"),
    ],
)
@pytest.mark.parametrize("span", [Between("id"), Between("id", high="b")])
def test_what_classic_clients_look_for_is_found_by_an_index(
    tables: Path, where: Condition, index: str, span: Between
) -> None:
    plan = _plan(tables, Query(Pet, (Equal("tenant_id", "a"), where, span), "-id", 100))
    assert f"USING INDEX {index} " in plan
    assert "TEMP B-TREE" not in plan


def _plan(tables: Path, query: Query[Any]) -> str:
    kind: Any = query.kind
    of = mapping_of(kind)
    wanted = selected(of.everywhere, of.table, query)
    literal = {"literal_binds": True}
    text = str(wanted.compile(dialect=sqlite.dialect(), compile_kwargs=literal))
    with closing(sqlite3.connect(tables)) as connection:
        return " / ".join(str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {text}"))
