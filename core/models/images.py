"""Images of pets: what is kept and shown, and what clients send."""

from typing import Annotated, ClassVar

from pydantic import Field

from core.kernel.describing import Described
from core.kernel.model import Body, ById, Identifier, Line, Resource, Text, Timestamp


class Image(Resource):
    """An image of a pet; its bytes are kept in the image store under its id."""

    pet_id: str
    """The pet that it shows."""
    url: str
    """Where it is served."""
    media_type: str
    """The media type, known by its content."""
    size: int
    """Its size in bytes."""
    additional_metadata: str | None = None
    """What the client noted about it."""
    created_at: Timestamp
    """When it was uploaded."""


class ImageUpload(Body):
    """An image as a client sends it."""

    LIKE: ClassVar[type[Described] | None] = Image

    content: bytes = Field(alias="file", repr=False)
    """The bytes of the image."""
    filename: Annotated[Line, Field(max_length=255)] | None = None
    """The name of the client's file; it is not kept."""
    additional_metadata: Annotated[Text, Field(max_length=2000)] | None = None


class ImageOfPet(ById):
    """One image of one pet: ``id`` is the pet's."""

    image_id: Identifier
    """The id of the image."""
