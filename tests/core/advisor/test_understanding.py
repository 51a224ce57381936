"""What the advisor makes of everyday English: the sets of utterances that were written before it."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.services.advisor.understanding import understand

LEAST_UNDERSTOOD = 0.95


def utterances(name: str) -> list[tuple[list[str], dict[str, Any]]]:
    data = json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8"))
    return [([text] if isinstance(text, str) else text, wish) for text, wish in data]


def understood(messages: list[str]) -> dict[str, Any]:
    """A wish in the words of the sets."""
    wish = understand(messages)
    found: dict[str, Any] = {
        "do": sorted(wish.do),
        "species": sorted(wish.species),
        "not": sorted(wish.refused),
        "kind": wish.kind,
        "notKind": list(wish.refused_kinds),
        "notBreed": list(wish.refused_breeds),
        "without": sorted(wish.without),
        "words": list(wish.words),
        "size": [size for size in ("SMALL", "MEDIUM", "LARGE") if size in wish.sizes],
        "age": wish.age and list(wish.age[:2]),
        "price": wish.price and list(wish.price[:2]),
        "kids": wish.kids,
        "dogs": wish.dogs,
        "cats": wish.cats,
        "quiet": wish.quiet,
        "vaccinated": wish.vaccinated,
        "neutered": wish.neutered,
        "specialNeeds": wish.special_needs,
        "sort": wish.sort,
        "status": wish.status,
        "relative": wish.relative,
        "ordinal": wish.ordinal,
        "name": wish.name,
        "topic": wish.topic,
    }
    if wish.do == ("pet",):  # What was wished before is kept for what follows.
        found = {"do": ["pet"], "ordinal": wish.ordinal, "name": wish.name, "asked": sorted(wish.asked)}
    return {name: value for name, value in found.items() if value}


def expected(wish: dict[str, Any]) -> dict[str, Any]:
    named = {"do": ["find"]} | wish
    return {
        name: sorted(value) if name in ("do", "species", "not", "without") else value
        for name, value in named.items()
    }


@pytest.mark.parametrize("name", ["utterances", "utterances_kept_aside"])
def test_it_understands_what_people_ask(name: str) -> None:
    cases = utterances(name)
    wrong = [
        (messages, understood(messages), expected(wish))
        for messages, wish in cases
        if understood(messages) != expected(wish)
    ]
    share = 1 - len(wrong) / len(cases)
    assert share >= LEAST_UNDERSTOOD, f"{share:.1%} of {len(cases)}; not understood: {wrong}"
