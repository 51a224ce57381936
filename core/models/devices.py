"""Devices: what is kept and shown, and what clients send."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from core.kernel.errors import BadRequest
from core.kernel.model import Body, FilledLine, Identifier, Resource, Text, Timestamp
from core.kernel.topics import FILTER_PATTERN, MAX_FILTER_LENGTH, parse_filter


class Device(Resource):
    """A device that watches pets and orders, with a login of its own.

    It may read the pets and orders listed here, and subscribe to ``topics``, which are topic filters.
    """

    name: str
    username: str
    pet_ids: tuple[str, ...]
    order_ids: tuple[str, ...]
    topics: tuple[str, ...]
    created_at: Timestamp
    updated_at: Timestamp


class NewDevice(Device):
    """A new device: ``password`` is shown only this once."""

    password: str = Field(repr=False)


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

    name: Annotated[FilledLine, Field(max_length=100)]
    pet_ids: tuple[Identifier, ...] = Field(default=(), max_length=100)
    order_ids: tuple[Identifier, ...] = Field(default=(), max_length=100)
    topics: tuple[TopicFilter, ...] = Field(default=(), max_length=100)
