"""Pets: what is kept and shown, what clients send, and the events that pets cause."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from core.kernel.describing import Described
from core.kernel.events import EventKind
from core.kernel.model import (
    Body,
    Bool,
    Choice,
    Currency,
    FilledLine,
    Int,
    Line,
    Model,
    Money,
    Numbered,
    Part,
    Text,
    Timestamp,
)
from core.kernel.validation import PUBLIC_URL
from core.models.classic import PetLabels

MAX_PHOTOS = 50


class Species(Choice):
    """What kind of animal a pet is."""

    DOG = "DOG"
    """Dogs."""
    CAT = "CAT"
    """Cats."""
    RABBIT = "RABBIT"
    """Rabbits."""
    BIRD = "BIRD"
    """Birds."""
    REPTILE = "REPTILE"
    """Reptiles."""
    OTHER = "OTHER"
    """All other animals."""


class PetStatus(Choice):
    """Whether a pet is for sale."""

    AVAILABLE = "AVAILABLE"
    """For sale."""
    PENDING = "PENDING"
    """Reserved by an order."""
    ADOPTED = "ADOPTED"
    """Sold or adopted."""
    NOT_AVAILABLE = "NOT_AVAILABLE"
    """Not for sale."""


class Size(Choice):
    """The adult size of a pet."""

    SMALL = "SMALL"
    """Small."""
    MEDIUM = "MEDIUM"
    """Medium."""
    LARGE = "LARGE"
    """Large."""


class Gender(Choice):
    """The sex of a pet."""

    MALE = "MALE"
    """Male."""
    FEMALE = "FEMALE"
    """Female."""
    UNKNOWN = "UNKNOWN"
    """Nobody knows."""


class StatusReason(Choice):
    """Why the status of a pet changed."""

    ORDER_PLACED = "ORDER_PLACED"
    """An order has reserved it."""
    ORDER_CANCELLED = "ORDER_CANCELLED"
    """The order that had reserved it was cancelled."""
    ORDER_DELIVERED = "ORDER_DELIVERED"
    """Its order was delivered."""
    ADOPTION_APPROVED = "ADOPTION_APPROVED"
    """An application for it was approved."""
    UPDATED = "UPDATED"
    """The store's staff set it by hand."""


class MedicalInfo(Model):
    """What is known about a pet's health; absent: unknown."""

    spayed_neutered: bool | None = None
    """Whether it is spayed or neutered."""
    vaccinated: bool | None = None
    """Whether it has its vaccinations."""
    microchipped: bool | None = None
    """Whether it has a microchip."""
    special_needs: bool | None = None
    """Whether it needs special care."""
    health_notes: str | None = None
    """What else is to be known."""


class Pet(Numbered):
    """A pet of the store."""

    collection: ClassVar[str | None] = "pets"

    owner_id: str | None = None
    """The user who adopted or bought it."""
    name: str
    """What the pet is called."""
    species: Species
    """What kind of animal it is."""
    breed: str | None = None
    """The breed."""
    age_months: int
    """The age in months."""
    size: Size | None = None
    """How large it is when it is grown."""
    color: str | None = None
    """The color of coat, feathers or skin."""
    gender: Gender = Gender.UNKNOWN
    """Its sex."""
    good_with_kids: bool | None = None
    """Whether it gets along with children."""
    good_with_dogs: bool | None = None
    """Whether it gets along with dogs."""
    price: Money
    """What it costs."""
    currency: Currency = Currency.USD
    """The currency of the price."""
    description: str | None = None
    """What is to be said about it."""
    status: PetStatus
    """Whether it is for sale."""
    photos: tuple[str, ...] = ()
    """Where its photos are."""
    medical_info: MedicalInfo | None = None
    """What is known about its health."""
    labels: Annotated[PetLabels | None, WithJsonSchema({})] = Field(default=None, exclude=True)
    """What a classic client gave; kept, and shown at the classic door only."""
    tag_names: str | None = Field(default=None, exclude=True)
    """The names of its tags to be searched: each ends a line, and the first one is empty."""
    created_at: Timestamp
    """When it was added to the store."""
    updated_at: Timestamp
    """When it was last changed."""


class Reservation(Model):
    """The open order that has reserved a pet: ``id`` is the pet's, so that no two orders can reserve the same one."""

    id: str
    tenant_id: str
    order_id: str


_WEB_ADDRESS = re.compile(r"(https?://|/v1/pets/)[^\s\u0000]+")


def _web_address(text: str, info: ValidationInfo) -> str:
    if not _WEB_ADDRESS.fullmatch(text):
        raise PydanticCustomError("INVALID_FORMAT", "must be an http or https URL")
    return absolute(text, (info.context or {}).get(PUBLIC_URL, ""))


