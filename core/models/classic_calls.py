"""What clients of the classic Petstore API ask for and send, and how they see pets, orders and users."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field, StrictInt

from core.kernel.describing import Described
from core.kernel.model import WHOLE, Body, Bool, FilledLine, Model, Params, Part, Text, Timestamp
from core.models.classic import Label
from core.models.images import ImageUpload
from core.models.orders import OrderStatus
from core.models.pets import MAX_PHOTOS, PetStatus
from core.models.users import ClassicUsername, Secret

_LARGEST = 2**63 - 1
Int64 = Annotated[StrictInt, Field(ge=-_LARGEST - 1, le=_LARGEST), WHOLE]
Int32 = Annotated[StrictInt, Field(ge=-(2**31), le=2**31 - 1), WHOLE]
_ShortText = Annotated[Text, Field(max_length=200)]
MAX_TAGS = 50


class SaleStatus(StrEnum):
    """Whether a pet is for sale, in classic words."""

    AVAILABLE = "available"
    PENDING = "pending"
    SOLD = "sold"


class DeliveryStatus(StrEnum):
    """How far an order is, in classic words."""

    PLACED = "placed"
    APPROVED = "approved"
    DELIVERED = "delivered"


#: What each status is in classic words; a cancelled order is one that is not there.
SALE_STATUS = {
    PetStatus.AVAILABLE: SaleStatus.AVAILABLE,
    PetStatus.PENDING: SaleStatus.PENDING,
    PetStatus.NOT_AVAILABLE: SaleStatus.PENDING,
    PetStatus.ADOPTED: SaleStatus.SOLD,
}
DELIVERY_STATUS = {
    OrderStatus.PLACED: DeliveryStatus.PLACED,
    OrderStatus.APPROVED: DeliveryStatus.APPROVED,
    OrderStatus.SHIPPED: DeliveryStatus.APPROVED,
    OrderStatus.DELIVERED: DeliveryStatus.DELIVERED,
}


# --- parameters ---


class ByNumber(Params):
    """A pet or an order by its number."""

    number: int = Field(ge=-_LARGEST - 1, le=_LARGEST)
    """The number."""


class ByStatus(Params):
    """Pets of one status or several."""

    status: tuple[SaleStatus, ...] = Field(max_length=100)
    """The statuses."""


class ByTags(Params):
    """Pets with one tag or several."""

    tags: tuple[str, ...] = Field(max_length=20)
    """The names of the tags: a pet needs one of them."""


class PetChange(ByNumber):
    """A new name and status of a pet."""

    name: FilledLine = Field(max_length=50)
    """The name."""
    status: SaleStatus | None = None
    """The status; without it the present one stays."""


class ByName(Params):
    """A user by name."""

    username: str = Field(max_length=100)
    """The user name."""


class Credentials(Params):
    """A user name with its password."""

    username: str | None = Field(default=None, max_length=100)
    """The user name."""
    password: Secret | None = None
    """The password."""


# --- bodies ---


class LabelDraft(Part):
    """A number with a name."""

    LIKE: ClassVar[type[Described] | None] = Label

    id: Int64 = 0
    name: _ShortText | None = None


class PetByNumber(Body):
    """A whole pet; without a number it gets one."""

    number: Int64 | None = Field(default=None, alias="id")
    """The number of the pet."""
    name: FilledLine = Field(max_length=50)
    """What the pet is called."""
    category: LabelDraft | None = None
    """What kind of animal it is: the names of species are understood."""
    photo_urls: tuple[Annotated[Text, Field(max_length=2048)], ...] = Field(default=(), max_length=MAX_PHOTOS)
    """Where its photos are."""
    tags: tuple[LabelDraft, ...] = Field(default=(), max_length=MAX_TAGS)
    """Its tags."""
    status: SaleStatus | None = None
    """Whether it is for sale; a new pet is unless this says otherwise."""


class PhotoOfNumber(ImageUpload):
    """An image of a pet."""


class OrderByNumber(Body):
    """A whole order; without a number it gets one."""

    number: Int64 | None = Field(default=None, alias="id")
    """The number of the order."""
    pet_number: Int64 = Field(default=0, alias="petId")
    """The number of the pet, which need not be there."""
    quantity: Int32 = 0
    """How many."""
    ship_date: AwareDatetime | None = None
    """When to ship it."""
    status: DeliveryStatus = DeliveryStatus.PLACED
    """How far it is."""
    complete: Bool = False
    """Whether it is complete."""


class UserByName(Body):
    """A whole user."""

    number: Int64 = Field(default=0, alias="id")
    """The number of the user."""
    username: ClassicUsername
    """The user name, unique in the tenant ignoring case."""
    first_name: _ShortText | None = None
    """The first name."""
    last_name: _ShortText | None = None
    """The last name."""
    email: Annotated[Text, Field(max_length=254)] | None = None
    """The e-mail address; what is none, or another account's, is kept as a text and shown here alone."""
    password: Secret | None = None
    """A new password; without one, or with what is shown in place of it, the present one stays."""
    phone: _ShortText | None = None
    """The phone number, in whatever form."""
    user_status: Int32 = 0
    """1: registered, 2: active, 3: closed."""


class UsersByName(Body):
    """Several whole users."""

    users: tuple[UserByName, ...]
    """The users; of two with one name the last counts."""


# --- answers ---


class PetView(Model):
    """A pet as classic clients see it."""

    id: int
    """The number of the pet."""
    category: Label | None = None
    """What kind of animal it is."""
    name: str
    """What the pet is called."""
    photo_urls: tuple[str, ...] = ()
    """Where its photos are."""
    tags: tuple[Label, ...] = ()
    """Its tags."""
    status: SaleStatus
    """Whether it is for sale."""


class OrderView(Model):
    """An order as classic clients see it."""

    id: int
    """The number of the order."""
    pet_id: int
    """The number of the pet."""
    quantity: int
    """How many."""
    ship_date: Timestamp | None = None
    """When to ship it."""
    status: DeliveryStatus
    """How far it is."""
    complete: bool
    """Whether it is complete."""


class UserView(Model):
    """A user as classic clients see them."""

    id: int
    """The number of the user."""
    username: str
    """The user name."""
    first_name: str | None = None
    """The first name."""
    last_name: str | None = None
    """The last name."""
    email: str | None = None
    """The e-mail address."""
    password: str
    """What stands for the password, which is never shown."""
    phone: str | None = None
    """The phone number."""
    user_status: int
    """1: registered, 2: active, 3: closed."""
