"""The stock: counted on demand, and announced with every change."""

from collections.abc import Sequence

from core.kernel.caller import Scope
from core.kernel.events import PUBLIC, Draft
from core.kernel.model import NoParams
from core.models import examples
from core.models.inventory import INVENTORY_CHANGED, Inventory, InventoryEvent, InventoryFilter, Stock
from core.models.pets import Pet, PetStatus, Species
from core.ports.records import Equal, Transaction
from core.store.context import Context
from core.store.operation import AnyOperation, Operation


def announce_stock(ctx: Context, species: Species) -> None:
    """Announce the stock of a species after this transaction, counted when no other transaction can overtake it."""

    async def count(tx: Transaction) -> Sequence[Draft]:
        return [Draft(INVENTORY_CHANGED, await stock_of(tx, species), PUBLIC, {"species": species})]

    ctx.emit_late(f"inventory/{species}", count)


async def stock_of(tx: Transaction, species: Species) -> InventoryEvent:
    """The stock of a species as events tell it."""
    found = await tx.tally(Pet, ("status",), (Equal("species", species),))
    return InventoryEvent(
        species=species,
        available=found.get((PetStatus.AVAILABLE,), 0),
        pending=found.get((PetStatus.PENDING,), 0),
        adopted=found.get((PetStatus.ADOPTED,), 0),
    )


async def _get_inventory(ctx: Context, params: NoParams, body: None) -> Inventory:  # noqa: ARG001
    found = await (await ctx.tx()).tally(Pet, ("species", "status"))

    def count(status: PetStatus, *kinds: Species) -> int:
        return sum(found.get((species, status), 0) for species in kinds)

    def stock(*kinds: Species) -> dict[str, int]:
        return {status.lower(): count(status, *kinds) for status in PetStatus}

    in_all = stock(*Species)
    by_species = {species: Stock(**stock(species)) for species in Species}
    return Inventory(**in_all, total=sum(in_all.values()), by_species=by_species)


async def _count_pets(ctx: Context, params: InventoryFilter, body: None) -> dict[PetStatus, int]:  # noqa: ARG001
    found = await (await ctx.tx()).tally(Pet, ("status",))
    return {status: found.get((status,), 0) for status in params.status}


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
