"""What the advisor knows of English, read from ``language.json``: words, patterns, and the spelling of both."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from core.models.pets import Species

Patterns = Mapping[str, re.Pattern[str]]

_WORD = re.compile(r"[a-z][a-z']*")
#: A word in the text of a pattern; one of them is never taken for another word.
_PATTERN_WORD = re.compile(r"(?<!\\)[a-z]{4,}")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "-": " ", "–": "-", "\n": " ", "\t": " "})
#: Shorter words are not mended: too many others look like them.
_LEAST_MENDED = 4
#: Longer ones are no words of a pet shop.
_MOST_MENDED = 20


class Word(NamedTuple):
    """An animal that a word stands for.

    ``kind``: a kind of animal within the species, ``breed``: text that its pets have; ``young``: it means young ones.
    """

    species: Species
    kind: str | None = None
    breed: str | None = None
    young: bool = False


class Kind(NamedTuple):
    """A kind of animal that the store knows by the names in a pet's breed alone."""

    species: Species
    names: tuple[str, ...]


class Language:
    """The words and patterns, compiled."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.kinds = {
            name: Kind(Species(kind["species"]), tuple(kind["names"])) for name, kind in data["kinds"].items()
        }
        self.animals = dict(_animals(data))
        longest_first = sorted(self.animals, key=len, reverse=True)
        self.animal_words = re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b")
        self.colours = re.compile(rf"\b(?:{'|'.join(data['colours'])})\b")
        self.role = _compiled(data["role"])
        self.sizes = _compiled(data["sizes"])
        self.sort = _compiled(data["sort"])
        self.status = _compiled(data["status"])
        self.relative = _compiled(data["relative"])
        self.intents = _compiled(data["intents"])
        self.care = _compiled(data["care"])
        self.asked = _compiled(data["asked"])
        self.names = tuple(map(re.compile, data["name"]))
        #: Each single pattern by its name.
        self.say: Patterns = _compiled({name: text for name, text in data.items() if isinstance(text, str)})
        vocabulary = {word for phrase in self.animals for word in phrase.split()} | set(data["spelling"])
        in_patterns = set(_PATTERN_WORD.findall(json.dumps([data["care"], data["intents"], data["sort"]])))
        self.known = frozenset(vocabulary | in_patterns | set(data["common"]) | set(data["colours"]))
        self._mended: dict[str, str] = {}
        for word in sorted(vocabulary, reverse=True):
            if len(word) >= _LEAST_MENDED:
                self._mended.update(dict.fromkeys(_shortened(word), word))

    def normalise(self, text: str) -> str:
        """A text in lower case, without hyphens, its misspelt words mended."""
        lowered = " ".join(text.lower().translate(_QUOTES).split())
        return _WORD.sub(lambda found: self._mend(found[0]), lowered)

    def _mend(self, word: str) -> str:
        """The word that is meant: one that is a letter longer, shorter or other, or has two letters swapped.

        Both are compared with a letter left out at every place, so that one look-up stands for the whole vocabulary.
        """
        if word in self.known or not _LEAST_MENDED <= len(word) <= _MOST_MENDED or "'" in word:
            return word
        if word.endswith("s") and word[:-1] in self.known:
            return word
        return next((self._mended[part] for part in _shortened(word) if part in self._mended), word)


def _shortened(word: str) -> list[str]:
    return [word, *(word[:place] + word[place + 1 :] for place in range(len(word)))]


def _compiled(texts: Mapping[str, str]) -> Patterns:
    return {name: re.compile(text) for name, text in texts.items()}


def _animals(data: Mapping[str, Any]) -> Iterator[tuple[str, Word]]:
    for species, words in data["species"].items():
        for word in words:
            yield word, Word(Species(species))
    for species, breeds in data["breeds"].items():
        for breed in breeds:
            yield breed, Word(Species(species), breed=breed)
            yield f"{breed}s", Word(Species(species), breed=breed)
    for name, kind in data["kinds"].items():
        for word in kind["words"]:
            yield word, Word(Species(kind["species"]), kind=name)
    for species, words in data["young"].items():
        for word in words:
            yield word, Word(Species(species), young=True)


@cache
def language() -> Language:
    """The language, read once."""
    path = resources.files("core.services.advisor") / "language.json"
    return Language(json.loads(path.read_text(encoding="utf-8")))
