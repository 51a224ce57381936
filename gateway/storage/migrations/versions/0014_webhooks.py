"""Webhooks, what is kept with them, and their deliveries."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NESTED = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    _create(
        "webhooks",
        _text("url"),
        _nested("events"),
        _text("description", null=True),
        _text("status"),
        _time("created_at"),
        _time("updated_at"),
    )
    _create(
        "webhook_states",
        _nested("maker"),
        _text("secret"),
        _text("previous_secret", null=True),
        _time("previous_until", null=True),
        _number("since"),
        _number("pending"),
        _time("due_at", null=True),
        _time("failing_since", null=True),
    )
    op.create_index("ix_webhook_states_due_at", "webhook_states", ["due_at"])
    _create("webhook_revisions", _text("revision"))
    _create(
        "webhook_deliveries",
        _text("webhook_id"),
        _text("event_id"),
        _text("event_type"),
        _text("topic"),
        _nested("aliases"),
        _text("audience"),
        _text("lane"),
        _number("sequence"),
        _text("body"),
        _text("status"),
        _number("tries"),
        _nested("attempts"),
        _time("next_attempt_at", null=True),
        _time("created_at"),
        _time("updated_at"),
        _time("expires_at", null=True),
    )
    for name, columns in {
        "tenant_id_webhook_id_id": ["tenant_id", "webhook_id", "id"],
        "due": ["tenant_id", "webhook_id", "status", "next_attempt_at"],
        "lane": ["tenant_id", "webhook_id", "status", "lane", "sequence"],
        "expires_at": ["expires_at"],
    }.items():
        op.create_index(f"ix_webhook_deliveries_{name}", "webhook_deliveries", columns)


def _create(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        name,
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("tenant_id", "id", name=f"pk_{name}"),
    )


def _text(name: str, *, null: bool = False) -> sa.Column[object]:
    return sa.Column(name, TEXT, nullable=null)


def _nested(name: str) -> sa.Column[object]:
    return sa.Column(name, NESTED, nullable=False)


def _number(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _time(name: str, *, null: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)
