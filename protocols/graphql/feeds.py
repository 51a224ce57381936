"""What subscription fields follow, and how an event of it becomes the field's value."""

from collections.abc import Callable
from typing import Any, NamedTuple

from core.kernel import events
from core.kernel.errors import BadRequest
from core.models.chats import MessageEvent
from core.models.orders import OrderEvent
from core.models.pets import PetStatusEvent


class Feed(NamedTuple):
    """What a subscription field follows: its topic filters, and how an event of them becomes the field's value.

    ``value`` gives None for an event that the field does not show.
    """

    topics: tuple[str, ...]
    value: Callable[[events.Event], Any]


def _whole(event: events.Event) -> Any:
    return event


def _pet_status(event: events.Event) -> Any:
    return (
        PetStatusEvent.model_validate_json(event.data) if event.event_type == "pet.status_changed" else None
    )


def _order_status(event: events.Event) -> Any:
    if event.event_type not in ("order.created", "order.status_changed"):
        return None
    return OrderEvent.model_validate_json(event.data)


def _message(event: events.Event) -> Any:
    return (
        MessageEvent.model_validate_json(event.data).message if event.event_type == "chat.message" else None
    )


def _one(name: str, subject: object) -> str:
    """The part of a topic filter that names a resource; a wildcard when none is named."""
    text = "+" if subject is None else str(subject)
    if subject is not None and any(mark in text for mark in "+#/"):
        raise BadRequest(f"{name}: is no id")
    return text.lower()


#: What each subscription field follows, by its arguments.
FEEDS: dict[str, Callable[[dict[str, Any]], Feed]] = {
    "events": lambda given: Feed(tuple(given["topics"]), _whole),
    "petStatusChanged": lambda given: Feed(
        (f"pets/{_one('petId', given.get('petId'))}/status",), _pet_status
    ),
    "orderStatusChanged": lambda given: Feed(
        (f"orders/{_one('orderId', given.get('orderId'))}/status",), _order_status
    ),
    "chatMessages": lambda given: Feed((f"chats/{_one('chatId', given['chatId'])}",), _message),
}
