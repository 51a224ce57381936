"""What searches ask for has an index each, and so has each order of their results."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_WITHIN = ("vaccinated", "spayed_neutered", "special_needs")
_SEARCHED = ("species", "size", "good_with_kids", "good_with_dogs", *_WITHIN, "age_months", "price", "name")


def upgrade() -> None:
    for name in _WITHIN:
        op.add_column("pets", sa.Column(name, sa.Boolean(), nullable=True))
    nested = sa.JSON().with_variant(sa.dialects.postgresql.JSONB(), "postgresql")
    pets = sa.table(
        "pets", sa.column("medical_info", nested), *(sa.column(name, sa.Boolean()) for name in _WITHIN)
    )
    op.execute(
        pets.update()
        .where(pets.c.medical_info.is_not(None))
        .values({name: pets.c.medical_info[name].as_boolean() for name in _WITHIN})
    )
    for name in _SEARCHED:
        op.create_index(f"ix_pets_tenant_id_{name}_id", "pets", ["tenant_id", name, "id"])
    op.drop_index("ix_pets_tenant_id_species_status", "pets")
    op.create_index("ix_chats_tenant_id_status_id", "chats", ["tenant_id", "status", "id"])
