"""The third step: the answer to a wish, in words. It names what the store has and nothing else."""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any

from core.kernel.errors import Forbidden, NotFound, Unauthorized
from core.kernel.model import NoParams
from core.models.inventory import Stock
from core.models.orders import Order, OrderFilter
from core.models.pets import Gender, Pet, PetStatus, Size, Species
from core.services.advisor.quantities import Range
from core.services.advisor.search import MOST_NAMED, Found, ask, find, named, pets_of
from core.services.advisor.understanding import INFORMATION, Wish
from core.services.inventory import GET_INVENTORY
from core.services.orders import LIST_ORDERS
from core.store.context import Context

_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")
#: How much of the last answer is looked through for pets.
_MOST_CHARACTERS = 8000
_PLURALS = {
    Species.DOG: "dogs",
    Species.CAT: "cats",
    Species.RABBIT: "rabbits",
    Species.BIRD: "birds",
    Species.REPTILE: "reptiles",
    Species.OTHER: "other animals",
}
_SINGULARS = {**{species: species.value.lower() for species in Species}, Species.OTHER: ""}
_STATUSES = {
    PetStatus.AVAILABLE: "is available",
    PetStatus.PENDING: "is reserved by an order",
    PetStatus.ADOPTED: "has been sold or adopted",
    PetStatus.NOT_AVAILABLE: "is not for sale",
}
_MAY_NOT = "Your login does not let me look that up for you."


@cache
def texts() -> dict[str, Any]:
    """What is answered from knowledge alone, read once."""
    path = resources.files("core.services.advisor") / "answers.json"
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


async def answer(ctx: Context, wish: Wish, last_answer: str) -> str:
    """The answer to a wish; ``last_answer`` is what the client was told before, or says so."""
    parts = []
    for thing in wish.do:
        try:
            parts.append(await _WAYS.get(thing, _inform)(ctx, wish, thing, last_answer))
        except (Forbidden, Unauthorized):
            parts.append(_MAY_NOT)
    return "\n\n".join(parts)


def _ids_in(last_answer: str) -> list[str]:
    ids = (match[0] for match in _ID.finditer(last_answer[:_MOST_CHARACTERS]))
    return list(dict.fromkeys(islice(ids, MOST_NAMED)))


async def _inform(_ctx: Context, _wish: Wish, thing: str, _last: str) -> str:
    text: str = texts()[thing]
    return text


async def _find(ctx: Context, wish: Wish, _thing: str, last: str) -> str:
    shown = await pets_of(ctx, _ids_in(last)) if wish.relative else []
    found = await find(ctx, wish, shown)
    sought = _sought(wish)
    remarks = _remarks(wish)
    if not found.pets:
        nothing = f"I found no {sought}."
        return " ".join(
            [nothing, "Ask me for something a little different, and I will look again.", *remarks]
        )
    return "\n".join([_heading(found, sought), *map(_line, found.pets), *remarks])


def _heading(found: Found, sought: str) -> str:
    count = len(found.pets)
    if found.total is None:
        number = "some of many"
    else:
        number = f"{found.total} found" if found.total == count else f"{count} of {found.total}"
    return f"{sought[0].upper()}{sought[1:]} ({number}):"


def _remarks(wish: Wish) -> list[str]:
    remarks = []
    if wish.cats:
        remarks.append("The store does not record whether a pet gets along with cats: ask our staff.")
    if wish.quiet:
        remarks.append(
            "The store does not record how loud a pet is"
            + (": ask our staff." if wish.species or wish.kind else "; I left out dogs and birds.")
        )
    return remarks


def _sought(wish: Wish) -> str:
    """What was searched for, so that a client sees what was understood."""
    if wish.kind is not None:
        animals = f"{wish.kind}s"
    else:
        animals = " or ".join(_PLURALS[species] for species in wish.species) or "pets"
    status = "available" if wish.status is None else wish.status.value.lower()
    sizes = " or ".join(size.value.lower() for size in wish.sizes)
    words = [status, sizes, *wish.words, animals]
    kept_out = [_PLURALS[species] for species in wish.refused] + [f"{kind}s" for kind in wish.refused_kinds]
    conditions = [
        f"other than {' and '.join(kept_out)}" if kept_out else "",
        _range(wish.age, "months old"),
        _range(wish.price, "in price"),
        "good with children" if wish.kids else "",
        "good with dogs" if wish.dogs else "",
        "vaccinated" if wish.vaccinated else "",
        "neutered" if wish.neutered else "",
        "with special needs" if wish.special_needs else "",
        f"{wish.relative} than before" if wish.relative not in (None, "more") else "",
        f"the {wish.sort.replace('dearest', 'most expensive')} first" if wish.sort else "",
    ]
    return ", ".join([" ".join(filter(None, words)), *filter(None, conditions)])


def _range(bounds: Range | None, unit: str) -> str:
    if bounds is None:
        return ""
    low, high = (None if bound is None else f"{bound:g}" for bound in bounds)
    if low is not None and high is not None:
        return f"{low} to {high} {unit}"
    return f"at least {low} {unit}" if low is not None else f"at most {high} {unit}"


