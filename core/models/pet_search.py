"""Which pets a client asks for: filters of a list, and the criteria of a search."""

from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BeforeValidator, Field, StrictInt, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from core.kernel.describing import Described
from core.kernel.model import WHOLE, Body, Bool, Choice, Int, Line, Money, Paged, Part, instead_of_page
from core.models.pets import MedicalInfo, Pet, PetStatus, Size, Species

V = TypeVar("V")


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


#: Several values of a parameter: a list, or text separated by commas.
CommaList = BeforeValidator(_split)


class StatusFilter(Choice):
    """A pet's status, or ALL for any status."""

    AVAILABLE = "AVAILABLE"
    """For sale."""
    PENDING = "PENDING"
    """Reserved by an order."""
    ADOPTED = "ADOPTED"
    """Sold."""
    NOT_AVAILABLE = "NOT_AVAILABLE"
    """Not for sale."""
    ALL = "ALL"
    """Any of these."""


class PetFilter(Paged):
    """Which pets to list."""

    species: Annotated[tuple[Species, ...], CommaList] | None = None
    """Only these kinds of animals."""
    status: Annotated[tuple[StatusFilter, ...], CommaList] = (StatusFilter.AVAILABLE,)
    """Only pets with one of these statuses."""
    age_min: int | None = Field(default=None, ge=0, le=2_147_483_647)
    """The least age in months."""
    age_max: int | None = Field(default=None, ge=0, le=2_147_483_647)
    """The greatest age in months."""
    size: Annotated[tuple[Size, ...], CommaList] | None = None
    """Only these sizes."""
    good_with_kids: bool | None = None
    """Whether they get along with children."""

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

    min: Annotated[StrictInt, Field(ge=0, le=2_147_483_647), WHOLE] | None = None
    """The least age in months."""
    max: Annotated[StrictInt, Field(ge=0, le=2_147_483_647), WHOLE] | None = None
    """The greatest age in months."""

    @field_validator("max")
    @classmethod
    def _in_order(cls, value: int | None, info: ValidationInfo) -> int | None:
        return _not_below(value, info.data.get("min"))


class PriceRange(Part):
    """Prices, both ends included, in any currency."""

    min: Money | None = None
    """The lowest price."""
    max: Money | None = None
    """The highest price."""

    @field_validator("max")
    @classmethod
    def _in_order(cls, value: Money | None, info: ValidationInfo) -> Money | None:
        return _not_below(value, info.data.get("min"))


class Compatibility(Part):
    """Whom a pet gets along with."""

    LIKE: ClassVar[type[Described] | None] = Pet

    good_with_kids: Bool | None = None
    good_with_dogs: Bool | None = None


class MedicalCriteria(Part):
    """What is known about a pet's health."""

    LIKE: ClassVar[type[Described] | None] = MedicalInfo

    vaccinated: Bool | None = None
    spayed_neutered: Bool | None = None
    special_needs: Bool | None = None


class SearchCriteria(Part):
    """Criteria for pets: a pet must meet all of them, and one value of each list. Absent criteria and empty
    lists match any pet."""

    species: tuple[Species, ...] | None = Field(default=None, max_length=20)
    """Any of these kinds of animals."""
    status: tuple[PetStatus, ...] | None = Field(default=None, max_length=20)
    """Any of these statuses."""
    age_range: AgeRange | None = None
    """The age."""
    price_range: PriceRange | None = None
    """The price."""
    size: tuple[Size, ...] | None = Field(default=None, max_length=20)
    """Any of these sizes."""
    compatibility: Compatibility | None = None
    """Whom they get along with."""
    medical: MedicalCriteria | None = None
    """What is known about their health."""
    text: Annotated[Line, Field(max_length=200)] | None = None
    """Words of which each must occur in name, breed, description or color, ignoring case."""


class SortKey(Choice):
    """What results can be sorted by."""

    AGE_MONTHS = "ageMonths"
    """The age."""
    PRICE = "price"
    """The price."""
    NAME = "name"
    """The name."""
    CREATED_AT = "createdAt"
    """When they were added to the store."""

    @classmethod
    def _missing_(cls, value: object) -> "SortKey | None":
        wanted = value.replace("_", "").lower() if isinstance(value, str) else None
        return next((key for key in cls if key.lower() == wanted), None)


class SortOrder(Choice):
    """The direction of a sort: ascending or descending."""

    ASC = "ASC"
    """The least first."""
    DESC = "DESC"
    """The greatest first."""


class SearchSort(Part):
    """The order of the results."""

    field: SortKey = SortKey.CREATED_AT
    """What to sort by."""
    order: SortOrder = SortOrder.ASC
    """In which direction."""


class SearchPage(Part):
    """Which part of the results to return: pages count from 1."""

    LIKE: ClassVar[type[Described] | None] = Paged

    page: Int = Field(default=1, ge=1, le=1_000_000_000)
    limit: Int = Field(default=20, ge=1, le=100)
    after: Annotated[str, Field(max_length=1000)] | None = None

    @field_validator("after")
    @classmethod
    def _instead_of_page(cls, value: str | None, info: ValidationInfo) -> str | None:
        return instead_of_page(value, info)


class PetSearch(Body):
    """A search for pets; an empty one finds all, whatever their status."""

    criteria: SearchCriteria = SearchCriteria()
    """What pets must meet."""
    sort: SearchSort = SearchSort()
    """The order of the results."""
    pagination: SearchPage = SearchPage()
    """Which page of the results."""
