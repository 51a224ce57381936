"""The stock: how many pets of each species have each status, kept as numbers that change with the pets; and how many
there are of what lists may ask for, so that nothing is counted.

They change once the transaction holds the log, as the last thing that it does, so that writers wait for one another no
longer than they do anyhow.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from core.kernel.caller import Scope
from core.kernel.events import PUBLIC, Draft
from core.kernel.model import NoParams
from core.models import examples
from core.models.inventory import INVENTORY_CHANGED, Inventory, InventoryEvent, InventoryFilter, Stock
from core.models.pets import Pet, PetStatus, Size, Species
from core.ports.records import Transaction
from core.store.context import Context
from core.store.operation import AnyOperation, Operation


class _Changes:
    """What a transaction changes in the numbers of a species: made once no other transaction can overtake it."""

    def __init__(self, species: Species) -> None:
        self._species = species
        self._numbers: Counter[str] = Counter({_stocked(species, status): 0 for status in PetStatus})

    def add(self, pet: Pet, pets: int) -> None:
        """So many more pets like one; fewer when negative."""
        for name in numbers_of(pet):
            self._numbers[name] += pets

    async def __call__(self, tx: Transaction) -> Sequence[Draft]:
        """Count them, and announce the stock when it is another."""
        changed = any(self._numbers[_stocked(self._species, status)] for status in PetStatus)
        if not any(self._numbers.values()):
            return []
        stock = _stock(await tx.add_numbers(self._numbers), self._species)
        if not changed:
            return []
        return [Draft(INVENTORY_CHANGED, _event(self._species, stock), PUBLIC, {"species": self._species})]


def count_pets(ctx: Context, pet: Pet, pets: int) -> None:
    """So many more pets like one are there after this transaction (fewer when negative): counted, announced."""
    ctx.emit_late(f"inventory/{pet.species}", _Changes(pet.species)).add(pet, pets)


async def stock_of(tx: Transaction, species: Species) -> InventoryEvent:
    """The stock of a species as events tell it."""
    return _event(species, (await _stock_by_species(tx, species))[species])


def _event(species: Species, stock: Stock) -> InventoryEvent:
    return InventoryEvent(
        species=species, available=stock.available, pending=stock.pending, adopted=stock.adopted
    )


async def pets_counted(
    tx: Transaction,
    species: Iterable[Species] | None = None,
    status: Iterable[PetStatus] | None = None,
    size: Iterable[Size] | None = None,
    good_with_kids: bool | None = None,
) -> int:
    """How many pets there are whose species, status and size are each one of some, with children as is said.

    None asks for any, those of which it is not known among them.
    """
    kinds = product(frozenset(species or Species), frozenset(status or PetStatus))
    if size is None and good_with_kids is None:
        names = [_stocked(*kind) for kind in kinds]
    else:
        sizes: Iterable[Size | None] = frozenset(size) if size else (*Size, None)
        kids = (True, False, None) if good_with_kids is None else (good_with_kids,)
        names = [_listed(*kind, *more) for kind, more in product(kinds, list(product(sizes, kids)))]
    return sum((await tx.numbers(names)).values())


def numbers_of(pet: Pet) -> tuple[str, str]:
    """What the numbers are kept under that a pet counts in."""
    species, status = pet.species, pet.status
    return _stocked(species, status), _listed(species, status, pet.size, pet.good_with_kids)


def _stocked(species: Species, status: PetStatus) -> str:
    """What the number of pets of a species and status is kept under."""
    return f"stock/{species}/{status}"


def _listed(species: Species, status: PetStatus, size: Size | None, good_with_kids: bool | None) -> str:
    """What the number of those among them is kept under that lists may ask for."""
    return f"listed/{species}/{status}/{size or '-'}/{_KNOWN[good_with_kids]}"


_KNOWN = {True: "yes", False: "no", None: "-"}


def _stock(numbers: Mapping[str, int], species: Species) -> Stock:
    return Stock(**{status.lower(): numbers[_stocked(species, status)] for status in PetStatus})


async def _stock_by_species(tx: Transaction, *species: Species) -> dict[Species, Stock]:
    numbers = await tx.numbers([_stocked(kind, status) for kind in species for status in PetStatus])
    return {kind: _stock(numbers, kind) for kind in species}


async def _get_inventory(ctx: Context, params: NoParams, body: None) -> Inventory:  # noqa: ARG001
    by_species = await _stock_by_species(await ctx.tx(), *Species)
    in_all = _in_all(by_species)
    total = sum(in_all.values())
    return Inventory(
        **{status.lower(): pets for status, pets in in_all.items()}, total=total, by_species=by_species
    )


def _in_all(by_species: Mapping[Species, Stock]) -> dict[PetStatus, int]:
    return {
        status: sum(getattr(stock, status.lower()) for stock in by_species.values()) for status in PetStatus
    }


async def pets_by_status(tx: Transaction) -> dict[PetStatus, int]:
    """How many pets there are of each status."""
    return _in_all(await _stock_by_species(tx, *Species))


async def _count_pets(ctx: Context, params: InventoryFilter, body: None) -> dict[PetStatus, int]:  # noqa: ARG001
    in_all = await pets_by_status(await ctx.tx())
    return {status: in_all[status] for status in params.status}


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
