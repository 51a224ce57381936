"""What the maker of a webhook could see is kept beside it, to list it to those who see as much."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NESTED = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("webhook_states", sa.Column("reach", TEXT, nullable=False, server_default=""))
    states = sa.table("webhook_states", sa.column("maker", NESTED), sa.column("reach", sa.Text))
    key, client = (states.c.maker[name].as_string() for name in ("key", "client_id"))
    scopes = sa.cast(states.c.maker["scopes"].as_string(), sa.Text)
    orders, chats = scopes.contains("read:orders"), scopes.contains("chat:agent")
    hooks = scopes.contains("write:webhooks")
    granted = (
        sa.case((chats, "chats/# "), else_="")
        + sa.case((orders, "orders/# payments/# "), else_="")
        + sa.case((hooks, "webhooks/#"), else_="")
    )
    op.execute(
        states.update().values(
            reach=sa.case(
                (key == "callback", "callback"),
                (sa.and_(orders, chats, client.is_(None), key.not_like("key:%")), "*"),
                else_=sa.func.rtrim(granted),
            )
        )
    )
    op.create_index("ix_webhook_states_tenant_id_reach_id", "webhook_states", ["tenant_id", "reach", "id"])
