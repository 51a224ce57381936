"""Orders that may yet be paid are found without looking at those of classic clients, which never are."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_orders_status_created_at", "orders")
    payable = sa.text("classic IS NULL")
    op.create_index(
        "ix_orders_unpaid",
        "orders",
        ["status", "created_at"],
        sqlite_where=payable,
        postgresql_where=payable,
    )
