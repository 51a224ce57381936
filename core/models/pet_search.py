"""Which pets a client asks for: filters of a list, and the criteria of a search."""

from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from core.kernel.model import Body, Bool, Choice, Int, Line, Money, Paged, Part
from core.models.pets import PetStatus, Size, Species

V = TypeVar("V")


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


#: Several values of a parameter: a list, or text separated by commas.
CommaList = BeforeValidator(_split)


class StatusFilter(Choice):
    """A pet's status, or ALL for any status."""

    AVAILABLE = "AVAILABLE"
    PENDING = "PENDING"
    ADOPTED = "ADOPTED"
    NOT_AVAILABLE = "NOT_AVAILABLE"
    ALL = "ALL"


class PetFilter(Paged):
    """Which pets to list. ``species``, ``status`` and ``size`` take one or more values separated by commas."""

    species: Annotated[tuple[Species, ...], CommaList] | None = None
    status: Annotated[tuple[StatusFilter, ...], CommaList] = (StatusFilter.AVAILABLE,)
    age_min: int | None = Field(default=None, ge=0, le=2_147_483_647)
    age_max: int | None = Field(default=None, ge=0, le=2_147_483_647)
    size: Annotated[tuple[Size, ...], CommaList] | None = None
    good_with_kids: bool | None = None

    @field_validator("age_max")
    @classmethod
    def _in_order(cls, value: int | None, info: ValidationInfo) -> int | None:
        return _not_below(value, info.data.get("age_min"))


def _not_below(value: V, low: Any) -> V:
    if value is not None and low is not None and value < low:
        raise PydanticCustomError("OUT_OF_RANGE", "must not be below the minimum")
    return value


class AgeRange(Part):
    """Ages in months, both ends included."""

    min: Annotated[Int, Field(ge=0, le=2_147_483_647)] | None = None
    max: Annotated[Int, Field(ge=0, le=2_147_483_647)] | None = None

    @field_validator("max")
    @classmethod
    def _in_order(cls, value: int | None, info: ValidationInfo) -> int | None:
        return _not_below(value, info.data.get("min"))


class PriceRange(Part):
    """Prices, both ends included, in any currency."""

    min: Money | None = None
    max: Money | None = None

    @field_validator("max")
    @classmethod
    def _in_order(cls, value: Money | None, info: ValidationInfo) -> Money | None:
        return _not_below(value, info.data.get("min"))


class Compatibility(Part):
    """Whom a pet gets along with."""

    good_with_kids: Bool | None = None
    good_with_dogs: Bool | None = None


class MedicalCriteria(Part):
    """What is known about a pet's health."""

    vaccinated: Bool | None = None
    spayed_neutered: Bool | None = None
    special_needs: Bool | None = None


class SearchCriteria(Part):
    """Criteria for pets: a pet must meet all of them, and one value of each list. Absent criteria and empty
    lists match any pet.

    ``text``: each of its words must occur in name, breed, description or color, ignoring case.
    """

    species: tuple[Species, ...] | None = Field(default=None, max_length=20)
    status: tuple[PetStatus, ...] | None = Field(default=None, max_length=20)
    age_range: AgeRange | None = None
    price_range: PriceRange | None = None
    size: tuple[Size, ...] | None = Field(default=None, max_length=20)
    compatibility: Compatibility | None = None
    medical: MedicalCriteria | None = None
    text: Annotated[Line, Field(max_length=200)] | None = None


class SortKey(Choice):
    """What results can be sorted by."""

    AGE_MONTHS = "ageMonths"
    PRICE = "price"
    NAME = "name"
    CREATED_AT = "createdAt"

    @classmethod
    def _missing_(cls, value: object) -> "SortKey | None":
        wanted = value.replace("_", "").lower() if isinstance(value, str) else None
        return next((key for key in cls if key.lower() == wanted), None)


class SortOrder(Choice):
    """The direction of a sort: ascending or descending."""

    ASC = "ASC"
    DESC = "DESC"


class SearchSort(Part):
    """The order of the results."""

    field: SortKey = SortKey.CREATED_AT
    order: SortOrder = SortOrder.ASC


class SearchPage(Part):
    """Which page of the results to return: pages count from 1."""

    page: Int = Field(default=1, ge=1, le=1_000_000_000)
    limit: Int = Field(default=20, ge=1, le=100)


class PetSearch(Body):
    """A search for pets; an empty one finds all, whatever their status."""

    criteria: SearchCriteria = SearchCriteria()
    sort: SearchSort = SearchSort()
    pagination: SearchPage = SearchPage()
