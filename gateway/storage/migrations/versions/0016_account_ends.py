"""What ends with an account, or with its password, is found without looking at all that others have."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_api_keys_tenant_id_owner_id", "api_keys", ["tenant_id", "owner_id"])
    op.create_index("ix_device_codes_tenant_id_grant_id", "device_codes", ["tenant_id", "grant_id"])
