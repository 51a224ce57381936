"""Every kind of event, in one place for doors, documents and authorization."""

from core.kernel.events import EventKind
from core.models import adoptions, chats, inventory, orders, payments, pets, readings, webhooks

#: Every kind of event by its type.
EVENTS: dict[str, EventKind] = {
    kind.event_type: kind
    for kind in (
        *pets.EVENTS,
        *readings.EVENTS,
        *orders.EVENTS,
        *payments.EVENTS,
        *inventory.EVENTS,
        *adoptions.EVENTS,
        *chats.EVENTS,
        *webhooks.EVENTS,
    )
}
