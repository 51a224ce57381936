"""Durable sessions that no connection has, the oldest first, give way to new ones."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("kept_sessions", sa.Column("idle_since", sa.DateTime(timezone=True), nullable=True))
