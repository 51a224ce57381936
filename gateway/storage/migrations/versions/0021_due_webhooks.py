"""Webhooks that are due are found without looking at those that fail."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_webhook_states_due_at", "webhook_states")
    for name, condition in (("due", "failing_since IS NULL"), ("failing", "failing_since IS NOT NULL")):
        where = sa.text(condition)
        op.create_index(
            f"ix_webhook_states_{name}",
            "webhook_states",
            ["due_at", "id"],
            sqlite_where=where,
            postgresql_where=where,
        )
