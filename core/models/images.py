"""Images of pets: what is kept and shown, and what clients send."""

from typing import Annotated

from pydantic import Field

from core.kernel.model import Body, ById, Identifier, Line, Resource, Text, Timestamp


class Image(Resource):
    """An image of a pet; its bytes are kept in the image store under its id. ``size`` is in bytes."""

    pet_id: str
    url: str
    media_type: str
    size: int
    additional_metadata: str | None = None
    created_at: Timestamp


class ImageUpload(Body):
    """An image as a client sends it: ``file`` is its bytes. The name does not determine its type and is not kept."""

    content: bytes = Field(alias="file", repr=False)
    filename: Annotated[Line, Field(max_length=255)] | None = None
    additional_metadata: Annotated[Text, Field(max_length=2000)] | None = None


class ImageOfPet(ById):
    """One image of one pet: ``id`` is the pet's."""

    image_id: Identifier
