"""The stock, counted."""

from typing import Annotated, ClassVar

from core.kernel.describing import Described
from core.kernel.events import EventKind
from core.kernel.model import Model, Params
from core.models.pet_search import CommaList
from core.models.pets import PetStatus, Species


class Stock(Model):
    """How many pets there are of each status."""

    available: int = 0
    """How many are for sale."""
    pending: int = 0
    """How many are reserved by orders."""
    adopted: int = 0
    """How many were sold."""
    not_available: int = 0
    """How many are not for sale."""


class Inventory(Stock):
    """How many pets there are of each status, in total and for each species."""

    total: int
    """How many there are in all."""
    by_species: dict[Species, Stock]
    """The same of each species."""


class InventoryFilter(Params):
    """Which statuses to count; all when absent."""

    status: Annotated[tuple[PetStatus, ...], CommaList] = tuple(PetStatus)
    """Only these statuses."""


class InventoryEvent(Model):
    """The stock of a species after a change."""

    LIKE: ClassVar[type[Described] | None] = Stock

    species: Species
    """The species."""
    available: int
    pending: int
    adopted: int


INVENTORY_CHANGED = EventKind(
    "inventory.changed",
    ("inventory/{species}/stock",),
    InventoryEvent,
    "The stock of a species changed.",
    public=True,
)

EVENTS = (INVENTORY_CHANGED,)
