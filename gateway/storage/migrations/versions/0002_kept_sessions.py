"""Sessions of live clients that outlast their connections."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NESTED = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "kept_sessions",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("cursor", TEXT, nullable=True),
        sa.Column("state", NESTED, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_kept_sessions"),
    )
    op.create_index("ix_kept_sessions_tenant_id_owner", "kept_sessions", ["tenant_id", "owner"])
    op.create_index("ix_kept_sessions_expires_at", "kept_sessions", ["expires_at"])
