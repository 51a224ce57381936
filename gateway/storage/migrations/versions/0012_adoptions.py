"""Applications for pets, and what receipts say of a refund and of where they are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NESTED = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "adoptions",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("pet_id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("applicant", NESTED, nullable=False),
        sa.Column("household_type", TEXT, nullable=False),
        sa.Column("has_yard", sa.Boolean(), nullable=False),
        sa.Column("message", TEXT, nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_adoptions"),
        sa.UniqueConstraint("tenant_id", "number", name="uq_adoptions_tenant_id_number"),
    )
    for columns in (
        ("pet_id", "id"),
        ("pet_id", "status"),
        ("user_id", "id"),
        ("user_id", "status"),
        ("status", "id"),
    ):
        name = "_".join(("ix_adoptions_tenant_id", *columns))
        op.create_index(name, "adoptions", ["tenant_id", *columns])
    op.add_column("receipts", sa.Column("refunded_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("receipts", sa.Column("url", TEXT, nullable=True))
