"""Payments that were interrupted are found without looking at all others."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_payments_status_updated_at", "payments", ["status", "updated_at"])
