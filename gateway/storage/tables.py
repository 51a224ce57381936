"""The tables, and which record lies in which.

Every record's table has the record's fields as columns and (tenant_id, id) as its key. A column ``<field>_folded``
holds a text field without its case, to be searched without regard to it: SQLite and PostgreSQL differ in what they
take for the lower case of a letter, so it is folded before it gets there.
"""

from collections.abc import Mapping

from pydantic import BaseModel
from sqlalchemy import BigInteger, Boolean, Column, Index, MetaData, Table, UniqueConstraint, text
from sqlalchemy.schema import SchemaItem

from core.models.activity import TenantActivity
from core.models.adoptions import Adoption
from core.models.api_keys import ApiKey
from core.models.auth import LoginSession
from core.models.callbacks import OrderCallback
from core.models.chats import Chat, ChatQuestion, Message
from core.models.devices import Device
from core.models.durable_sessions import DurableSession
from core.models.idempotency import IdempotencyRecord
from core.models.images import Image
from core.models.oauth import AuthorizationCode, DeviceCode, OAuthClient, OAuthGrant
from core.models.orders import Order
from core.models.payments import Payment, Receipt
from core.models.pets import Pet, Reservation
from core.models.users import ExternalIdentity, Login, User
from core.models.webhooks import DeliveryRecord, Webhook, WebhookRevision, WebhookState
from gateway.storage.columns import NESTED, TEXT, Cents, UtcTime

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _record(name: str, *items: SchemaItem) -> Table:
    return Table(
        name,
        METADATA,
        Column("tenant_id", TEXT, primary_key=True),
        Column("id", TEXT, primary_key=True),
        *items,
    )


def _text(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, TEXT, nullable=null)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _flag(name: str, *, null: bool = False) -> Column[bool]:
    return Column(name, Boolean, nullable=null)


def _time(name: str, *, null: bool = False) -> Column[object]:
    return Column(name, UtcTime, nullable=null)


def _money(name: str) -> Column[object]:
    return Column(name, Cents, nullable=False)


def _nested(name: str, *, null: bool = False) -> Column[object]:
    return Column(name, NESTED, nullable=null)


def _folded(name: str, *, null: bool = False) -> Column[str]:
    return Column(f"{name}_folded", TEXT, nullable=null, info={"folds": name})


def _within(nested: str, name: str) -> Column[bool]:
    """A yes or no inside a nested value, beside it, so that it can be found by an index."""
    return Column(name, Boolean, nullable=True, info={"within": nested})


def _unique(field: str, *columns: str) -> UniqueConstraint:
    return UniqueConstraint(*columns, info={"field": field})


