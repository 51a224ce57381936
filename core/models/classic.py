"""What the store keeps of pets, orders and users for clients of the classic Petstore API, as these gave it."""

from core.kernel.model import Model, Timestamp


class Label(Model):
    """A number with a name: the category or a tag of a pet."""

    id: int = 0
    """The number that the client gave."""
    name: str | None = None
    """The name."""


class PetLabels(Model):
    """What a classic client gave of a pet that no other door shows."""

    category: Label | None = None
    """The category as it was given; the species was made of it."""
    tags: tuple[Label, ...] = ()
    """The tags, in their order."""
    photo_urls: tuple[str, ...] = ()
    """The addresses of photos as they were given, also those that are none on the web."""


class ClassicOrder(Model):
    """What an order of a classic client has besides: it reserves nothing, and is changed at the classic door only."""

    pet_number: int
    """The number of the pet, whether there is such a pet or not."""
    quantity: int
    """How many, as the client said."""
    ship_date: Timestamp | None = None
    """When it is to be shipped, as the client said."""
    complete: bool
    """Whether it is complete, as the client said."""


class ClassicUser(Model):
    """What a classic client gave of a user that no other door shows."""

    number: int = 0
    """The number that the client gave; it need not be unique."""
    user_status: int = 0
    """1: registered, 2: active, 3: closed; nothing depends on it."""
    phone: str | None = None
    """The phone number as it was given, in whatever form."""
    email: str | None = None
    """The e-mail address as it was given, where it is none or another account's, and so not the user's."""
