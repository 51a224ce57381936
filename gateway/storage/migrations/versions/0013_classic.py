"""What classic clients give is kept; an order of theirs may be for a pet that is not there."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NESTED = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("pets", sa.Column("labels", NESTED, nullable=True))
    op.add_column("pets", sa.Column("tag_names", TEXT, nullable=True))
    op.add_column("pets", sa.Column("tag_names_folded", TEXT, nullable=True))
    op.add_column("users", sa.Column("classic", NESTED, nullable=True))
    with op.batch_alter_table("orders") as orders:
        orders.add_column(sa.Column("classic", NESTED, nullable=True))
        orders.alter_column("pet_id", existing_type=TEXT, nullable=True)
