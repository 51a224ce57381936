"""All operations and events of the store, in one place for doors and documents."""

from core.kernel.events import EventKind
from core.models import chats as chat_events
from core.models import inventory as inventory_events
from core.models import orders as order_events
from core.models import payments as payment_events
from core.models import pets as pet_events
from core.models import readings as reading_events
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

#: Every kind of event by its type.
EVENTS: dict[str, EventKind] = {
    kind.event_type: kind
    for kind in (
        *pet_events.EVENTS,
        *reading_events.EVENTS,
        *order_events.EVENTS,
        *payment_events.EVENTS,
        *inventory_events.EVENTS,
        *chat_events.EVENTS,
    )
}