def absolute(address: str, public_url: str) -> str:
    """An address in a resource: of the store's own, which may be written from its root, the whole."""
    return public_url + address if address.startswith("/") else address


#: A photo's address. One of the store's own becomes absolute, where the context of the check says what it is under.
Photo = Annotated[
    str,
    Field(min_length=1, max_length=2048),
    AfterValidator(_web_address),
    WithJsonSchema({"type": "string", "maxLength": 2048, "pattern": f"^{_WEB_ADDRESS.pattern}$"}),
]


class MedicalInfoDraft(Part):
    """What a client states about a pet's health."""

    LIKE: ClassVar[type[Described] | None] = MedicalInfo

    spayed_neutered: Bool | None = None
    vaccinated: Bool | None = None
    microchipped: Bool | None = None
    special_needs: Bool | None = None
    health_notes: Annotated[Text, Field(max_length=2000)] | None = None


class PetDraft(Body):
    """A pet as a client writes it, whole.

    Without a ``status`` a new pet is AVAILABLE and a replaced one keeps the status it has.
    """

    LIKE: ClassVar[type[Described] | None] = Pet

    READ_ONLY: ClassVar[frozenset[str]] = Body.READ_ONLY | {"ownerId"}
    OLDER_NAMES: ClassVar[Mapping[str, str]] = {"adoptionFee": "price"}

    name: FilledLine = Field(max_length=50)
    species: Species
    breed: Annotated[Line, Field(max_length=100)] | None = None
    age_months: Int = Field(ge=0, le=12_000)
    size: Size | None = None
    color: Annotated[Line, Field(max_length=50)] | None = None
    gender: Gender = Gender.UNKNOWN
    good_with_kids: Bool | None = None
    good_with_dogs: Bool | None = None
    price: Money
    currency: Currency = Currency.USD
    description: Annotated[Text, Field(max_length=4000)] | None = None
    status: PetStatus | None = None
    photos: tuple[Photo, ...] = Field(default=(), max_length=MAX_PHOTOS)
    medical_info: MedicalInfoDraft | None = None


class PetEvent(Model):
    """The pet after the change."""

    pet: Pet
    """The pet after the change."""


class PetDeletedEvent(Model):
    """A pet that was removed."""

    pet_id: str
    """The pet that was removed."""


class PetStatusEvent(Model):
    """The status of a pet changed."""

    pet_id: str
    """The pet."""
    old_status: PetStatus
    """Its status before."""
    new_status: PetStatus
    """Its status now."""
    reason: StatusReason
    """Why it changed."""
    pet: Pet
    """The pet after the change."""


class PetAvailabilityEvent(Model):
    """A pet became available, or is no longer available."""

    pet_id: str
    """The pet."""
    available: bool
    """Whether it is for sale now."""


class AdoptedPet(Model):
    """A summary of the adopted pet."""

    LIKE: ClassVar[type[Described] | None] = Pet

    id: str
    name: str
    species: Species
    status: PetStatus


class Adopter(Model):
    """Who adopted a pet."""

    id: str
    """The user's id."""
    name: str
    """First and last name."""
    email: str
    """The e-mail address."""


class PetAdoptedEvent(Model):
    """A pet was adopted."""

    pet: AdoptedPet
    """The adopted pet."""
    adopter: Adopter | None = None
    """Who adopted it; a visitor is not named."""
    adoption_date: Timestamp
    """When it was adopted."""


PET_CREATED = EventKind(
    "pet.created", ("pets/{pet_id}",), PetEvent, "A pet was added to the store.", public=True
)
PET_UPDATED = EventKind(
    "pet.updated",
    ("pets/{pet_id}",),
    PetEvent,
    "A pet changed in anything other than its status.",
    public=True,
)
PET_DELETED = EventKind(
    "pet.deleted", ("pets/{pet_id}",), PetDeletedEvent, "A pet was removed from the store.", public=True
)
PET_STATUS_CHANGED = EventKind(
    "pet.status_changed",
    ("pets/{pet_id}/status",),
    PetStatusEvent,
    "The status of a pet changed.",
    public=True,
)
PET_AVAILABILITY_CHANGED = EventKind(
    "pet.availability_changed",
    ("pets/{pet_id}/availability",),
    PetAvailabilityEvent,
    "A pet became available, or is no longer available.",
    public=True,
)
PET_ADOPTED = EventKind(
    "pet.adopted", ("pets/{pet_id}/adoption",), PetAdoptedEvent, "A pet was adopted.", personal=True
)

EVENTS = (PET_CREATED, PET_UPDATED, PET_DELETED, PET_STATUS_CHANGED, PET_AVAILABILITY_CHANGED, PET_ADOPTED)