pets = _record(
    "pets",
    _number("number"),
    _text("owner_id", null=True),
    _text("name"),
    _folded("name"),
    _text("species"),
    _text("breed", null=True),
    _folded("breed", null=True),
    Column("age_months", BigInteger, nullable=False),
    _text("size", null=True),
    _text("color", null=True),
    _folded("color", null=True),
    _text("gender"),
    _flag("good_with_kids", null=True),
    _flag("good_with_dogs", null=True),
    _money("price"),
    _text("currency"),
    _text("description", null=True),
    _folded("description", null=True),
    _text("status"),
    _nested("photos"),
    _nested("medical_info", null=True),
    *(_within("medical_info", name) for name in ("vaccinated", "spayed_neutered", "special_needs")),
    _nested("labels", null=True),
    _text("tag_names", null=True),
    _folded("tag_names", null=True),
    _time("created_at"),
    _time("updated_at"),
    _unique("number", "tenant_id", "number"),
    # What searches ask for has an index each, and so has each order. Those of a single value come in the order of ids.
    *(
        Index(None, "tenant_id", name, "id")
        for name in (
            "status", "species", "size", "good_with_kids", "good_with_dogs", "vaccinated", "spayed_neutered",
            "special_needs", "age_months", "price", "name",
        )
    ),
    # Those with tags are searched without looking at all others.
    Index(
        "ix_pets_tagged", "tenant_id", "id",
        sqlite_where=text("tag_names IS NOT NULL"), postgresql_where=text("tag_names IS NOT NULL"),
    ),
)  # fmt: skip
reservations = _record("reservations", _text("order_id"), Index(None, "tenant_id", "order_id"))
images = _record(
    "images",
    _text("pet_id"),
    _text("url"),
    _text("media_type"),
    _number("size"),
    _text("additional_metadata", null=True),
    _time("created_at"),
    Index(None, "tenant_id", "pet_id", "id"),
)
orders = _record(
    "orders",
    _number("number"),
    _text("pet_id", null=True),
    _nested("items"),
    _text("user_id", null=True),
    _text("status"),
    _money("total_amount"),
    _text("currency"),
    _nested("classic", null=True),
    _time("created_at"),
    _time("updated_at"),
    _unique("number", "tenant_id", "number"),
    Index(None, "tenant_id", "user_id", "id"),
    Index(None, "tenant_id", "status", "id"),
    # Those that are not paid are found in all tenants; classic clients never pay.
    Index(
        "ix_orders_unpaid", "status", "created_at",
        sqlite_where=text("classic IS NULL"), postgresql_where=text("classic IS NULL"),
    ),
    # So are those that were cancelled long ago.
    Index(None, "status", "updated_at"),
)  # fmt: skip
payments = _record(
    "payments",
    _text("order_id"),
    _money("amount"),
    _text("currency"),
    _text("status"),
    _text("failure_reason", null=True),
    _nested("source"),
    _text("receipt_id", null=True),
    _time("created_at"),
    _time("updated_at"),
    Index(None, "tenant_id", "order_id", "id"),
    Index(None, "status", "updated_at"),
)
receipts = _record(
    "receipts",
    _number("number"),
    _text("order_id"),
    _text("payment_id"),
    _text("user_id", null=True),
    _nested("items"),
    _money("amount"),
    _text("currency"),
    _nested("source"),
    _time("issued_at"),
    _time("refunded_at", null=True),
    _text("url", null=True),
    _unique("number", "tenant_id", "number"),
    Index(None, "tenant_id", "order_id"),
)
adoptions = _record(
    "adoptions",
    _number("number"),
    _text("pet_id"),
    _text("user_id"),
    _nested("applicant"),
    _text("household_type"),
    _flag("has_yard"),
    _text("message", null=True),
    _text("status"),
    _time("created_at"),
    _time("updated_at"),
    _unique("number", "tenant_id", "number"),
    # Lists come in the order of ids; those that are open are counted and ended by pet and by applicant.
    Index(None, "tenant_id", "pet_id", "id"),
    Index(None, "tenant_id", "pet_id", "status"),
    Index(None, "tenant_id", "user_id", "id"),
    Index(None, "tenant_id", "user_id", "status"),
    Index(None, "tenant_id", "status", "id"),
)
users = _record(
    "users",
    _text("username"),
    _text("email"),
    _text("first_name"),
    _text("last_name"),
    _text("phone", null=True),
    _nested("preferences"),
    _nested("roles"),
    _nested("classic", null=True),
    _time("created_at"),
    _time("updated_at"),
    # The last STAFF of a tenant stays.
    Index("ix_users_tenant_id_roles_id", "tenant_id", "roles", "id"),
)
logins = _record(
    "logins",
    _text("kind"),
    _text("username_key"),
    _text("email_key", null=True),
    _text("password_hash"),
    _unique("username_key", "tenant_id", "username_key"),
    _unique("email_key", "tenant_id", "email_key"),
)
sessions = _record(
    "sessions",
    _text("owner_id"),
    _number("generation"),
    _text("client_id", null=True),
    _text("grant_id", null=True),
    _nested("scopes", null=True),
    _time("created_at"),
    _time("expires_at"),
    Index(None, "tenant_id", "owner_id"),
    Index(None, "tenant_id", "grant_id"),
    Index(None, "expires_at"),
)
identities = _record(
    "identities",
    _text("owner_id"),
    _text("issuer"),
    _text("subject"),
    _time("created_at"),
    Index(None, "tenant_id", "owner_id"),
)
api_keys = _record(
    "api_keys",
    _text("name"),
    _text("owner_id"),
    _nested("scopes"),
    _text("key_hash"),
    _time("created_at"),
    _time("expires_at", null=True),
    _unique("key_hash", "key_hash"),
    Index(None, "tenant_id", "owner_id"),
)
devices = _record(
    "devices",
    _text("name"),
    _text("username"),
    _nested("pet_ids"),
    _nested("order_ids"),
    _nested("topics"),
    _time("created_at"),
    _time("updated_at"),
    _unique("username", "username"),
)
oauth_clients = _record(
    "oauth_clients",
    _text("name"),
    _nested("redirect_uris"),
    _nested("grant_types"),
    _nested("scopes"),
    _text("secret_hash", null=True),
    _flag("dynamic"),
    _time("created_at"),
    _unique("id", "id"),
)
oauth_grants = _record(
    "oauth_grants",
    _text("user_id"),
    _text("client_id"),
    _text("client_name"),
    _nested("scopes"),
    _time("created_at"),
    _time("updated_at"),
    _unique("client_id", "tenant_id", "user_id", "client_id"),
    Index(None, "tenant_id", "client_id", "id"),
)
authorization_codes = _record(
    "authorization_codes",
    _text("client_id"),
    _text("user_id"),
    _text("grant_id"),
    _text("redirect_uri", null=True),
    _nested("scopes"),
    _text("code_challenge"),
    _text("session_id", null=True),
    _time("created_at"),
    _time("redeemable_until"),
    _time("expires_at"),
    Index(None, "tenant_id", "grant_id"),
    Index(None, "expires_at"),
)
device_codes = _record(
    "device_codes",
    _text("user_code_hash"),
    _text("client_id"),
    _nested("scopes"),
    _text("address"),
    _text("status"),
    _text("grant_id", null=True),
    _number("interval_seconds"),
    _time("polled_at", null=True),
    _time("created_at"),
    _time("redeemable_until"),
    _time("expires_at"),
    _unique("user_code_hash", "user_code_hash"),
    Index(None, "tenant_id", "client_id"),
    Index(None, "tenant_id", "grant_id"),
    Index(None, "expires_at"),
)
chats = _record(
    "chats",
    _text("subject", null=True),
    _text("customer_id"),
    _text("agent_id", null=True),
    _text("status"),
    _time("created_at"),
    _time("updated_at"),
    Index(None, "tenant_id", "customer_id", "id"),
    Index(None, "tenant_id", "status", "id"),
    Index(None, "tenant_id", "status", "agent_id"),
)
messages = _record(
    "messages",
    _text("chat_id"),
    _text("sender_id", null=True),
    _text("sender_role"),
    _text("text"),
    _text("client_message_id", null=True),
    _time("sent_at"),
    _time("delivered_at", null=True),
    _time("read_at", null=True),
    _unique("client_message_id", "tenant_id", "chat_id", "sender_id", "client_message_id"),
    Index(None, "tenant_id", "chat_id", "id"),
    # What is unread is found without looking at all that was read before.
    Index(
        "ix_messages_unread", "tenant_id", "chat_id", "id",
        sqlite_where=text("read_at IS NULL"), postgresql_where=text("read_at IS NULL"),
    ),
)  # fmt: skip
chat_questions = _record(
    "chat_questions",
    _text("customer_id"),
    _text("message_id"),
    _nested("asker"),
    _number("tries"),
    _time("due_at"),
    _time("expires_at"),
    Index(None, "tenant_id", "customer_id"),
    # What is due is found in all tenants.
    Index(None, "due_at"),
    Index(None, "expires_at"),
)
idempotency = _record(
    "idempotency",
    _text("fingerprint"),
    _text("response", null=True),
    _time("expires_at"),
    Index(None, "expires_at"),
)

