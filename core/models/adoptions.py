"""Adoptions: applications for pets; what is kept and shown, what clients send, and the events that they cause."""

from typing import Annotated, ClassVar

from pydantic import Field

from core.kernel.contacts import Email, Phone
from core.kernel.describing import Described
from core.kernel.events import EventKind
from core.kernel.model import (
    Body,
    Bool,
    Choice,
    FilledLine,
    Identifier,
    Model,
    Paged,
    Part,
    Resource,
    Text,
    Timestamp,
)
from core.models.pet_search import CommaList


class AdoptionStatus(Choice):
    """The state of an application: SUBMITTED → UNDER_REVIEW → APPROVED, or REJECTED or WITHDRAWN before that."""

    SUBMITTED = "SUBMITTED"
    """Waiting for the store's staff."""
    UNDER_REVIEW = "UNDER_REVIEW"
    """The store's staff is looking into it."""
    APPROVED = "APPROVED"
    """The pet is the applicant's."""
    REJECTED = "REJECTED"
    """The store said no, or the pet went to somebody else or left the store."""
    WITHDRAWN = "WITHDRAWN"
    """The applicant has changed their mind, or their account is gone."""


class HouseholdType(Choice):
    """The kind of home that the pet would come to, as adoption forms ask for it."""

    HOUSE = "HOUSE"
    """A detached house."""
    APARTMENT = "APARTMENT"
    """A flat in a larger building."""
    CONDO = "CONDO"
    """A flat or house whose owners share grounds and rules."""
    TOWNHOUSE = "TOWNHOUSE"
    """A house that shares walls with its neighbours."""
    MOBILE_HOME = "MOBILE_HOME"
    """A mobile or manufactured home."""
    FARM = "FARM"
    """A farm."""
    OTHER = "OTHER"
    """Any other home."""


class Applicant(Model):
    """Who wants to adopt, as the store can reach them."""

    name: str
    """Their name."""
    email: str
    """Their e-mail address."""
    phone: str | None = None
    """Their phone number (E.164)."""


class Adoption(Resource):
    """An application to adopt a pet. It tells of a person: only the applicant and STAFF ever see it.

    It has no ``collection``: what tells of a person is kept in no cache.
    """

    number: int
    """Counts the applications of a tenant from 1."""
    pet_id: str
    """The pet that is applied for."""
    user_id: str
    """The user who applies."""
    applicant: Applicant
    """Who wants to adopt, and how to reach them."""
    household_type: HouseholdType
    """The kind of home that the pet would come to."""
    has_yard: bool
    """Whether a yard or garden belongs to it."""
    message: str | None = None
    """What the applicant says about themselves."""
    status: AdoptionStatus
    """How far it is."""
    created_at: Timestamp
    """When it was submitted."""
    updated_at: Timestamp
    """When it was last changed."""


class ApplicantDraft(Part):
    """Who wants to adopt, and how the store can reach them."""

    LIKE: ClassVar[type[Described] | None] = Applicant

    name: Annotated[FilledLine, Field(max_length=100)]
    email: Email
    phone: Phone | None = None


class AdoptionDraft(Body):
    """What a client sends to apply for a pet."""

    LIKE: ClassVar[type[Described] | None] = Adoption

    READ_ONLY: ClassVar[frozenset[str]] = Body.READ_ONLY | {"userId", "status"}

    pet_id: Identifier
    applicant: ApplicantDraft
    household_type: HouseholdType
    has_yard: Bool
    message: Annotated[Text, Field(max_length=2000)] | None = None


class AdoptionChange(Body):
    """What can be changed in an application: its status. All other members are read-only."""

    READ_ONLY: ClassVar[frozenset[str]] = frozenset(
        field.alias or name for name, field in Adoption.model_fields.items() if name != "status"
    )

    status: AdoptionStatus
    """The status to move it to."""


class AdoptionFilter(Paged):
    """Which applications to list."""

    status: Annotated[tuple[AdoptionStatus, ...], CommaList] | None = None
    """Only applications with one of these statuses."""
    pet_id: Identifier | None = None
    """Only applications for this pet."""


class AdoptionEvent(Model):
    """An application after a change."""

    adoption: Adoption
    """The application after the change."""


_TOPICS = ("adoptions/{adoption_id}/status",)

ADOPTION_SUBMITTED = EventKind(
    "adoption.submitted", _TOPICS, AdoptionEvent, "Somebody applied for a pet.", personal=True
)
ADOPTION_STATUS_CHANGED = EventKind(
    "adoption.status_changed", _TOPICS, AdoptionEvent, "The status of an application changed.", personal=True
)

EVENTS = (ADOPTION_SUBMITTED, ADOPTION_STATUS_CHANGED)
