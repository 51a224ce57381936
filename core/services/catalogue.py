"""All operations of the store, in one place for doors and documents."""

from core.services import (
    adoptions,
    api_keys,
    auth,
    chats,
    devices,
    images,
    inventory,
    messages,
    orders,
    payments,
    pets,
    readings,
    tenant,
    users,
)
from core.services.classic import orders as classic_orders
from core.services.classic import pets as classic_pets
from core.services.classic import users as classic_users
from core.services.oauth import clients as oauth_clients
from core.services.oauth import grants as oauth_grants
from core.services.webhooks import callbacks as order_callbacks
from core.services.webhooks import deliveries as webhook_deliveries
from core.services.webhooks import management as webhooks
from core.store.operation import AnyOperation

#: Every operation; names are unique.
OPERATIONS: tuple[AnyOperation, ...] = (
    *pets.OPERATIONS,
    *images.OPERATIONS,
    *inventory.OPERATIONS,
    *orders.OPERATIONS,
    *payments.OPERATIONS,
    *adoptions.OPERATIONS,
    *users.OPERATIONS,
    *auth.OPERATIONS,
    *api_keys.OPERATIONS,
    *oauth_clients.OPERATIONS,
    *oauth_grants.OPERATIONS,
    *devices.OPERATIONS,
    *chats.OPERATIONS,
    *messages.OPERATIONS,
    *readings.OPERATIONS,
    *webhooks.OPERATIONS,
    *webhook_deliveries.OPERATIONS,
    *order_callbacks.OPERATIONS,
    *tenant.OPERATIONS,
    *classic_pets.OPERATIONS,
    *classic_orders.OPERATIONS,
    *classic_users.OPERATIONS,
)