kept_sessions = _record(
    "kept_sessions",
    _text("owner"),
    _text("holder"),
    _time("idle_since", null=True),
    _text("cursor", null=True),
    _nested("state"),
    _time("expires_at"),
    Index(None, "tenant_id", "owner"),
    Index(None, "expires_at"),
)

activity = _record(
    "activity",
    _time("touched_at"),
    _time("idle_since", null=True),
    _flag("sweeping"),
    Index(None, "touched_at"),
    Index(None, "idle_since"),
)

webhooks = _record(
    "webhooks",
    _text("url"),
    _nested("events"),
    _text("description", null=True),
    _text("status"),
    _time("created_at"),
    _time("updated_at"),
)
webhook_states = _record(
    "webhook_states",
    _nested("maker"),
    _text("reach"),
    _text("secret"),
    _text("previous_secret", null=True),
    _time("previous_until", null=True),
    _number("since"),
    _number("pending"),
    _time("due_at", null=True),
    _time("failing_since", null=True),
    # What is due is found in all tenants, past any number of those that fail, and these past the others.
    Index(None, "tenant_id", "reach", "id"),
    Index(
        "ix_webhook_states_due",
        "due_at",
        "id",
        sqlite_where=text("failing_since IS NULL"),
        postgresql_where=text("failing_since IS NULL"),
    ),
    Index(
        "ix_webhook_states_failing",
        "due_at",
        "id",
        sqlite_where=text("failing_since IS NOT NULL"),
        postgresql_where=text("failing_since IS NOT NULL"),
    ),
)
webhook_revisions = _record("webhook_revisions", _text("revision"))
webhook_deliveries = _record(
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
    Index(None, "tenant_id", "webhook_id", "id"),
    Index("ix_webhook_deliveries_due", "tenant_id", "webhook_id", "status", "next_attempt_at"),
    Index("ix_webhook_deliveries_lane", "tenant_id", "webhook_id", "status", "lane", "sequence"),
    Index(None, "expires_at"),
)

