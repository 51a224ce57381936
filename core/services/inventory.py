"""The stock: how many pets of each species have each status, kept as numbers that change with the pets.

They change once the transaction holds the log, as the last thing that it does, so that writers wait for one another no
longer than they do anyhow.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from core.kernel.caller import Scope
from core.kernel.events import PUBLIC, Draft
from core.kernel.model import NoParams
from core.models import examples
from core.models.inventory import INVENTORY_CHANGED, Inventory, InventoryEvent, InventoryFilter, Stock
from core.models.pets import PetStatus, Species
from core.ports.records import Transaction
from core.store.context import Context
from core.store.operation import AnyOperation, Operation


class _Changes:
    """What a transaction changes in the stock of a species: made once no other transaction can overtake it."""

    def __init__(self, species: Species) -> None:
        self._species = species
        self._by_status: Counter[PetStatus] = Counter()

    def add(self, status: PetStatus, pets: int) -> None:
        """So many more pets of a status; fewer when negative."""
        self._by_status[status] += pets

    async def __call__(self, tx: Transaction) -> Sequence[Draft]:
        """Count them, and announce the stock."""
        kept = {_number(self._species, status): self._by_status[status] for status in PetStatus}
        stock = _stock(await tx.add_numbers(kept), self._species)
        event = InventoryEvent(species=self._species, **{name: getattr(stock, name) for name in _TOLD})
        return [Draft(INVENTORY_CHANGED, event, PUBLIC, {"species": self._species})]


_TOLD = ("available", "pending", "adopted")


def count_pets(ctx: Context, species: Species, status: PetStatus, pets: int) -> None:
    """So many more pets of a species have a status after this transaction (fewer when negative): counted, announced."""
    name = f"inventory/{species}"
    ctx.emit_late(name, _Changes(species)).add(status, pets)


async def stock_of(tx: Transaction, species: Species) -> InventoryEvent:
    """The stock of a species as events tell it."""
    stock = (await _stock_by_species(tx, species))[species]
    return InventoryEvent(species=species, **{name: getattr(stock, name) for name in _TOLD})


async def pets_counted(
    tx: Transaction, species: Iterable[Species] | None, status: Iterable[PetStatus] | None
) -> int:
    """How many pets there are of some species that have one of some statuses; None: of any."""
    names = {_number(kind, one) for kind in species or Species for one in status or PetStatus}
    return sum((await tx.numbers(sorted(names))).values())


def _number(species: Species, status: PetStatus) -> str:
    """What the number of such pets is kept under."""
    return f"stock/{species}/{status}"


def _stock(numbers: Mapping[str, int], *species: Species) -> Stock:
    return Stock(
        **{status.lower(): sum(numbers[_number(kind, status)] for kind in species) for status in PetStatus}
    )


async def _stock_by_species(tx: Transaction, *species: Species) -> dict[Species, Stock]:
    numbers = await tx.numbers([_number(kind, status) for kind in species for status in PetStatus])
    return {kind: _stock(numbers, kind) for kind in species}


async def _get_inventory(ctx: Context, params: NoParams, body: None) -> Inventory:  # noqa: ARG001
    by_species = await _stock_by_species(await ctx.tx(), *Species)
    in_all = {name: sum(getattr(stock, name) for stock in by_species.values()) for name in Stock.model_fields}
    return Inventory(**in_all, total=sum(in_all.values()), by_species=by_species)


async def _count_pets(ctx: Context, params: InventoryFilter, body: None) -> dict[PetStatus, int]:  # noqa: ARG001
    by_species = await _stock_by_species(await ctx.tx(), *Species)
    return {
        status: sum(getattr(stock, status.lower()) for stock in by_species.values())
        for status in params.status
    }


GET_INVENTORY = Operation(
    name="getInventory",
    tag="Inventory",
    summary="Count the pets by species and status",
    description="Of the whole tenant, by species and in all.",
    params=NoParams,
    handler=_get_inventory,
    result=Inventory,
    scope=Scope.READ_PETS,
    anonymous=True,
    result_example=examples.INVENTORY,
)

COUNT_PETS = Operation(
    name="countPets",
    tag="Inventory",
    summary="Count the pets of some statuses",
    description="Without `status` every status is counted.",
    params=InventoryFilter,
    handler=_count_pets,
    result=dict[PetStatus, int],
    scope=Scope.READ_PETS,
    anonymous=True,
    result_example=examples.STOCK,
)

OPERATIONS: tuple[AnyOperation, ...] = (GET_INVENTORY, COUNT_PETS)