def _line(pet: Pet) -> str:
    kind = " ".join(filter(None, [pet.breed, _SINGULARS[pet.species]]))
    traits = [kind or "pet", _age(pet.age_months)]
    if pet.size is not None:
        traits.append({Size.SMALL: "small", Size.MEDIUM: "medium", Size.LARGE: "large"}[pet.size])
    if pet.gender is not Gender.UNKNOWN:
        traits.append(pet.gender.value.lower())
    company = [
        name for good, name in ((pet.good_with_kids, "children"), (pet.good_with_dogs, "dogs")) if good
    ]
    good = f"; good with {' and '.join(company)}" if company else ""
    return f"- {pet.name} ({', '.join(traits)}): {pet.price:.2f} {pet.currency.value}{good}; id {pet.id}"


def _age(months: int) -> str:
    if months < 24:
        return "1 month old" if months == 1 else f"{months} months old"
    return f"{months // 12} years old"


async def _pet(ctx: Context, wish: Wish, _thing: str, last: str) -> str:
    if wish.name is not None:
        pets = await named(ctx, wish.name)
        if not pets:
            return f"There is no pet called {wish.name.title()} here."
        return "\n\n".join(map(_details, pets))
    ids = [wish.pet_id] if wish.pet_id is not None else _ids_in(last)
    if wish.ordinal is not None:
        place = len(ids) - 1 if wish.ordinal < 0 else wish.ordinal - 1
        ids = ids[place : place + 1] if place >= 0 else []
        if not ids:
            return "I do not know which pet you mean: tell me its name or its id."
    pets = await pets_of(ctx, ids)
    return "\n\n".join(map(_details, pets)) or "There is no such pet here."


def _details(pet: Pet) -> str:
    lines = [f"{_line(pet).removeprefix('- ')}. {pet.name} {_STATUSES[pet.status]}."]
    if pet.color:
        lines.append(f"Colour: {pet.color}.")
    if pet.description:
        lines.append(pet.description)
    health = pet.medical_info
    if health is not None:
        known = [
            name
            for value, name in (
                (health.vaccinated, "vaccinated"),
                (health.spayed_neutered, "neutered"),
                (health.microchipped, "microchipped"),
                (health.special_needs, "in need of special care"),
            )
            if value
        ]
        if known:
            lines.append(f"{pet.name} is {', '.join(known)}.")
        if health.health_notes:
            lines.append(health.health_notes)
    return " ".join(lines)


async def _count(ctx: Context, wish: Wish, _thing: str, _last: str) -> str:
    if wish.kind is not None:
        found = await find(ctx, wish, [])
        many = "more than I can count" if found.total is None else str(found.total)
        return f"There are {many} available {wish.kind}s."
    inventory = await ask(ctx, GET_INVENTORY, NoParams(), None)
    if wish.species:
        return " ".join(
            f"Of {_PLURALS[species]}, {_stock(inventory.by_species.get(species, Stock()))}."
            for species in wish.species
        )
    lines = [
        f"- {_PLURALS[species]}: {stock.available} available"
        for species, stock in inventory.by_species.items()
        if stock.available
    ]
    return "\n".join([f"In all, {_stock(inventory)}.", *lines])


def _stock(stock: Stock) -> str:
    return f"{stock.available} are available, {stock.pending} reserved and {stock.adopted} sold or adopted"


async def _care(_ctx: Context, wish: Wish, _thing: str, _last: str) -> str:
    if not wish.species:
        return (
            "For which kind of animal? I know about dogs, cats, rabbits, birds, reptiles and small mammals."
        )
    topics = [texts()["care"][species] for species in wish.species]
    if wish.topic is not None:
        return "\n".join(topic[wish.topic] for topic in topics)
    return "\n".join(text for topic in topics for text in topic.values())


async def _my_orders(ctx: Context, _wish: Wish, _thing: str, _last: str) -> str:
    page = await ask(ctx, LIST_ORDERS, OrderFilter(limit=MOST_NAMED), None)
    whose = "The store's" if ctx.caller.is_staff else "Your"
    if not page.data:
        return "There are no orders yet." if ctx.caller.is_staff else "You have no orders yet."
    lines = [await _order(ctx, order) for order in page.data]
    return "\n".join([f"{whose} newest orders ({page.pagination.total_items} in all):", *lines])


async def _order(ctx: Context, order: Order) -> str:
    pets = await _names(ctx, [item.pet_id for item in order.items])
    total = f"{order.total_amount:.2f} {order.currency.value}"
    return f"- Order {order.id}: {order.status.value}, {pets}{total}, placed {order.created_at:%Y-%m-%d}"


async def _names(ctx: Context, ids: Sequence[str]) -> str:
    try:
        pets = await pets_of(ctx, ids)
    except (Forbidden, NotFound):
        return ""
    return "".join(f"{pet.name}, " for pet in pets)


_Way = Callable[[Context, Wish, str, str], Awaitable[str]]
_WAYS: dict[str, _Way] = {
    "find": _find,
    "pet": _pet,
    "count": _count,
    "care": _care,
    "my_orders": _my_orders,
}
assert set(INFORMATION) - _WAYS.keys() <= texts().keys()