order_callbacks = _record(
    "order_callbacks",
    _text("order_id"),
    _text("url"),
    _text("secret"),
    _number("since"),
    _flag("answered"),
    _time("expires_at"),
    Index(None, "tenant_id", "order_id"),
    Index(None, "expires_at"),
)

#: Where each kind of record lies.
RECORDS: Mapping[type[BaseModel], Table] = {
    Pet: pets,
    Reservation: reservations,
    Image: images,
    Order: orders,
    Payment: payments,
    Receipt: receipts,
    Adoption: adoptions,
    User: users,
    Login: logins,
    ExternalIdentity: identities,
    LoginSession: sessions,
    ApiKey: api_keys,
    OAuthClient: oauth_clients,
    OAuthGrant: oauth_grants,
    AuthorizationCode: authorization_codes,
    DeviceCode: device_codes,
    Device: devices,
    Chat: chats,
    Message: messages,
    ChatQuestion: chat_questions,
    IdempotencyRecord: idempotency,
    DurableSession: kept_sessions,
    TenantActivity: activity,
    Webhook: webhooks,
    WebhookState: webhook_states,
    WebhookRevision: webhook_revisions,
    DeliveryRecord: webhook_deliveries,
    OrderCallback: order_callbacks,
}
#: Kinds that are of no use after the time in a field.
EXPIRING: Mapping[type[BaseModel], str] = {
    IdempotencyRecord: "expires_at",
    DurableSession: "expires_at",
    LoginSession: "expires_at",
    AuthorizationCode: "expires_at",
    DeviceCode: "expires_at",
    DeliveryRecord: "expires_at",
    OrderCallback: "expires_at",
    ChatQuestion: "expires_at",
}

#: The event log. ``data`` is JSON as text, byte for byte as it was announced; ``audience`` is Audience.encode's.
events = Table(
    "events",
    METADATA,
    Column("tenant_id", TEXT, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    _text("id"),
    _text("event_type"),
    _text("topic"),
    _nested("aliases"),
    _text("audience"),
    _text("data"),
    _time("timestamp"),
    _text("request_id", null=True),
)
#: The bounds of each tenant's log; a tenant in which nothing has happened has no row.
tenants = Table(
    "tenants", METADATA, Column("tenant_id", TEXT, primary_key=True), _number("head"), _number("floor")
)
series = Table(
    "series",
    METADATA,
    Column("tenant_id", TEXT, primary_key=True),
    Column("name", TEXT, primary_key=True),
    _number("value"),
)
revocations = Table(
    "revocations",
    METADATA,
    Column("subject", TEXT, primary_key=True),
    _time("revoked_at"),
    _time("expires_at"),
    Index(None, "revoked_at"),
    Index(None, "expires_at"),
)
#: What one process does at a time; ``expires_at`` is in milliseconds of the database's clock.
leases = Table(
    "leases",
    METADATA,
    Column("name", TEXT, primary_key=True),
    _text("holder"),
    _number("fence"),
    _number("expires_at"),
)
#: Who reads every log and remembers how far; without a position in a log that is its beginning. Other consumers read
#: the logs in which they have a position.
consumers = Table("consumers", METADATA, Column("name", TEXT, primary_key=True))
positions = Table(
    "positions",
    METADATA,
    Column("consumer", TEXT, primary_key=True),
    Column("tenant_id", TEXT, primary_key=True),
    _number("sequence"),
)
#: One row: the epoch of the log, and the highest sequence of a log that was forgotten with its tenant.
meta = Table(
    "meta",
    METADATA,
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("forgotten_head", BigInteger, nullable=False, server_default="0"),
)
