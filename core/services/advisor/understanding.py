"""The first step: what a client wishes, from the words of a conversation to a `Wish`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from core.models.pets import PetStatus, Size, Species
from core.services.advisor.language import Language, Word, language
from core.services.advisor.quantities import Range, quantities

#: Of a conversation the last messages are looked at, and the beginning of each: to read more would hold up others.
_MOST_MESSAGES = 6
_MOST_CHARACTERS = 600
#: So are the animals that a message mentions, and what was said just before each.
_MOST_MENTIONS = 12
_BEFORE_CHARACTERS = 60
_YOUNG_MONTHS, _OLD_MONTHS = 12, 84
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_CLAUSE_END = re.compile(r"[.;!?]|(?<!anything )(?<!everything )\bbut ")
#: What is answered with a text alone.
INFORMATION = ("my_orders", "cancelling", "delivery", "payment", "adoption", "ordering")


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wishes. ``do`` are the things to do: ``find``, ``count``, ``pet``, ``care`` and those of
    ``intents`` in the language; the others are what pets must meet, ages in months. ``relative`` compares with the pets
    that were named before, ``ordinal`` is one of them, counted from 1; -1 is the last."""

    do: tuple[str, ...] = ()
    species: tuple[Species, ...] = ()
    refused: tuple[Species, ...] = ()
    kind: str | None = None
    refused_kinds: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    sizes: tuple[Size, ...] = ()
    age: Range | None = None
    price: Range | None = None
    kids: bool = False
    dogs: bool = False
    cats: bool = False
    quiet: bool = False
    vaccinated: bool = False
    neutered: bool = False
    special_needs: bool = False
    sort: str | None = None
    status: PetStatus | None = None
    relative: str | None = None
    ordinal: int | None = None
    name: str | None = None
    pet_id: str | None = None
    topic: str | None = None

    def stated(self) -> dict[str, Any]:
        """What pets must meet, as far as it was said."""
        return {
            name: value
            for name in self.__slots__
            if name not in ("do", "relative", "ordinal", "name", "pet_id", "topic", "status")
            and (value := getattr(self, name))
        }


def understand(messages: Sequence[str]) -> Wish:
    """What is wished in the last of a client's messages, in the light of those before it."""
    wish = Wish()
    for text in messages[-_MOST_MESSAGES:]:
        wish = _Reading(text[:_MOST_CHARACTERS], language(), wish).wish()
    return wish


@dataclass(slots=True)
class _Mentions:
    """The animals that a text mentions, by what they are there for."""

    wanted: list[Word] = field(default_factory=list)
    refused: list[Word] = field(default_factory=list)
    companions: list[Word] = field(default_factory=list)

    def all(self) -> list[Word]:
        return [*self.wanted, *self.companions, *self.refused]


