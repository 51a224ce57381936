"""Events that tell of an adopter are marked personal: no grant of their topic shows them, in replays either."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "UPDATE events SET audience = CASE WHEN audience = '' THEN '!' ELSE '!,' || audience END"
        " WHERE event_type = 'pet.adopted'"
    )
