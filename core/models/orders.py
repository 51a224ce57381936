"""Orders: what is kept and shown, what clients send, and the events that orders cause."""

from typing import Annotated, Any, ClassVar

from pydantic import Field, GetJsonSchemaHandler, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from core.kernel.events import EventKind
from core.kernel.model import (
    Body,
    Choice,
    Currency,
    Identifier,
    Model,
    Money,
    Paged,
    Part,
    Resource,
    Timestamp,
)
from core.models.pet_search import CommaList


class OrderStatus(Choice):
    """The state of an order: PLACED → APPROVED (paid) → SHIPPED → DELIVERED, or CANCELLED."""

    PLACED = "PLACED"
    APPROVED = "APPROVED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CANCELLED = "CANCELLED"


class OrderItem(Model):
    """One pet of an order, at its price when it was ordered."""

    pet_id: str
    price: Money


class Order(Resource):
    """An order.

    ``number`` counts the orders of a tenant from 1. ``pet_id`` is the first item's. Without ``user_id`` it
    was placed by a visitor.
    """

    collection: ClassVar[str | None] = "orders"

    number: int
    pet_id: str
    items: tuple[OrderItem, ...]
    user_id: str | None = None
    status: OrderStatus
    total_amount: Money
    currency: Currency
    created_at: Timestamp
    updated_at: Timestamp


class OrderItemDraft(Part):
    """A pet that a client wants."""

    pet_id: Identifier


class OrderDraft(Body):
    """What a client orders: one ``petId``, or several pets as ``items``. The price is the store's.

    ``userId``: the user for whom it is placed; only STAFF may name another user.
    """

    READ_ONLY: ClassVar[frozenset[str]] = Body.READ_ONLY | {"status", "totalAmount", "currency"}

    items: list[OrderItemDraft] | None = Field(default=None, min_length=1, max_length=50)
    pet_id: Identifier | None = None
    user_id: Identifier | None = None

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema says that one of the two ways is needed."""
        made = super().__get_pydantic_json_schema__(schema, handler)
        handler.resolve_ref_schema(made).update(
            {
                "if": {"required": ["items"], "properties": {"items": {"type": "array"}}},
                "else": {"required": ["petId"], "properties": {"petId": {"type": "string"}}},
            }
        )
        return made

    @model_validator(mode="before")
    @classmethod
    def _look_at_pet_id_always(cls, data: Any) -> Any:
        return {"petId": None, **data} if isinstance(data, dict) else data

    @field_validator("items")
    @classmethod
    def _each_once(cls, items: list[OrderItemDraft] | None) -> list[OrderItemDraft] | None:
        if items is not None and len({item.pet_id for item in items}) < len(items):
            raise PydanticCustomError("INVALID_FORMAT", "must name each pet once")
        return items

    @field_validator("pet_id")
    @classmethod
    def _one_way(cls, pet_id: str | None, info: ValidationInfo) -> str | None:
        if "items" not in info.data:  # they have a violation of their own
            return pet_id
        items = info.data["items"]
        if pet_id is None and items is None:
            raise PydanticCustomError("REQUIRED_FIELD", "is required unless there are items")
        if pet_id is not None and items is not None and pet_id != items[0].pet_id:
            raise PydanticCustomError("INVALID_FORMAT", "must be the first item's, or be left out")
        return pet_id

    @property
    def pet_ids(self) -> tuple[str, ...]:
        """The pets, in the order in which the client named them."""
        if self.items is not None:
            return tuple(item.pet_id for item in self.items)
        return (self.pet_id,) if self.pet_id is not None else ()


class OrderChange(Body):
    """What STAFF may change in an order: its status. All other members are read-only."""

    READ_ONLY: ClassVar[frozenset[str]] = frozenset(
        field.alias or name for name, field in Order.model_fields.items() if name != "status"
    )

    status: OrderStatus


class OrderFilter(Paged):
    """Which orders to list: ``status`` takes one or more values separated by commas."""

    status: Annotated[tuple[OrderStatus, ...], CommaList] | None = None


class OrderEvent(Model):
    """The status of an order changed; a new order had none before.

    ``changed_by`` is the id of the user who made the change, ``visitor`` for an unknown caller, or ``store``
    when the store approved the order because it was paid.
    """

    order: Order
    previous_status: OrderStatus | None = None
    new_status: OrderStatus
    changed_at: Timestamp
    changed_by: str


ORDER_CREATED = EventKind("order.created", ("orders/{order_id}/status",), OrderEvent, "An order was placed.")
ORDER_STATUS_CHANGED = EventKind(
    "order.status_changed", ("orders/{order_id}/status",), OrderEvent, "The status of an order changed."
)

EVENTS = (ORDER_CREATED, ORDER_STATUS_CHANGED)
