"""What is looked for by a field is found by an index: a tenant may hold any number of the others."""

import pytest
from pydantic import BaseModel
from sqlalchemy import create_engine, delete, text
from sqlalchemy.dialects import sqlite

from core.models.api_keys import ApiKey
from core.models.auth import LoginSession
from core.models.oauth import AuthorizationCode, DeviceCode, OAuthGrant
from core.models.users import ExternalIdentity
from core.ports.records import OneOf
from gateway.storage.conditions import matching
from gateway.storage.tables import METADATA, RECORDS
from tests.gateway.storage.records import a_tenant


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (ApiKey, "owner_id"),
        (AuthorizationCode, "grant_id"),
        (DeviceCode, "client_id"),
        (DeviceCode, "grant_id"),
        (ExternalIdentity, "owner_id"),
        (LoginSession, "grant_id"),
        (LoginSession, "owner_id"),
        (OAuthGrant, "client_id"),
        (OAuthGrant, "user_id"),
    ],
)
def test_what_ends_with_an_account_is_found_by_an_index(kind: type[BaseModel], field: str) -> None:
    table = RECORDS[kind]
    chosen = (table.c.tenant_id == a_tenant()) & matching(table, (OneOf(field, ("one", "two")),))
    statement = delete(table).where(chosen).compile(
        dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}
    )  # fmt: skip
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        METADATA.create_all(connection)
        plan = [row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {statement}"))]
    engine.dispose()
    assert any(f"tenant_id=? AND {field}=?" in step for step in plan), plan
