"""What the first step makes of a conversation, and the other two answer."""

from dataclasses import dataclass
from typing import Any

from core.models.pets import PetStatus, Size, Species
from core.services.advisor.quantities import Range

#: What of a wish says nothing that pets must meet.
_NOT_OF_PETS = ("do", "relative", "ordinal", "name", "pet_id", "topic", "status", "asked", "before")


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wishes. ``do`` are the things to do: ``find``, ``count``, ``pet``, ``care`` and those of
    ``intents`` in the language; the others are what pets must meet, ages in months. ``relative`` compares with the pets
    that were named before, ``ordinal`` is one of them, counted from 1; -1 is the last; ``before`` is the wish that they
    were named for. ``asked`` is what is asked of pets: names of ``asked`` in the language, and plurals of those whom
    they are to get along with. ``without`` are the yes-or-no members that pets must not have."""

    do: tuple[str, ...] = ()
    species: tuple[Species, ...] = ()
    refused: tuple[Species, ...] = ()
    kind: str | None = None
    refused_kinds: tuple[str, ...] = ()
    refused_breeds: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
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
    asked: tuple[str, ...] = ()
    before: "Wish | None" = None

    def stated(self) -> dict[str, Any]:
        """What pets must meet, as far as it was said."""
        return {
            name: value
            for name in self.__slots__
            if name not in _NOT_OF_PETS and (value := getattr(self, name))
        }
