"""How many pets of each species have each status is kept beside them, so that nothing is counted."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    series = sa.table("series", sa.column("tenant_id"), sa.column("name"), sa.column("value"))
    pets = sa.table("pets", *(sa.column(name, sa.Text) for name in ("tenant_id", "species", "status")))
    op.execute(
        series.insert().from_select(
            ["tenant_id", "name", "value"],
            sa.select(
                pets.c.tenant_id, sa.literal("stock/") + pets.c.species + "/" + pets.c.status, sa.func.count()
            ).group_by(pets.c.tenant_id, pets.c.species, pets.c.status),
        )
    )
