"""The second step: from a wish to pets of the store, in the caller's rights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, TypeVar

from core.kernel.errors import NotFound
from core.kernel.model import ById, NoParams, Page
from core.kernel.validation import check_body
from core.models.pet_search import PetSearch
from core.models.pets import Pet, PetStatus, Size, Species
from core.services.advisor.language import language
from core.services.advisor.quantities import Range
from core.services.advisor.wish import Wish
from core.services.pets import GET_PET, SEARCH_PETS
from core.store.context import Context
from core.store.operation import Operation

P = TypeVar("P", bound=Any)
B = TypeVar("B")
V = TypeVar("V")

#: Pets that an answer names.
MOST_NAMED = 5
#: Pets looked at where something is left out that the search has no criterion for.
_MOST_LOOKED_AT = 50
_SORTS = {
    "cheapest": ("price", "ASC"),
    "dearest": ("price", "DESC"),
    "youngest": ("ageMonths", "ASC"),
    "oldest": ("ageMonths", "DESC"),
}
#: By what a comparison sorts; the first pet in this order is the nearest to it.
_SORTS_BY_COMPARISON = {"cheaper": "cheapest", "younger": "youngest", "older": "oldest"}
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Found:
    """Pets that meet a wish: the first of them, and how many there are, or None where nobody counted. Where none meets
    a comparison, ``nearest`` is the one of those before that comes nearest to it."""

    pets: tuple[Pet, ...]
    total: int | None
    nearest: Pet | None = None


async def ask(ctx: Context, operation: Operation[P, B, V], params: P, body: B) -> V:
    """The result of another reading operation, for the same caller.

    Raises:
        StoreError: the caller may not have it.
    """
    operation.authorise(ctx.caller)
    return await operation.handler(ctx, params, body)


async def pets_of(ctx: Context, ids: Sequence[str]) -> list[Pet]:
    """The pets that are still there."""
    found = []
    for pet_id in ids[:MOST_NAMED]:
        try:
            found.append(await ask(ctx, GET_PET, ById(id=pet_id), None))
        except NotFound:
            continue
    return found


async def named(ctx: Context, name: str) -> list[Pet]:
    """The pets of a name, whatever their status."""
    body = {"criteria": {"text": name}, "pagination": {"limit": _MOST_LOOKED_AT}}
    page = await _search(ctx, body)
    return [pet for pet in page.data if pet.name.lower() == name][:MOST_NAMED]


async def find(ctx: Context, wish: Wish, shown: Sequence[Pet]) -> Found:
    """The pets that meet a wish; ``shown`` are those named before, which a comparison is with."""
    compared = _compared(wish, shown)
    found = Found((), 0) if compared is None else await _found(ctx, compared, shown)
    return found if found.pets else replace(found, nearest=_nearest(wish.relative, shown))


async def _found(ctx: Context, wish: Wish, shown: Sequence[Pet]) -> Found:
    kind = language().kinds.get(wish.kind or "")
    texts = (
        [" ".join(wish.words)] if kind is None else [f"{name} {' '.join(wish.words)}" for name in kind.names]
    )
    looks = bool(wish.refused_kinds or wish.refused_breeds or wish.relative or len(texts) > 1)
    pets: dict[str, Pet] = {}
    total = 0
    for text in texts:
        body = _body(wish, text.strip(), _MOST_LOOKED_AT if looks else MOST_NAMED)
        page = await _search(ctx, body)
        pets.update((pet.id, pet) for pet in page.data)
        total += page.pagination.total_items
    left = {pet.id for pet in shown} if wish.relative else set()
    refused = [name for kind_name in wish.refused_kinds for name in language().kinds[kind_name].names]
    refused += wish.refused_breeds
    kept = [
        pet
        for pet in pets.values()
        if pet.id not in left and not any(name in (pet.breed or "").lower() for name in refused)
    ]
    counted = not looks or (total <= _MOST_LOOKED_AT)
    return Found(
        tuple(_sorted(kept, wish)[:MOST_NAMED]), (len(kept) if looks else total) if counted else None
    )


def _sorted(pets: list[Pet], wish: Wish) -> list[Pet]:
    """The order of the search again, for pets of several searches."""
    if wish.sort is None:
        return pets
    field, order = _SORTS[wish.sort]
    return sorted(
        pets, key=lambda pet: pet.price if field == "price" else pet.age_months, reverse=order == "DESC"
    )


async def _search(ctx: Context, body: dict[str, Any]) -> Page[Pet]:
    """What was found is the same for all who may search; many ask alike, so that it is kept until a pet changes."""
    SEARCH_PETS.authorise(ctx.caller)
    assert Pet.collection is not None
    return await ctx.store.cache.recall(
        ctx.tenant,
        Pet.collection,
        repr(body),
        lambda: ask(ctx, SEARCH_PETS, NoParams(), check_body(PetSearch, body)),
    )


def _compared(wish: Wish, shown: Sequence[Pet]) -> Wish | None:
    """A comparison as bounds: those of the pets that it is with. None: nothing can be beyond them."""
    sort = _SORTS_BY_COMPARISON.get(wish.relative or "", wish.sort)
    if sort != wish.sort:
        wish = replace(wish, sort=sort)
    if not shown:
        return wish
    match wish.relative:
        case "cheaper":
            least = min(pet.price for pet in shown) - _CENT
            return None if least < 0 else replace(wish, price=_at_most(float(least), wish.price))
        case "younger":
            youngest = min(pet.age_months for pet in shown) - 1
            return None if youngest < 0 else replace(wish, age=_at_most(youngest, wish.age))
        case "older":
            return replace(wish, age=Range(max(pet.age_months for pet in shown) + 1, None))
        case "smaller" | "bigger":
            sizes = _sizes_beyond(wish.relative, shown)
            return replace(wish, sizes=sizes) if sizes else None
    return wish


def _sizes_beyond(relative: str, shown: Sequence[Pet]) -> tuple[Size, ...]:
    sizes = tuple(Size)
    places = [sizes.index(pet.size) for pet in shown if pet.size is not None]
    if not places:
        return ()
    return sizes[: min(places)] if relative == "smaller" else sizes[max(places) + 1 :]


def _at_most(high: float, bounds: Range | None) -> Range:
    """A bound, and the upper one that was wished for."""
    if bounds is None or bounds.high is None or bounds.high > high:
        return Range(None, high)
    return bounds._replace(low=None)


def _nearest(relative: str | None, shown: Sequence[Pet]) -> Pet | None:
    sizes = list(Size)
    sized = [pet for pet in shown if pet.size is not None]
    match relative:
        case "cheaper":
            return min(shown, key=lambda pet: pet.price, default=None)
        case "younger":
            return min(shown, key=lambda pet: pet.age_months, default=None)
        case "older":
            return max(shown, key=lambda pet: pet.age_months, default=None)
        case "smaller":
            return min(sized, key=lambda pet: sizes.index(pet.size or Size.SMALL), default=None)
        case "bigger":
            return max(sized, key=lambda pet: sizes.index(pet.size or Size.SMALL), default=None)
    return None


def species_of(wish: Wish) -> tuple[Species, ...]:
    """The species to search among; none is all of them."""
    if wish.kind is not None:
        return (language().kinds[wish.kind].species,)
    wanted = wish.species
    if not wanted and wish.quiet:
        wanted = tuple(species for species in Species if species not in (Species.DOG, Species.BIRD))
    if not wish.refused:
        return wanted
    return tuple(species for species in wanted or tuple(Species) if species not in wish.refused)


def _body(wish: Wish, text: str, limit: int) -> dict[str, Any]:
    criteria: dict[str, Any] = {"status": [wish.status or PetStatus.AVAILABLE]}
    if species := species_of(wish):
        criteria["species"] = list(species)
    if wish.sizes:
        criteria["size"] = list(wish.sizes)
    if wish.age is not None:
        low, high, strict, _ = _ordered(wish.age)
        criteria["ageRange"] = {
            "min": None if low is None else math.floor(low) + 1 if strict else math.ceil(low),
            "max": None if high is None else max(0, math.ceil(high) - 1) if strict else math.floor(high),
        }
    if wish.price is not None:
        low, high, strict, _ = _ordered(wish.price)
        beyond = float(_CENT) if strict else 0
        criteria["priceRange"] = {
            "min": None if low is None else f"{low + beyond:.2f}",
            "max": None if high is None else f"{max(0, high - beyond):.2f}",
        }
    criteria["compatibility"] = {
        "goodWithKids": _wanted(wish, "kids"),
        "goodWithDogs": _wanted(wish, "dogs"),
    }
    criteria["medical"] = {
        "vaccinated": _wanted(wish, "vaccinated"),
        "spayedNeutered": _wanted(wish, "neutered"),
        "specialNeeds": _wanted(wish, "special_needs"),
    }
    if text:
        criteria["text"] = text
    body: dict[str, Any] = {"criteria": criteria, "pagination": {"limit": limit}}
    if wish.sort is not None:
        field, order = _SORTS[wish.sort]
        body["sort"] = {"field": field, "order": order}
    return body


def _wanted(wish: Wish, name: str) -> bool | None:
    """What a yes-or-no member must be; None: anything."""
    return False if name in wish.without else getattr(wish, name) or None


def _ordered(bounds: Range) -> Range:
    if bounds.low is not None and bounds.high is not None and bounds.low > bounds.high:
        return bounds._replace(low=bounds.high, high=bounds.low)
    return bounds