class _Reading:
    """One message, read after an earlier wish."""

    def __init__(self, text: str, lang: Language, earlier: Wish) -> None:
        self._lang = lang
        self._earlier = earlier
        self._lowered = " ".join(text.lower().replace("’", "'").split())
        self._whole = lang.normalise(text)
        self._age, self._price, rest = quantities(self._whole)
        self._text = lang.say["not_a_size"].sub(self._without_size, rest)
        self._mentions = self._read_mentions()

    @staticmethod
    def _without_size(found: re.Match[str]) -> str:
        return found[0].rsplit(" ", 1)[-1]

    def _says(self, name: str) -> bool:
        return self._lang.say[name].search(self._text) is not None

    def _read_mentions(self) -> _Mentions:
        lang, found = self._lang, _Mentions()
        refused_until: int | None = None
        for match in islice(lang.animal_words.finditer(self._text), _MOST_MENTIONS):
            word = lang.animals[match[0]]
            before = self._text[max(0, match.start() - _BEFORE_CHARACTERS) : match.start()]
            clause = _CLAUSE_END.split(before)[-1]
            between = "" if refused_until is None else self._text[refused_until : match.start()]
            if lang.role["absent"].search(clause):
                continue
            if lang.role["refused"].search(clause) or lang.role["refused_too"].match(between):
                found.refused.append(word)
                refused_until = match.end()
                continue
            if lang.role["companion"].search(clause):
                found.companions.append(word)
            else:
                found.wanted.append(word)
        return found

    def wish(self) -> Wish:
        """The whole wish."""
        return self._informing() or self._one_pet() or self._finding() or self._small_talk()

    def _informing(self) -> Wish | None:
        """A question that is answered with a text, maybe beside pets."""
        information = self._information()
        if not information:
            return None
        about = self._care() if "care" in information else Wish()
        if self._asks_for_pets():
            return replace(self._criteria(), topic=about.topic, do=("find", *information))
        return replace(about, do=information)

    def _finding(self) -> Wish | None:
        """Pets to find, or to count."""
        criteria, relative = self._criteria(), self._relative()
        stated = criteria.stated()
        if self._lang.intents["count"].search(self._text) and not (stated.keys() - {"species", "kind"}):
            return replace(criteria, do=("count",), status=None)
        if self._refines(relative) and (stated or relative):
            return self._refined(criteria, relative)
        if stated or criteria.status or (self._says("wants") and self._says("animal")):
            return replace(criteria, do=("find",))
        return None

    def _small_talk(self) -> Wish:
        kinds = (
            kind for kind in ("help", "thanks", "greeting") if self._lang.intents[kind].search(self._text)
        )
        return Wish(do=(next(kinds, "unknown"),))

    # --- questions that are answered with a text ---

    def _information(self) -> tuple[str, ...]:
        found = [name for name in INFORMATION if self._lang.intents[name].search(self._whole)]
        if "adoption" in found and self._mentions.all() and not self._says("asks_how"):
            found.remove("adoption")
        if "adoption" in found and self._mentions.wanted and not self._asks_for_pets():
            found = ["adoption"]
        if "my_orders" in found:
            found = ["cancelling"] if "cancelling" in found else ["my_orders"]
        if "delivery" in found:
            found = [name for name in found if name not in ("ordering", "adoption")]
        if "payment" in found and self._price is not None and not self._says("asks_how"):
            found.remove("payment")
        return tuple(found) if found else ("care",) if self._asks_about_care() else ()

    def _asks_about_care(self) -> bool:
        if not self._mentions.all() and "care" not in self._earlier.do:
            return False
        if self._says("care_general"):
            return True
        return self._topic() is not None and self._says("care_question")

    def _topic(self) -> str | None:
        return next((name for name, words in self._lang.care.items() if words.search(self._text)), None)

    def _care(self) -> Wish:
        about = self._mentions.all()
        species = tuple(dict.fromkeys(word.species for word in about)) or self._earlier.species
        return Wish(species=species, topic=self._topic())

    def _asks_for_pets(self) -> bool:
        return bool(self._mentions.wanted) and self._says("wants") and not self._asks_about_care()

    # --- one pet ---

    def _one_pet(self) -> Wish | None:
        if (found := _ID.search(self._lowered)) is not None:
            return Wish(do=("pet",), pet_id=found[0])
        for pattern in self._lang.names:
            match = pattern.search(self._lowered)
            if match is not None and match[1] not in self._lang.known and match[1] not in self._lang.animals:
                return Wish(do=("pet",), name=match[1])
        match = self._lang.say["ordinal"].search(self._text)
        if match is not None and self._earlier.do and not self._mentions.refused:
            place = next((i for i, word in enumerate(_ORDINALS, 1) if match[1] in (word, str(i))), None)
            if place is None:
                place = -1 if match[1] == "last" else int(match[1][0])
            return replace(self._earlier, do=("pet",), ordinal=place, relative=None)
        return None

    # --- what pets must meet ---

    def _criteria(self) -> Wish:
        wanted, refused, companions = self._mentions.wanted, self._mentions.refused, self._mentions.companions
        kinds = [word.kind for word in wanted if word.kind is not None]
        plain = [word.species for word in wanted if word.kind is None]
        without_animals = self._lang.animal_words.sub(" ", self._text)
        colours = self._lang.colours.findall(without_animals) if wanted else []
        breeds = [word.breed for word in wanted if word.breed is not None]
        return Wish(
            species=tuple(dict.fromkeys(plain)),
            refused=tuple(
                dict.fromkeys(word.species for word in refused if not word.kind and not word.young)
            ),
            kind=kinds[0] if kinds and not plain else None,
            refused_kinds=tuple(dict.fromkeys(word.kind for word in refused if word.kind)),
            words=tuple(dict.fromkeys([*breeds[:1], *colours[:1]])),
            sizes=self._sizes(),
            age=self._ages(),
            price=self._price,
            kids=self._has_kids(),
            dogs=self._has("DOG", companions) or self._says("second_dog"),
            cats=self._has("CAT", companions),
            quiet=self._says("quiet"),
            vaccinated=self._says("vaccinated"),
            neutered=self._says("neutered"),
            special_needs=self._says("special_needs"),
            sort=self._sort(),
            status=self._status(),
        )

    @staticmethod
    def _has(species: str, companions: list[Word]) -> bool:
        return any(word.species == species for word in companions)

    def _sizes(self) -> tuple[Size, ...]:
        named: list[Size] = []
        refused: list[Size] = []
        for name, words in self._lang.sizes.items():
            for match in words.finditer(self._text):
                negated = self._lang.say["not"].search(self._text[: match.start()][-40:])
                (refused if negated else named).append(Size(name))
        if named:
            return tuple(size for size in Size if size in named)
        if refused:
            return tuple(size for size in Size if size not in refused)
        return (Size.SMALL, Size.MEDIUM) if self._says("flat") else ()

    def _ages(self) -> Range | None:
        if self._age is not None:
            return self._age
        if any(word.young for word in self._mentions.refused):
            return Range(_YOUNG_MONTHS, None)
        if any(word.young for word in self._mentions.wanted) or self._says("young_words"):
            return Range(None, _YOUNG_MONTHS)
        if self._says("adult_words"):
            return Range(_YOUNG_MONTHS, None)
        return Range(_OLD_MONTHS, None) if self._says("old_words") else None

    def _has_kids(self) -> bool:
        match = self._lang.say["kids"].search(self._text)
        return match is not None and not self._lang.say["no_kids"].search(self._text[: match.start()][-40:])

    def _sort(self) -> str | None:
        return next((name for name, words in self._lang.sort.items() if words.search(self._text)), None)

    def _status(self) -> PetStatus | None:
        found = (name for name, words in self._lang.status.items() if words.search(self._text))
        name = next(found, None)
        return None if name is None else PetStatus(name)

    # --- follow-ups ---

    def _relative(self) -> str | None:
        """Whether the pets named before are what it is compared with."""
        if self._mentions.wanted:
            return None
        return next((name for name, words in self._lang.relative.items() if words.search(self._text)), None)

    def _refines(self, relative: str | None) -> bool:
        """Whether it goes on from what was wished before. What names an animal of its own begins anew, unless it
        says that it goes on."""
        if self._earlier.do[:1] not in (("find",), ("count",), ("pet",)):
            return False
        if relative is not None or self._says("goes_on"):
            return True
        anew = self._mentions.wanted or (self._mentions.refused and self._earlier.species)
        return not anew and self._says("refines")

    def _refined(self, criteria: Wish, relative: str | None) -> Wish:
        stated = criteria.stated()
        base = self._earlier
        if relative is not None:
            # Its own words say no more than the comparison does.
            for name in {"cheaper": ("sort", "price"), "smaller": ("sizes",), "bigger": ("sizes",)}.get(
                relative, ("age",)
            ):
                stated.pop(name, None)
        if criteria.species or criteria.kind:
            base = replace(base, species=(), kind=None, words=(), refused=(), refused_kinds=())
        base = replace(base, ordinal=None, name=None, pet_id=None, topic=None)
        return replace(base, **stated, do=("find",), relative=relative)
