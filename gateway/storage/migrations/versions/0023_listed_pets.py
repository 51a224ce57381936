"""How many pets there are of what lists may ask for is kept beside them."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    series = sa.table("series", sa.column("tenant_id"), sa.column("name"), sa.column("value"))
    texts = (sa.column(name, sa.Text) for name in ("tenant_id", "species", "status", "size"))
    pets = sa.table("pets", *texts, sa.column("good_with_kids", sa.Boolean))
    kids = sa.case(
        (pets.c.good_with_kids.is_(sa.true()), "yes"),
        (pets.c.good_with_kids.is_(sa.false()), "no"),
        else_="-",
    )
    name = (
        sa.literal("listed/")
        + pets.c.species
        + "/"
        + pets.c.status
        + "/"
        + sa.func.coalesce(pets.c.size, "-")
    )
    # As a member of its own, so that both databases see what is grouped by.
    named = sa.select(pets.c.tenant_id, (name + "/" + kids).label("name")).subquery()
    op.execute(
        series.insert().from_select(
            ["tenant_id", "name", "value"],
            sa.select(named.c.tenant_id, named.c.name, sa.func.count()).group_by(
                named.c.tenant_id, named.c.name
            ),
        )
    )
