"""The first step: what a client wishes, from the words of a conversation to a `Wish`."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from core.models.pets import PetStatus, Size
from core.services.advisor.language import Language, Word, language
from core.services.advisor.people import without_people
from core.services.advisor.quantities import Range, quantities
from core.services.advisor.wish import Wish

#: Of a conversation the last messages are looked at, and the beginning of each: to read more would hold up others.
_MOST_MESSAGES = 6
_MOST_CHARACTERS = 600
#: So are the animals that a message mentions, and what was said just before each.
_MOST_MENTIONS = 12
_BEFORE_CHARACTERS = 60
_YOUNG_MONTHS, _OLD_MONTHS = 12, 84
_SAID_BY_COMPARISON = {
    "cheaper": ("sort",),
    "younger": ("age",),
    "older": ("age",),
    "smaller": ("sizes",),
    "bigger": ("sizes",),
    "quieter": ("quiet",),
}
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_CLAUSE_END = re.compile(r"[.;!?]|(?<!anything )(?<!everything )\bbut ")
#: What leaves the subject of a conversation as it is.
_SMALL_TALK = {"help", "thanks", "greeting", "unknown"}
#: What is answered with a text alone.
INFORMATION = ("my_orders", "cancelling", "delivery", "payment", "adoption", "ordering")


def understand(messages: Sequence[str]) -> Wish:
    """What is wished in the last of a client's messages, in the light of those before it."""
    wish = subject = Wish()
    for text in messages[-_MOST_MESSAGES:]:
        wish = _Reading(text[:_MOST_CHARACTERS], language(), subject).wish()
        if not set(wish.do) & _SMALL_TALK:
            subject = wish
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
        self._written = text
        self._lowered = " ".join(text.lower().replace("’", "'").split())
        self._whole = lang.normalise(unicodedata.normalize("NFKC", text))
        self._age, self._price, rest = quantities(without_people(self._whole))
        self._text = lang.say["not_a_size"].sub(self._without_size, rest)
        self._mentions = self._read_mentions()

    @staticmethod
    def _without_size(found: re.Match[str]) -> str:
        return found[0].rsplit(" ", 1)[-1]

    def _says(self, name: str) -> bool:
        return self._lang.say[name].search(self._text) is not None

    def _trait(self, name: str) -> bool | None:
        """Whether pets must have something; False: they must not; None: it is not said."""
        match = self._lang.say[name].search(self._text)
        if match is None:
            return None
        before = self._text[: match.start()][-_BEFORE_CHARACTERS:]
        return not (match[0].startswith("un") or self._lang.say["has_not"].search(before))

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
        if not information or (self._says("an_order") and _ID.search(self._lowered)):
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
        if self._refines(relative) and (stated or relative or self._says("household")):
            return self._refined(criteria, relative)
        wants = self._says("wants") and self._says("animal")
        if stated or criteria.status or wants or self._says("for_somebody"):
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
        if "adoption" in found and self._name() is not None and not self._says("asks_how"):
            found.remove("adoption")
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
            if self._says("an_order"):
                return Wish(do=("one_order",), pet_id=found[0])
            return Wish(do=("pet",), pet_id=found[0], asked=self._asked(found[0]))
        if (name := self._name()) is not None:
            asked = self._asked(name) or (self._earlier.asked if self._says("goes_on") else ())
            return Wish(do=("pet",), name=name, asked=asked)
        match = self._lang.say["ordinal"].search(self._text)
        if match is not None and self._earlier.do and not self._mentions.refused:
            place = next((i for i, word in enumerate(_ORDINALS, 1) if match[1] in (word, str(i))), None)
            if place is None:
                place = -1 if match[1] == "last" else int(match[1][0])
            before = self._earlier
            return replace(
                before, do=("pet",), ordinal=place, relative=None, asked=self._asked(), before=before
            )
        return self._same_pet()

    def _name(self) -> str | None:
        """The pet that is named. A word that has a meaning of its own is a name where it is written as one."""
        lang = self._lang
        for pattern in lang.names:
            for match in islice(pattern.finditer(self._lowered), _MOST_MENTIONS):
                name = match[1].removesuffix("'s")
                if name in lang.animals or any(words.search(name) for words in lang.intents.values()):
                    continue
                written = re.search(rf"\b{re.escape(name.capitalize())}\b(?= [a-z]|\W*$)", self._written)
                if written or (name not in lang.known and lang.normalise(name) not in lang.animals):
                    return name
        return None

    def _asked(self, name: str = "") -> tuple[str, ...]:
        """What is asked of a pet, whose name says nothing itself."""
        written = re.sub(rf"\b{re.escape(name)}\b", "it", self._written, flags=re.IGNORECASE) if name else ""
        reading = _Reading(written, self._lang, self._earlier) if name else self
        facts = [fact for fact, words in self._lang.asked.items() if words.search(reading._whole)]
        return (*facts, *(reading._company() if reading._says("company") else ()))

    def _company(self) -> tuple[str, ...]:
        """Whom a pet is to get along with."""
        animals = dict.fromkeys(f"{word.kind or word.species.lower()}s" for word in self._mentions.all())
        return (*(["children"] if self._has_kids() else []), *animals)

    def _same_pet(self) -> Wish | None:
        """A message that asks more of the pets that were named, or says more to what was asked of one."""
        going_on = self._earlier.do in (("pet",), ("find",)) and not self._price
        if not going_on or (self._mentions.wanted and self._says("wants")):
            return None
        asked = self._asked() if self._says("pronoun") and self._says("asks_of_it") else ()
        if self._earlier.do != ("pet",):
            return self._of_those(asked)
        if not asked and "?" not in self._written and self._says("household"):
            asked = self._company() or self._earlier.asked
        elif not asked and self._earlier.asked and self._says("goes_on"):
            asked = self._company()
        return self._of_those(asked)

    def _of_those(self, asked: tuple[str, ...]) -> Wish | None:
        before = self._earlier
        return (
            replace(before, do=("pet",), relative=None, ordinal=None, asked=asked, before=before)
            if asked
            else None
        )

    # --- what pets must meet ---

    def _criteria(self) -> Wish:
        wanted, refused, companions = self._mentions.wanted, self._mentions.refused, self._mentions.companions
        kinds = [word.kind for word in wanted if word.kind is not None]
        plain = [word.species for word in wanted if word.kind is None]
        without_animals = self._lang.animal_words.sub(" ", self._text)
        colours = self._lang.colours.findall(without_animals) if wanted else []
        breeds = [word.breed for word in wanted if word.breed is not None]
        breeds_refused = {word.species: word.breed for word in refused if word.breed is not None}
        traits = {name: self._trait(name) for name in ("vaccinated", "neutered", "special_needs")}
        kids = self._has_kids()
        return Wish(
            # Who wants no dog of one breed wants another dog.
            species=tuple(dict.fromkeys(plain if wanted else breeds_refused)),
            refused=tuple(
                dict.fromkeys(
                    word.species for word in refused if not word.kind and not word.young and not word.breed
                )
            ),
            kind=kinds[0] if kinds and not plain else None,
            refused_kinds=tuple(dict.fromkeys(word.kind for word in refused if word.kind)),
            refused_breeds=tuple(dict.fromkeys(word.breed for word in refused if word.breed)),
            words=tuple(dict.fromkeys([*breeds[:1], *colours[:1]])),
            sizes=self._sizes(),
            age=self._ages(),
            price=self._price,
            kids=bool(kids),
            without=(
                *(name for name, has in traits.items() if has is False),
                *(("kids",) if kids is False else ()),
            ),
            dogs=self._has("DOG", companions) or self._says("second_dog"),
            cats=self._has("CAT", companions),
            quiet=self._says("quiet"),
            vaccinated=bool(traits["vaccinated"]),
            neutered=bool(traits["neutered"]),
            special_needs=bool(traits["special_needs"]),
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

    def _has_kids(self) -> bool | None:
        """Whether pets must get along with children; False: they must not; None: it does not matter."""
        match = self._lang.say["kids"].search(self._text)
        if match is None:
            return None
        before = self._text[: match.start()][-40:]
        if self._lang.say["bad_with"].search(before):
            return False
        return None if self._lang.say["no_kids"].search(before) else True

    def _sort(self) -> str | None:
        return next((name for name, words in self._lang.sort.items() if words.search(self._text)), None)

    def _status(self) -> PetStatus | None:
        found = (name for name, words in self._lang.status.items() if words.search(self._text))
        name = next(found, None)
        return None if name is None else PetStatus(name)

    # --- follow-ups ---

    def _relative(self) -> str | None:
        """Whether the pets named before are what it is compared with."""
        earlier = self._earlier
        for word in self._mentions.wanted:
            if word.species not in earlier.species and (word.kind is None or word.kind != earlier.kind):
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
        return not anew and (self._says("refines") or self._says("household"))

    def _refined(self, criteria: Wish, relative: str | None) -> Wish:
        stated = criteria.stated()
        base = self._earlier
        if relative is not None:
            # Its own words say no more than the comparison does.
            for name in _SAID_BY_COMPARISON.get(relative, ()):
                stated.pop(name, None)
        if criteria.species or criteria.kind:
            base = replace(base, species=(), kind=None, words=(), refused=(), refused_kinds=())
        if relative in ("smaller", "bigger"):
            base = replace(base, sizes=())
        base = replace(base, ordinal=None, name=None, pet_id=None, topic=None, asked=())
        before = self._earlier if relative is not None else None
        return replace(base, **stated, do=("find",), relative=relative, before=before)
