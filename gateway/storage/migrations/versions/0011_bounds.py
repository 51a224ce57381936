"""Tenants that nobody uses can be found and removed, and what each holds is counted."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_SHARED_TENANT = "00000000-0000-0000-0000-000000000000"


def upgrade() -> None:
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    activity = op.create_table(
        "activity",
        sa.Column("tenant_id", text, primary_key=True),
        sa.Column("id", text, primary_key=True),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("idle_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sweeping", sa.Boolean(), nullable=False),
    )
    for column in ("touched_at", "idle_since"):
        op.create_index(f"ix_activity_{column}", "activity", [column])
    op.create_index("ix_orders_status_updated_at", "orders", ["status", "updated_at"])
    op.add_column("meta", sa.Column("forgotten_head", sa.BigInteger(), nullable=False, server_default="0"))
    # Each tenant that there is was used just now, for nobody knows better.
    now = datetime.now(UTC)
    if op.get_bind().dialect.name == "sqlite":
        now = now.replace(tzinfo=None)
    tenants, users, series = (
        sa.table("tenants", sa.column("tenant_id")),
        sa.table("users", sa.column("tenant_id")),
        sa.table("series", sa.column("tenant_id"), sa.column("name"), sa.column("value")),
    )
    known = sa.union(sa.select(tenants.c.tenant_id), sa.select(users.c.tenant_id)).subquery()
    op.execute(
        activity.insert().from_select(
            ["tenant_id", "id", "touched_at", "sweeping"],
            sa.select(
                known.c.tenant_id, known.c.tenant_id, sa.literal(now, sa.DateTime(timezone=True)), sa.false()
            ).where(known.c.tenant_id != _SHARED_TENANT),
        )
    )
    images = sa.table("images", sa.column("tenant_id"), sa.column("size"))
    op.execute(
        series.insert().from_select(
            ["tenant_id", "name", "value"],
            sa.select(
                images.c.tenant_id,
                sa.literal("image bytes"),
                sa.cast(sa.func.sum(images.c.size), sa.BigInteger),
            ).group_by(images.c.tenant_id),
        )
    )
    for name in ("pets", "orders", "users", "chats", "devices", "api_keys"):
        records = sa.table(name, sa.column("tenant_id"))
        series_name = f"{name.replace('api_keys', 'API keys')} kept"
        op.execute(
            series.insert().from_select(
                ["tenant_id", "name", "value"],
                sa.select(records.c.tenant_id, sa.literal(series_name), sa.func.count())
                .where(records.c.tenant_id != _SHARED_TENANT)
                .group_by(records.c.tenant_id),
            )
        )
