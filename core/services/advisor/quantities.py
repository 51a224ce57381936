"""Ages and prices in a text: “under 2 years”, “between 50 and 80 dollars”."""

import re
from typing import NamedTuple

_UP_TO_TWENTY = (
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
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
)
_TENS = ("thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = {
    **{word: float(value) for value, word in enumerate(_UP_TO_TWENTY)},
    **{word: float(value) for value, word in zip(range(30, 100, 10), _TENS, strict=True)},
}
NUMBER = rf"(?:[$€£] ?)?(?:[0-9]{{1,7}}(?:[.,][0-9]{{1,2}})?|{'|'.join(sorted(_WORDS, reverse=True))})"
_WORD = "|".join(sorted(_WORDS, reverse=True))
_HUNDREDS = re.compile(
    rf"\b(?:(?P<hundreds>{_WORD}|an?) )hundred(?:(?: and)?[ -](?P<tens>{_WORD})(?:[ -](?P<ones>{_WORD}))?)?\b"
)
_YEARS = r"(?:years?|yrs?|y/o|yo)"
_MONTHS = r"(?:months?|mos?)"
_WEEKS = r"(?:weeks?|wks?)"
AGE_UNIT = rf"{_YEARS}|{_MONTHS}|{_WEEKS}"
_CURRENCIES = {"USD": r"dollars?|usd|bucks?|\$", "EUR": r"euros?|eur|€", "GBP": r"pounds?|gbp|£"}
MONEY_UNIT = "|".join(_CURRENCIES.values())
_UNIT = rf"(?: ?(?P<unit>{AGE_UNIT}|{MONEY_UNIT})\b|(?P<sign> ?[$€£]))?"
#: What is counted otherwise is neither.
NOTHING_ELSE = r"(?! ?(?:kg|kilos?|lbs?|cm|inch|feet|days?|hours?|minutes?|people|%|[0-9]))"
_MOST = (
    r"(?:under|below|less than|lower than|up to|at most|max(?:imum)?(?: of)?|not? more than|within|cheaper than|"
    r"younger than|not over|not older than|no older than|(?:only )?have(?: got)?(?: only)?|"
    r"budget(?: is| of)?(?: about| around)?|(?:can )?(?:spend|afford|pay)(?: up to| about)?|for(?: under)?)"
)
_LEAST = r"(?:over|above|more than|at least|min(?:imum)?(?: of)?|older than|from|starting at|no less than|not under)"
_ABOUT = r"(?:around|about|roughly|approximately|some)"
_RANGE = re.compile(
    rf"(?:\b(?:between|from) )?(?P<low>{NUMBER})(?: ?(?P<low_unit>{AGE_UNIT}))? ?(?:and|to|-) ?(?P<high>{NUMBER})\b"
    rf"{_UNIT}{NOTHING_ELSE}"
)
_BOUND = re.compile(
    rf"\b(?:(?P<most>{_MOST})|(?P<least>{_LEAST})|(?P<about>{_ABOUT})) (?:a |an )?(?P<number>{NUMBER})\b{_UNIT}"
    rf"{NOTHING_ELSE}"
)
#: An age without a bound: “a 2 year old dog”.
_EXACT = re.compile(rf"\b(?P<number>{NUMBER}) ?(?P<unit>{AGE_UNIT})(?: old| of age|(?<=o))\b")
_AGED = re.compile(rf"\baged (?P<number>{NUMBER})\b(?: ?(?P<unit>{AGE_UNIT})\b)?(?! ?(?:to|and) [0-9])")
#: Words that say little by themselves: only what has a unit follows them.
_WEAK = ("have", "for", "pay", "some", "spend", "afford")
#: Bounds that do not belong to what they bound.
_STRICT = re.compile(r"(?:for )?(?:under|below|less|lower|cheaper|younger|over|above|more|older)\b")
_OF_AGE = re.compile(r"younger|older")


class Range(NamedTuple):
    """From the least to the most; None is no bound.

    ``strict``: the bounds themselves are left out; ``currency``: the one that was said of a price.
    """

    low: float | None
    high: float | None
    strict: bool = False
    currency: str | None = None


