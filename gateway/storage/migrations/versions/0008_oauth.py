"""OAuth clients, what users allowed them, authorization codes, and the logins that came of them."""

import sqlalchemy as sa
from alembic import op

from gateway.storage.columns import NESTED, UtcTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    with op.batch_alter_table("sessions") as sessions:
        sessions.add_column(sa.Column("client_id", TEXT, nullable=True))
        sessions.add_column(sa.Column("grant_id", TEXT, nullable=True))
        sessions.add_column(sa.Column("scopes", NESTED, nullable=True))
    op.create_index("ix_sessions_tenant_id_grant_id", "sessions", ["tenant_id", "grant_id"])
    op.create_table(
        "oauth_clients",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("redirect_uris", NESTED, nullable=False),
        sa.Column("grant_types", NESTED, nullable=False),
        sa.Column("scopes", NESTED, nullable=False),
        sa.Column("secret_hash", TEXT, nullable=True),
        sa.Column("dynamic", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_oauth_clients"),
        sa.UniqueConstraint("id", name="uq_oauth_clients_id"),
    )
    op.create_table(
        "oauth_grants",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("client_id", TEXT, nullable=False),
        sa.Column("client_name", TEXT, nullable=False),
        sa.Column("scopes", NESTED, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("updated_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_oauth_grants"),
        sa.UniqueConstraint(
            "tenant_id", "user_id", "client_id", name="uq_oauth_grants_tenant_id_user_id_client_id"
        ),
    )
    op.create_index(
        "ix_oauth_grants_tenant_id_client_id_id", "oauth_grants", ["tenant_id", "client_id", "id"]
    )
    op.create_table(
        "authorization_codes",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("client_id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("grant_id", TEXT, nullable=False),
        sa.Column("redirect_uri", TEXT, nullable=True),
        sa.Column("scopes", NESTED, nullable=False),
        sa.Column("code_challenge", TEXT, nullable=False),
        sa.Column("session_id", TEXT, nullable=True),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("redeemable_until", UtcTime, nullable=False),
        sa.Column("expires_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_authorization_codes"),
    )
    op.create_index(
        "ix_authorization_codes_tenant_id_grant_id", "authorization_codes", ["tenant_id", "grant_id"]
    )
    op.create_index("ix_authorization_codes_expires_at", "authorization_codes", ["expires_at"])
