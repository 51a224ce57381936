"""The stock, counted."""

from typing import Annotated

from core.kernel.events import EventKind
from core.kernel.model import Model, Params
from core.models.pet_search import CommaList
from core.models.pets import PetStatus, Species


class Stock(Model):
    """How many pets there are of each status."""

    available: int = 0
    pending: int = 0
    adopted: int = 0
    not_available: int = 0


class Inventory(Stock):
    """How many pets there are of each status, in total and for each species."""

    total: int
    by_species: dict[Species, Stock]


class InventoryFilter(Params):
    """Which statuses to count: one or more separated by commas; all when absent."""

    status: Annotated[tuple[PetStatus, ...], CommaList] = tuple(PetStatus)


class InventoryEvent(Model):
    """The stock of a species after a change."""

    species: Species
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
