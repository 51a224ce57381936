"""All operations of the store, in one place for doors and documents."""

from core.services import (
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
from core.store.operation import AnyOperation

#: Every operation; names are unique.
OPERATIONS: tuple[AnyOperation, ...] = (
    *pets.OPERATIONS,
    *images.OPERATIONS,
    *inventory.OPERATIONS,
    *orders.OPERATIONS,
    *payments.OPERATIONS,
    *users.OPERATIONS,
    *auth.OPERATIONS,
    *api_keys.OPERATIONS,
    *devices.OPERATIONS,
    *chats.OPERATIONS,
    *messages.OPERATIONS,
    *readings.OPERATIONS,
    *tenant.OPERATIONS,
)
