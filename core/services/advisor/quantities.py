"""Ages and prices in a text: “under 2 years”, “between 50 and 80 dollars”."""

import re
from typing import NamedTuple

_WORDS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
_NUMBER = rf"(?:[$€£] ?)?(?:[0-9]{{1,7}}(?:[.,][0-9]{{1,2}})?|{'|'.join(_WORDS)})"
_YEARS = r"(?:years?|yrs?|y/o|yo)"
_MONTHS = r"(?:months?|mos?)"
_WEEKS = r"(?:weeks?|wks?)"
_AGE_UNIT = rf"{_YEARS}|{_MONTHS}|{_WEEKS}"
_MONEY_UNIT = r"dollars?|usd|bucks?|euros?|eur|pounds?|gbp|[$€£]"
_UNIT = rf"(?: ?(?P<unit>{_AGE_UNIT}|{_MONEY_UNIT})\b|(?P<sign> ?[$€£]))?"
#: What is counted otherwise is neither.
_NOTHING_ELSE = r"(?! ?(?:kg|kilos?|lbs?|cm|inch|feet|days?|hours?|minutes?|people|%|[0-9]))"
_MOST = (
    r"(?:under|below|less than|lower than|up to|at most|max(?:imum)?(?: of)?|not? more than|within|cheaper than|"
    r"younger than|not over|not older than|no older than|(?:only )?have(?: got)?(?: only)?|"
    r"budget(?: is| of)?(?: about| around)?|(?:can )?(?:spend|afford|pay)(?: up to| about)?|for(?: under)?)"
)
_LEAST = r"(?:over|above|more than|at least|min(?:imum)?(?: of)?|older than|from|starting at|no less than|not under)"
_ABOUT = r"(?:around|about|roughly|approximately|some)"
_RANGE = re.compile(
    rf"(?:\b(?:between|from) )?(?P<low>{_NUMBER})(?: ?(?P<low_unit>{_AGE_UNIT}))? ?(?:and|to|-) ?(?P<high>{_NUMBER})\b"
    rf"{_UNIT}{_NOTHING_ELSE}"
)
_BOUND = re.compile(
    rf"\b(?:(?P<most>{_MOST})|(?P<least>{_LEAST})|(?P<about>{_ABOUT})) (?:a |an )?(?P<number>{_NUMBER})\b{_UNIT}"
    rf"{_NOTHING_ELSE}"
)
#: Words that say little by themselves: only what has a unit follows them.
_WEAK = ("have", "for", "pay", "some", "spend", "afford")
_OF_AGE = re.compile(r"younger|older")


class Range(NamedTuple):
    """From the least to the most, both included; None is no bound."""

    low: float | None
    high: float | None


class Quantities(NamedTuple):
    """What a text says of ages (in months) and prices, and the rest of it."""

    age: Range | None
    price: Range | None
    rest: str


def quantities(text: str) -> Quantities:
    """Find ages and prices in a normalised text; the last of each counts."""
    found: dict[str, Range] = {}

    def take_range(match: re.Match[str]) -> str:
        unit = match["unit"] or ""
        low, high = _value(match["low"]), _value(match["high"])
        stated = bool(unit or match["sign"] or re.match(r"[$€£]", match["low"]))
        if not stated and not match[0].startswith(("between", "from")):
            return match[0]
        if _is_age(unit):
            found["age"] = Range(_months(low, match["low_unit"] or unit), _months(high, unit))
        else:
            found["price"] = Range(low, high)
        return " "

    def take_bound(match: re.Match[str]) -> str:
        unit = match["unit"] or ""
        stated = unit or match["sign"] or re.match(r"[$€£]", match["number"])
        words = match["most"] or match["least"] or match["about"]
        aged = _is_age(unit) or (not unit and _OF_AGE.search(words) is not None)
        if (
            not stated
            and not aged
            and words.startswith(_WEAK)
            and "spend" not in words
            and "afford" not in words
        ):
            return match[0]
        if not stated and not match["number"].strip("$€£ ")[0].isdigit() and not aged:
            return match[0]
        value = _value(match["number"])
        if aged:
            value = _months(value, unit or "years")
        if match["about"]:
            bounds = Range(value * 4 / 5, value * 6 / 5)
        else:
            bounds = Range(None, value) if match["most"] else Range(value, None)
        found["age" if aged else "price"] = bounds
        return " "

    rest = _BOUND.sub(take_bound, _RANGE.sub(take_range, text))
    return Quantities(found.get("age"), found.get("price"), " ".join(rest.split()))


def _value(text: str) -> float:
    bare = text.strip("$€£ ")
    return float(_WORDS.index(bare)) if bare in _WORDS else float(bare.replace(",", "."))


def _is_age(unit: str) -> bool:
    return re.fullmatch(_AGE_UNIT, unit) is not None


def _months(value: float, unit: str) -> float:
    if re.fullmatch(_YEARS, unit):
        return value * 12
    return value / 4.345 if re.fullmatch(_WEEKS, unit) else value
