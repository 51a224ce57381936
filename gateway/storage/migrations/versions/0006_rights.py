"""Events that tell of an adopter are marked personal: no grant of their topic shows them, in replays either.

And STAFF are found without looking at all other users, unread messages without looking at those that were read.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "UPDATE events SET audience = CASE WHEN audience = '' THEN '!' ELSE '!,' || audience END"
        " WHERE event_type = 'pet.adopted'"
    )
    op.create_index("ix_users_tenant_id_roles_id", "users", ["tenant_id", "roles", "id"])
    unread = sa.text("read_at IS NULL")
    op.create_index(
        "ix_messages_unread",
        "messages",
        ["tenant_id", "chat_id", "id"],
        sqlite_where=unread,
        postgresql_where=unread,
    )
