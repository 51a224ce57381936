"""The third step: the answer to a wish, in words. It names what the store has and nothing else."""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any

from core.kernel.errors import Forbidden, NotFound, Unauthorized
from core.kernel.model import ById, NoParams
from core.models.inventory import Stock
from core.models.orders import Order, OrderFilter
from core.models.pets import Pet, Species
from core.services.advisor.one_pet import details, line, told
from core.services.advisor.quantities import Range
from core.services.advisor.search import MOST_NAMED, Found, ask, find, named, pets_of
from core.services.advisor.understanding import INFORMATION
from core.services.advisor.wish import Wish
from core.services.inventory import GET_INVENTORY
from core.services.orders import GET_ORDER, LIST_ORDERS
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
#: What a comparison calls the one that nothing is beyond.
_MOST = {
    "cheaper": "cheapest",
    "younger": "youngest",
    "older": "oldest",
    "smaller": "smallest",
    "bigger": "biggest",
}
_WITHOUT = {
    "kids": "not good with children",
    "vaccinated": "not vaccinated",
    "neutered": "not neutered",
    "special_needs": "without special needs",
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
    if wish.relative == "quieter" and (wish.species or wish.kind):
        return "The store does not record how loud a pet is, so that I cannot compare that: ask our staff."
    found = await _found(ctx, wish, last)
    sought = _sought(wish)
    remarks = _remarks(wish, found)
    if found.nearest is not None and wish.relative is not None:
        among = _sought(replace(wish, relative=None, sort=None))
        none = f"{among[0].upper()}{among[1:]}: none is {wish.relative} than before."
        return "\n".join([f"{none} The {_MOST[wish.relative]} of those is:", line(found.nearest), *remarks])
    if not found.pets:
        nothing = f"I found no {sought}."
        return " ".join(
            [nothing, "Ask me for something a little different, and I will look again.", *remarks]
        )
    return "\n".join([_heading(found, sought), *map(line, found.pets), *remarks])


async def _found(ctx: Context, wish: Wish, last: str) -> Found:
    """What meets a wish, compared with the pets that the answer before named."""
    if wish.relative is None:
        return await find(ctx, wish, ())
    shown = await _shown(ctx, wish, last)
    return await find(ctx, replace(wish, quiet=wish.quiet or wish.relative == "quieter"), shown)


async def _shown(ctx: Context, wish: Wish, last: str) -> list[Pet]:
    """The pets that a wish is compared with; where others are wished for again, all of a run of such answers."""
    ids = _ids_in(last)
    shown = list(await pets_of(ctx, ids) if ids else await _named_before(ctx, wish))
    if wish.relative == "more" and wish.before is not None and wish.before.relative == "more":
        shown += await _shown(ctx, wish.before, "")
    return shown


def _heading(found: Found, sought: str) -> str:
    count = len(found.pets)
    if found.total is None:
        number = "some of many"
    else:
        number = f"{found.total} found" if found.total == count else f"{count} of {found.total}"
    return f"{sought[0].upper()}{sought[1:]} ({number}):"


def _remarks(wish: Wish, found: Found) -> list[str]:
    remarks = []
    currency = wish.price and wish.price.currency
    if currency and any(pet.currency.value != currency for pet in found.pets):
        remarks.append("Prices are compared as they are, without converting currencies.")
    if wish.cats:
        remarks.append("The store does not record whether a pet gets along with cats: ask our staff.")
    if wish.quiet or wish.relative == "quieter":
        remarks.append(
            "The store does not record how loud a pet is"
            + (": ask our staff." if wish.species or wish.kind else "; I left out dogs and birds.")
        )
    return remarks


def _plural(name: str) -> str:
    """Several animals of a kind."""
    irregular = {"mouse": "mice", "fish": "fish", "goldfish": "goldfish"}
    if name in irregular:
        return irregular[name]
    if name.endswith("y") and name[-2] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "ch", "sh")) else f"{name}s"


