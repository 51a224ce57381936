"""The ages in a text that belong to people, or to an animal that somebody has: they say nothing of the wanted pet."""

import re
from functools import cache
from typing import NamedTuple

from core.services.advisor.language import language
from core.services.advisor.quantities import AGE_UNIT, MONEY_UNIT, NOTHING_ELSE, NUMBER, in_months, number_of

_GROWN_UP_MONTHS = 18 * 12
_AGES = rf"(?P<age>{NUMBER})(?:(?:,| and| or| to|, and)(?: an?)? {NUMBER}){{0,3}}"
_NO_MORE = rf"(?! ?(?:{MONEY_UNIT})){NOTHING_ELSE}(?![.,]?[0-9])"
_OLD = rf" ?(?P<unit>{AGE_UNIT})(?: olds?| of age|(?<=o))\b"
_MAYBE_OLD = rf"(?: ?(?P<unit>{AGE_UNIT})\b(?: olds?| of age)?)?"
_THEIR = r"(?:my|our|his|her|their)"
_HAVE = (
    r"\b(?:i|we)(?:'ve)? (?:already |also |do )?(?:have|own|got)(?: got)?(?: (?:a|an|one|another|two|three))?"
)
_ROLE = (
    r"(?:,? (?:who|that|which))?"
    r"(?:'s|'re| is| are|,| of| aged?| turns?| turning| turned| just| ages?| will be| now){1,4}"
)
_NEARLY = r"(?: (?:about|around|almost|nearly|only|just|over|under))?"
_QUALITY = (
    r"(?:small|tiny|little|big|large|young(?:er)?|old(?:er)?|elderly|senior|aged|mature|adult|grown(?: up)?)"
)


class _Patterns(NamedTuple):
    """``named``: an age beside a word for whoever has it; ``unnamed``: one that can be nobody else's; ``owned`` and
    ``owned_is``: the age of an animal that is there already; ``quality``: a size or age of somebody in a word; ``baby``
    and ``elderly``: people whom the words alone could take for pets."""

    person: re.Pattern[str]
    named: tuple[re.Pattern[str], ...]
    unnamed: tuple[re.Pattern[str], ...]
    owned: re.Pattern[str]
    owned_is: re.Pattern[str]
    quality: re.Pattern[str]
    baby: re.Pattern[str]
    elderly: re.Pattern[str]


@cache
def _patterns() -> _Patterns:
    say = language().say
    child, grown_up = say["a_child"].pattern, say["a_grown_up"].pattern
    animal = rf"(?:{language().animal_words.pattern}|{say['animal'].pattern}|\bones?\b)"
    animal_next = rf"(?: (?:{_QUALITY}|{say['trait'].pattern})){{0,4}} {animal}"
    person = rf"\b(?P<person>{child}|{grown_up})\b"
    return _Patterns(
        person=re.compile(person),
        named=(
            re.compile(rf"\b{_AGES}{_OLD}(?: {_QUALITY})? {person}"),
            re.compile(rf"{person}{_ROLE}{_NEARLY} {_AGES}\b{_MAYBE_OLD}{_NO_MORE}(?!{animal_next})"),
            re.compile(
                rf"{person} (?:under|over|above|below|from|up to) {_AGES} ?(?P<unit>{AGE_UNIT})\b(?: olds?)?"
            ),
            re.compile(
                rf"{person} (?:under|over|above|below|from|up to) (?P<age>1[0-7]|[1-9]|one|two|three|four|five|six)\b"
                rf"(?P<unit>){_NO_MORE}"
            ),
            re.compile(rf"\b(?P<person>{grown_up}) (?:over|above) {_AGES}\b(?P<unit>){_NO_MORE}"),
            re.compile(
                r"\b(?:she|he|they)(?:'s|'re| is| are| just turned| turns?| will be)"
                rf"{_NEARLY} {_AGES}\b{_MAYBE_OLD}{_NO_MORE}"
            ),
        ),
        unnamed=(
            re.compile(rf"(?P<before>\b(?:around|near)) {_AGES} ?(?P<unit>{AGE_UNIT}) olds\b"),
            re.compile(
                rf"(?P<before>\b(?:for|with)(?: (?:a|an|the|some|two|{_THEIR}))?|\baround an?|\b{_THEIR}|{_HAVE}) "
                rf"{_AGES}{_OLD}(?!{animal_next})"
            ),
            re.compile(
                rf"(?P<before>\b(?:i am|i'm|im|we are|we're))(?: (?:already|only|nearly|almost|over)){{0,2}} {_AGES}\b"
                rf"(?:{_OLD}|(?=[.,;!?]|$| and\b)){_NO_MORE}(?!{animal_next})"
            ),
        ),
        owned=re.compile(rf"(?P<before>\b{_THEIR}|{_HAVE}) {NUMBER} ?(?:{AGE_UNIT}) old(?={animal_next})"),
        owned_is=re.compile(
            rf"(?P<before>\b{_THEIR} {animal})(?: is|'s|,) {NUMBER}\b(?: ?(?:{AGE_UNIT}) old)?"
        ),
        quality=re.compile(rf"\b(?P<quality>{_QUALITY}) {person}"),
        baby=re.compile(
            rf"(?P<before>\b(?:{_THEIR}|with|for|around|expecting)(?: (?:a|the|{_THEIR}))?|{_HAVE})"
            rf"(?: (?:new|newborn))? (?:baby|babies|infants?|newborns?)\b(?!{animal_next})"
        ),
        elderly=re.compile(
            rf"(?P<before>\bfor) (?:(?:a|an|the|some) )?(?:seniors?|elderly|old)\b(?!{animal_next}| enough)"
        ),
    )


def without_people(text: str) -> str:
    """A normalised text without the ages that belong to others than the wanted pet; whoever has one is a “child” or
    “somebody”."""
    said = _patterns()
    for pattern in (said.owned, said.owned_is):
        text = pattern.sub(r"\g<before>", text)
    if said.person.search(text):
        for pattern in said.named:
            text = pattern.sub(_person, text)
    for pattern in said.unnamed:
        text = pattern.sub(_person, text)
    text = said.baby.sub(r"\g<before> child", text)
    text = said.quality.sub(_without_quality, text)
    return said.elderly.sub(r"\g<before> somebody", text)


def _person(found: re.Match[str]) -> str:
    groups = found.groupdict()
    months = in_months(number_of(found["age"]), groups.get("unit") or "years")
    who = "child" if months < _GROWN_UP_MONTHS else "somebody"
    before = groups.get("before")
    return f"{before} {who}" if before else who


def _without_quality(found: re.Match[str]) -> str:
    grown = found["quality"].startswith(("adult", "grown"))
    return "somebody" if grown else found["person"]
