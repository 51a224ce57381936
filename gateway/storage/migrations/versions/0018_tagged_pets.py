"""Pets that have tags are searched without looking at all others."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    tagged = sa.text("tag_names IS NOT NULL")
    op.create_index(
        "ix_pets_tagged", "pets", ["tenant_id", "id"], sqlite_where=tagged, postgresql_where=tagged
    )