class Quantities(NamedTuple):
    """What a text says of ages (in months) and prices, and the rest of it."""

    age: Range | None
    price: Range | None
    rest: str


def quantities(text: str) -> Quantities:
    """Find ages and prices in a normalised text; the last of each counts."""
    found: dict[str, Range] = {}
    text = _HUNDREDS.sub(_in_digits, text)

    def take_range(match: re.Match[str]) -> str:
        unit = match["unit"] or ""
        low, high = number_of(match["low"]), number_of(match["high"])
        stated = bool(unit or match["sign"] or re.match(r"[$€£]", match["low"]))
        if not stated and not match[0].startswith(("between", "from")):
            return match[0]
        if _is_age(unit):
            found["age"] = Range(in_months(low, match["low_unit"] or unit), in_months(high, unit))
        else:
            currency = _currency(unit, match["sign"], match["low"], match["high"])
            found["price"] = Range(low, high, currency=currency)
        return " "

    def take_bound(match: re.Match[str]) -> str:
        unit = match["unit"] or ""
        stated = unit or match["sign"] or re.match(r"[$€£]", match["number"])
        words = match["most"] or match["least"] or match["about"]
        aged = _is_age(unit) or (not unit and _OF_AGE.search(words) is not None)
        if aged and words.startswith(_WEAK):
            return match[0]
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
        value = number_of(match["number"])
        if aged:
            value = in_months(value, unit or "years")
        bounds = Range(None, value) if match["most"] else Range(value, None)
        if match["about"]:
            bounds = _around(value)
        bounds = bounds._replace(strict=_STRICT.match(words) is not None)
        if not aged:
            bounds = bounds._replace(currency=_currency(unit, match["sign"], match["number"]))
        thing = "age" if aged else "price"
        found[thing] = _joined(found.get(thing), bounds)
        return " "

    def take_exact(match: re.Match[str]) -> str:
        unit = match["unit"] or "years"
        months = in_months(number_of(match["number"]), unit)
        in_years = re.fullmatch(_YEARS, unit) is not None
        found["age"] = Range(months, months + 11) if in_years else _around(months)
        return " "

    rest = _AGED.sub(take_exact, text)
    rest = _EXACT.sub(take_exact, _BOUND.sub(take_bound, _RANGE.sub(take_range, rest)))
    return Quantities(found.get("age"), found.get("price"), " ".join(rest.split()))


def _in_digits(match: re.Match[str]) -> str:
    """Hundreds that are written as words, in digits."""
    parts = [_WORDS.get(match[name] or "", 0.0) for name in ("hundreds", "tens", "ones")]
    return str(int((parts[0] or 1) * 100 + parts[1] + parts[2]))


def number_of(text: str) -> float:
    """What a number says, in digits or as a word."""
    bare = text.strip("$€£ ")
    return _WORDS[bare] if bare in _WORDS else float(bare.replace(",", "."))


def _joined(one: Range | None, other: Range) -> Range:
    """Two bounds as one range where they are of different sides; else the second."""
    if one is None or (one.low is None) == (other.low is None) or (one.high is None) == (other.high is None):
        return other
    low, high = (one.low, other.high) if other.low is None else (other.low, one.high)
    return Range(low, high, one.strict or other.strict, other.currency or one.currency)


def _around(value: float) -> Range:
    return Range(value * 4 / 5, value * 6 / 5)


def _currency(*said: str | None) -> str | None:
    """The currency that is named by a unit, or by the sign before a number."""
    for text in filter(None, said):
        for currency, names in _CURRENCIES.items():
            if re.match(rf"(?:{names})(?![a-z])", text.strip()):
                return currency
    return None


def _is_age(unit: str) -> bool:
    return re.fullmatch(AGE_UNIT, unit) is not None


def in_months(value: float, unit: str) -> float:
    """An age in months."""
    if re.fullmatch(_YEARS, unit):
        return value * 12
    return value / 4.345 if re.fullmatch(_WEEKS, unit) else value
