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
    Numbered,
    Paged,
    Part,
    Timestamp,
)
from core.models.classic import ClassicOrder
from core.models.pet_search import CommaList


class OrderStatus(Choice):
    """The state of an order: PLACED → APPROVED → SHIPPED → DELIVERED, or CANCELLED."""

    PLACED = "PLACED"
    """Placed, and not paid yet."""
    APPROVED = "APPROVED"
    """Paid."""
    SHIPPED = "SHIPPED"
    """On its way."""
    DELIVERED = "DELIVERED"
    """Delivered: its pets are ADOPTED."""
    CANCELLED = "CANCELLED"
    """Cancelled: its pets are for sale again."""


class OrderItem(Model):
    """One pet of an order, at its price when it was ordered."""

    pet_id: str
    """The pet."""
    price: Money
    """What it cost when it was ordered."""


class Order(Numbered):
    """An order of one pet or several."""

    collection: ClassVar[str | None] = "orders"

    pet_id: str | None = None
    """The pet of the first item; absent where a classic client ordered a pet that is not there."""
    items: tuple[OrderItem, ...]
    """The pets, each at its price."""
    user_id: str | None = None
    """The user who placed it; a visitor's order has none."""
    status: OrderStatus
    """How far it is."""
    total_amount: Money
    """The sum of its items' prices."""
    currency: Currency
    """The currency of its amounts."""
    classic: ClassicOrder | None = None
    """Marks an order of a classic client: it reserves nothing, and is paid, moved and removed at the classic door
    only."""
    created_at: Timestamp
    """When it was placed."""
    updated_at: Timestamp
    """When it was last changed."""


class OrderItemDraft(Part):
    """A pet that a client wants."""

    pet_id: Identifier
    """The pet to order."""


class OrderDraft(Body):
    """What a client orders: one ``petId``, or several pets as ``items``. The price is the store's."""

    READ_ONLY: ClassVar[frozenset[str]] = Body.READ_ONLY | {"status", "totalAmount", "currency"}

    items: list[OrderItemDraft] | None = Field(
        default=None, min_length=1, max_length=50, json_schema_extra={"uniqueItems": True}
    )
    """The pets to order, where they are several."""
    pet_id: Identifier | None = None
    """The pet to order, where it is one."""
    user_id: Identifier | None = None
    """The user for whom it is placed; only STAFF may name another user."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema says that one of the two ways is needed."""
        made = super().__get_pydantic_json_schema__(schema, handler)
        handler.resolve_ref_schema(made).update(
            {
                "if": {"required": ["items"], "properties": {"items": {"not": {"type": "null"}}}},
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
    """The status to move it to."""


class OrderFilter(Paged):
    """Which orders to list."""

    status: Annotated[tuple[OrderStatus, ...], CommaList] | None = None
    """Only orders with one of these statuses."""


class OrderEvent(Model):
    """The status of an order changed."""

    order: Order
    """The order after the change."""
    previous_status: OrderStatus | None = None
    """Its status before; a new order had none."""
    new_status: OrderStatus
    """Its status now."""
    changed_at: Timestamp
    """When it changed."""
    changed_by: str
    """The id of the user who made the change, ``visitor`` for an unknown caller, or ``store`` when the store
    approved the order because it was paid."""


ORDER_CREATED = EventKind("order.created", ("orders/{order_id}/status",), OrderEvent, "An order was placed.")
ORDER_STATUS_CHANGED = EventKind(
    "order.status_changed", ("orders/{order_id}/status",), OrderEvent, "The status of an order changed."
)

EVENTS = (ORDER_CREATED, ORDER_STATUS_CHANGED)
