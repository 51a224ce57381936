"""Devices without a browser wait for their users (RFC 8628)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NESTED = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "device_codes",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("user_code_hash", TEXT, nullable=False),
        sa.Column("client_id", TEXT, nullable=False),
        sa.Column("scopes", NESTED, nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("grant_id", TEXT, nullable=True),
        sa.Column("interval_seconds", sa.BigInteger(), nullable=False),
        sa.Column("polled_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("redeemable_until", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_device_codes"),
        sa.UniqueConstraint("user_code_hash", name="uq_device_codes_user_code_hash"),
    )
    op.create_index("ix_device_codes_tenant_id_client_id", "device_codes", ["tenant_id", "client_id"])
    op.create_index("ix_device_codes_expires_at", "device_codes", ["expires_at"])
