"""The tables of the first version, and the epoch of the log."""

import secrets

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NESTED = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "pets",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("owner_id", TEXT, nullable=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("name_folded", TEXT, nullable=False),
        sa.Column("species", TEXT, nullable=False),
        sa.Column("breed", TEXT, nullable=True),
        sa.Column("breed_folded", TEXT, nullable=True),
        sa.Column("age_months", sa.BigInteger(), nullable=False),
        sa.Column("size", TEXT, nullable=True),
        sa.Column("color", TEXT, nullable=True),
        sa.Column("color_folded", TEXT, nullable=True),
        sa.Column("gender", TEXT, nullable=False),
        sa.Column("good_with_kids", sa.Boolean(), nullable=True),
        sa.Column("good_with_dogs", sa.Boolean(), nullable=True),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("currency", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=True),
        sa.Column("description_folded", TEXT, nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("photos", NESTED, nullable=False),
        sa.Column("medical_info", NESTED, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_pets"),
        sa.UniqueConstraint("tenant_id", "number", name="uq_pets_tenant_id_number"),
    )
    op.create_index("ix_pets_tenant_id_species_status", "pets", ["tenant_id", "species", "status"])
    op.create_index("ix_pets_tenant_id_status_id", "pets", ["tenant_id", "status", "id"])
    op.create_table(
        "reservations",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("order_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_reservations"),
    )
    op.create_index("ix_reservations_tenant_id_order_id", "reservations", ["tenant_id", "order_id"])
    op.create_table(
        "images",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("pet_id", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("media_type", TEXT, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("additional_metadata", TEXT, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_images"),
    )
    op.create_index("ix_images_tenant_id_pet_id_id", "images", ["tenant_id", "pet_id", "id"])
    op.create_table(
        "orders",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("pet_id", TEXT, nullable=False),
        sa.Column("items", NESTED, nullable=False),
        sa.Column("user_id", TEXT, nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("total_amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", TEXT, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_orders"),
        sa.UniqueConstraint("tenant_id", "number", name="uq_orders_tenant_id_number"),
    )
    op.create_index("ix_orders_tenant_id_status_id", "orders", ["tenant_id", "status", "id"])
    op.create_index("ix_orders_tenant_id_user_id_id", "orders", ["tenant_id", "user_id", "id"])
    op.create_table(
        "payments",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("order_id", TEXT, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("failure_reason", TEXT, nullable=True),
        sa.Column("source", NESTED, nullable=False),
        sa.Column("receipt_id", TEXT, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_payments"),
    )
    op.create_index("ix_payments_tenant_id_order_id_id", "payments", ["tenant_id", "order_id", "id"])
    op.create_table(
        "receipts",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("order_id", TEXT, nullable=False),
        sa.Column("payment_id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=True),
        sa.Column("items", NESTED, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", TEXT, nullable=False),
        sa.Column("source", NESTED, nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_receipts"),
        sa.UniqueConstraint("tenant_id", "number", name="uq_receipts_tenant_id_number"),
    )
    op.create_index("ix_receipts_tenant_id_order_id", "receipts", ["tenant_id", "order_id"])
    op.create_table(
        "users",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("username", TEXT, nullable=False),
        sa.Column("email", TEXT, nullable=False),
        sa.Column("first_name", TEXT, nullable=False),
        sa.Column("last_name", TEXT, nullable=False),
        sa.Column("phone", TEXT, nullable=True),
        sa.Column("preferences", NESTED, nullable=False),
        sa.Column("roles", NESTED, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_users"),
    )
    op.create_table(
        "logins",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("username_key", TEXT, nullable=False),
        sa.Column("email_key", TEXT, nullable=True),
        sa.Column("password_hash", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_logins"),
        sa.UniqueConstraint("tenant_id", "email_key", name="uq_logins_tenant_id_email_key"),
        sa.UniqueConstraint("tenant_id", "username_key", name="uq_logins_tenant_id_username_key"),
    )
    op.create_table(
        "sessions",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("owner_id", TEXT, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_index("ix_sessions_tenant_id_owner_id", "sessions", ["tenant_id", "owner_id"])
    op.create_table(
        "api_keys",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("owner_id", TEXT, nullable=False),
        sa.Column("scopes", NESTED, nullable=False),
        sa.Column("key_hash", TEXT, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_api_keys"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
    )
    op.create_table(
        "devices",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("username", TEXT, nullable=False),
        sa.Column("pet_ids", NESTED, nullable=False),
        sa.Column("order_ids", NESTED, nullable=False),
        sa.Column("topics", NESTED, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_devices"),
        sa.UniqueConstraint("username", name="uq_devices_username"),
    )
    op.create_table(
        "chats",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=True),
        sa.Column("customer_id", TEXT, nullable=False),
        sa.Column("agent_id", TEXT, nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_chats"),
    )
    op.create_index("ix_chats_tenant_id_customer_id_id", "chats", ["tenant_id", "customer_id", "id"])
    op.create_index("ix_chats_tenant_id_status_agent_id", "chats", ["tenant_id", "status", "agent_id"])
    op.create_table(
        "messages",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("chat_id", TEXT, nullable=False),
        sa.Column("sender_id", TEXT, nullable=True),
        sa.Column("sender_role", TEXT, nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("client_message_id", TEXT, nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_messages"),
        sa.UniqueConstraint(
            "tenant_id",
            "chat_id",
            "sender_id",
            "client_message_id",
            name="uq_messages_tenant_id_chat_id_sender_id_client_message_id",
        ),
    )
    op.create_index("ix_messages_tenant_id_chat_id_id", "messages", ["tenant_id", "chat_id", "id"])
    op.create_table(
        "idempotency",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("fingerprint", TEXT, nullable=False),
        sa.Column("response", TEXT, nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_expires_at", "idempotency", ["expires_at"])
    op.create_table(
        "events",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("event_type", TEXT, nullable=False),
        sa.Column("topic", TEXT, nullable=False),
        sa.Column("aliases", NESTED, nullable=False),
        sa.Column("audience", TEXT, nullable=False),
        sa.Column("data", TEXT, nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "sequence", name="pk_events"),
    )
    op.create_table(
        "tenants",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_tenants"),
    )
    op.create_table(
        "series",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name="pk_series"),
    )
    op.create_table(
        "revocations",
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_revocations"),
    )
    op.create_index("ix_revocations_expires_at", "revocations", ["expires_at"])
    op.create_index("ix_revocations_revoked_at", "revocations", ["revoked_at"])
    op.create_table(
        "meta",
        sa.Column("epoch", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("epoch", name="pk_meta"),
    )
    # Cursors hold 32 bits of it, and 0 stands for no place in the log.
    epoch = secrets.randbelow(2**32 - 1) + 1
    op.execute(sa.table("meta", sa.column("epoch", sa.BigInteger())).insert().values(epoch=epoch))