def _sought(wish: Wish) -> str:
    """What was searched for, so that a client sees what was understood."""
    if wish.kind is not None:
        animals = _plural(wish.kind)
    else:
        animals = " or ".join(_PLURALS[species] for species in wish.species) or "pets"
    status = "available" if wish.status is None else wish.status.value.lower()
    sizes = " or ".join(size.value.lower() for size in wish.sizes)
    words = ["other" if wish.relative == "more" else "", status, sizes, *wish.words, animals]
    kept_out = [_PLURALS[species] for species in wish.refused]
    kept_out += map(_plural, (*wish.refused_kinds, *wish.refused_breeds))
    conditions = [
        f"other than {' and '.join(kept_out)}" if kept_out else "",
        _ages(wish.age),
        _range(wish.price, (wish.price and wish.price.currency) or ""),
        "good with children" if wish.kids else "",
        "good with dogs" if wish.dogs else "",
        "vaccinated" if wish.vaccinated else "",
        "neutered" if wish.neutered else "",
        "with special needs" if wish.special_needs else "",
        *(_WITHOUT[name] for name in wish.without),
        f"{wish.relative} than before" if wish.relative not in (None, "more") else "",
        f"the {wish.sort.replace('dearest', 'most expensive')} first" if wish.sort else "",
    ]
    return ", ".join([" ".join(filter(None, words)), *filter(None, conditions)])


def _ages(bounds: Range | None) -> str:
    ages = [bound for bound in (bounds or ())[:2] if bound is not None]
    if bounds is None or any(age % 12 or age < 24 for age in ages):
        return _range(bounds, "months old")
    low, high = (bound and bound / 12 for bound in bounds[:2])
    return _range(bounds._replace(low=low, high=high), "years old")


def _range(bounds: Range | None, unit: str) -> str:
    """A range as it was said."""
    if bounds is None:
        return ""
    low, high = (None if bound is None else f"{bound:.2f}".rstrip("0").rstrip(".") for bound in bounds[:2])
    if low is not None and high is not None:
        text = f"{low} to {high}"
    elif low is not None:
        text = f"{'over' if bounds.strict else 'at least'} {low}"
    else:
        text = f"{'under' if bounds.strict else 'at most'} {high}"
    return f"{text} {unit}".rstrip()


async def _pet(ctx: Context, wish: Wish, _thing: str, last: str) -> str:
    pets = await _pets_meant(ctx, wish, last)
    if not pets and wish.name is not None:
        return f"There is no pet called {wish.name.title()} here."
    if pets is None:
        return "I do not know which pet you mean: tell me its name or its id."
    said = [told(pet, wish.asked) if wish.asked else details(pet) for pet in pets]
    return "\n\n".join(said) or "There is no such pet here."


async def _pets_meant(ctx: Context, wish: Wish, last: str) -> list[Pet] | None:
    """The pets that a question is about; None where it does not say which."""
    if wish.name is not None:
        return await named(ctx, wish.name)
    if wish.pet_id is not None:
        return await pets_of(ctx, [wish.pet_id])
    ids = _ids_in(last) or [pet.id for pet in await _named_before(ctx, wish)]
    if wish.ordinal is not None:
        place = len(ids) - 1 if wish.ordinal < 0 else wish.ordinal - 1
        ids = ids[place : place + 1] if place >= 0 else []
    return await pets_of(ctx, ids) if ids else None


async def _named_before(ctx: Context, wish: Wish) -> Sequence[Pet]:
    """The pets that the answer before named, where the conversation does not have it: they are looked for again."""
    before = wish.before
    if before is None:
        return ()
    if before.do == ("pet",):
        return await _pets_meant(ctx, before, "") or ()
    found = await _found(ctx, before, "")
    return found.pets or ([] if found.nearest is None else [found.nearest])


async def _count(ctx: Context, wish: Wish, _thing: str, _last: str) -> str:
    if wish.kind is not None:
        found = await find(ctx, wish, [])
        many = "more than I can count" if found.total is None else str(found.total)
        return f"There are {many} available {_plural(wish.kind)}."
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


async def _one_order(ctx: Context, wish: Wish, _thing: str, _last: str) -> str:
    try:
        return await _order(ctx, await ask(ctx, GET_ORDER, ById(id=wish.pet_id or ""), None))
    except NotFound:
        return "I find no order that you may see."


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
    "one_order": _one_order,
}
assert set(INFORMATION) - _WAYS.keys() <= texts().keys()
