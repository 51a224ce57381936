"""Devices: what is kept and shown, and what clients send."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from core.kernel.describing import Described
from core.kernel.errors import BadRequest
from core.kernel.model import Body, FilledLine, Identifier, Resource, Text, Timestamp
from core.kernel.topics import FILTER_PATTERN, MAX_FILTER_LENGTH, parse_filter


class Device(Resource):
    """A device that watches pets and orders, with a login of its own."""

    name: str
    """What it is called."""
    username: str
    """The name that it logs in with, made by the store."""
    pet_ids: tuple[str, ...]
    """The pets that it may read."""
    order_ids: tuple[str, ...]
    """The orders that it may read."""
    topics: tuple[str, ...]
    """The topic filters that it may subscribe to."""
    created_at: Timestamp
    """When it was provisioned."""
    updated_at: Timestamp
    """When it was last changed."""


class NewDevice(Device):
    """A new device, with its password."""

    password: str = Field(repr=False)
    """The password that it logs in with; shown only this once."""


def _filter(text: str) -> str:
    try:
        return parse_filter(text)
    except BadRequest as error:
        raise PydanticCustomError("INVALID_FORMAT", "{detail}", {"detail": error.detail}) from None


TopicFilter = Annotated[
    Text,
    AfterValidator(_filter),
    Field(
        json_schema_extra={"pattern": FILTER_PATTERN, "minLength": 1, "maxLength": MAX_FILTER_LENGTH},
    ),
]


class DeviceDraft(Body):
    """What a client sends to provision a device. The pets and orders must exist."""

    LIKE: ClassVar[type[Described] | None] = Device

    name: Annotated[FilledLine, Field(max_length=100)]
    pet_ids: tuple[Identifier, ...] = Field(default=(), max_length=100)
    order_ids: tuple[Identifier, ...] = Field(default=(), max_length=100)
    topics: tuple[TopicFilter, ...] = Field(default=(), max_length=100)
