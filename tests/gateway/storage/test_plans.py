"""What is looked for in tables of any length is found by an index, in its order."""

import asyncio
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite

from core.models.activity import TenantActivity
from core.models.adoptions import Adoption, AdoptionStatus
from core.models.chats import Chat, ChatStatus, Message
from core.models.devices import Device
from core.models.orders import Order, OrderStatus
from core.models.payments import Payment, PaymentStatus
from core.models.pets import Pet, PetStatus, Species
from core.models.users import User
from core.models.webhooks import WebhookState
from core.ports.records import Between, Condition, Contains, Equal, OneOf, Query
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
    plan = _plan(tables, Query(kind, (*where, Between(span, low)), span, 100), of_all_tenants=True)
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
    plan = _plan(tables, Query(Pet, (where, span), "-id", 100))
    assert f"USING INDEX {index} " in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("order", ["id", "-id", "price", "-price", "age_months", "-name"])
@pytest.mark.parametrize("behind", [False, True])
def test_many_pets_are_gone_through_in_their_order(tables: Path, order: str, behind: bool) -> None:
    edge: object = {"id": "b", "name": "b", "price": Decimal(7)}.get(order.removeprefix("-"), 7)
    where = (
        OneOf("species", (Species.DOG, Species.CAT)),
        Equal("size", "LARGE"),
        Between("price", Decimal(1), Decimal(9)),
        Contains(("name",), "x"),
    )
    query = Query(Pet, where, order, 20, 0, (edge, "b") if behind else None, 10_000)
    plan = _plan(tables, query)
    field = order.removeprefix("-")
    index = "sqlite_autoindex_pets_1" if field == "id" else f"ix_pets_tenant_id_{field}_id"
    # Of one value an index of its own has the order, too.
    assert f"USING INDEX {index} " in plan or (
        "USING INDEX ix_pets_tenant_id_size_id " in plan and field == "id"
    )
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        (OneOf("species", (Species.DOG, Species.CAT)), "species"),
        (Equal("size", "LARGE"), "size"),
        (Equal("good_with_kids", True), "good_with_kids"),
        (Equal("good_with_dogs", True), "good_with_dogs"),
        (Equal("medical_info.vaccinated", True), "vaccinated"),
        (Equal("medical_info.spayed_neutered", False), "spayed_neutered"),
        (Equal("medical_info.special_needs", True), "special_needs"),
        (Between("price", Decimal(1), Decimal(9)), "price"),
        (Between("age_months", 1), "age_months"),
    ],
    ids=str,
)
@pytest.mark.parametrize("order", ["id", "-price", "name"])
def test_a_few_pets_are_gathered_by_an_index(
    tables: Path, condition: Condition, index: str, order: str
) -> None:
    plan = _plan(tables, Query(Pet, (condition,), order, 20, matches=10))
    assert f"INDEX ix_pets_tenant_id_{index}_id (" in plan


@pytest.mark.parametrize(
    ("kind", "where", "index"),
    [
        (Order, (), "sqlite_autoindex_orders_1"),
        (Order, (Equal("status", OrderStatus.SHIPPED),), "ix_orders_tenant_id_status_id"),
        (Order, (Equal("user_id", "u"),), "ix_orders_tenant_id_user_id_id"),
        (Chat, (Equal("status", ChatStatus.WAITING),), "ix_chats_tenant_id_status_id"),
        (Chat, (Equal("customer_id", "u"),), "ix_chats_tenant_id_customer_id_id"),
        (Adoption, (Equal("status", AdoptionStatus.SUBMITTED),), "ix_adoptions_tenant_id_status_id"),
        (Adoption, (Equal("user_id", "u"),), "ix_adoptions_tenant_id_user_id_id"),
        (User, (), "sqlite_autoindex_users_1"),
        (Message, (Equal("chat_id", "c"),), "ix_messages_tenant_id_chat_id_id"),
    ],
)
@pytest.mark.parametrize("behind", [None, ("b", "b")])
def test_lists_come_in_the_order_of_an_index(
    tables: Path, kind: Any, where: tuple[Condition, ...], index: str, behind: tuple[object, str] | None
) -> None:
    query = Query(kind, where, "-id", 20, behind=behind, matches=10_000)
    plan = _plan(tables, query)
    assert f"USING INDEX {index} " in plan
    assert "TEMP B-TREE" not in plan


def _plan(tables: Path, query: Query[Any], *, of_all_tenants: bool = False) -> str:
    kind: Any = query.kind
    of = mapping_of(kind)
    rows = of.everywhere if of_all_tenants else of.everywhere.where(of.table.c.tenant_id == "a")
    wanted = selected(rows, of.table, query, "sqlite")
    literal = {"literal_binds": True}
    text = str(wanted.compile(dialect=sqlite.dialect(), compile_kwargs=literal))
    with closing(sqlite3.connect(tables)) as connection:
        return " / ".join(str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {text}"))
