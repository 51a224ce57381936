"""Members of bodies, read as leniently as Jackson does, and answers as it writes them."""

import asyncio
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from pydantic_core import from_json

from core.models.classic_calls import OrderView, UserView
from core.models.pets import Pet
from core.services.classic.pets import view_of
from protocols.classic.xml import Element, write
from protocols.http.json_text import MAX_PARTS, has_more_parts

_INT = re.compile(r"\s*[+-]?[0-9]{1,25}\s*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?")
#: Characters of a text that may be a number or a time.
_MAX_CHARACTERS = 64
LARGEST = 2**63 - 1
#: Bytes of a list of pets, and how many of them are encoded before others have their turn.
_MAX_LIST_BYTES, _PETS_AT_ONCE = 8 * 1024 * 1024, 20

#: Reads a value of JSON; None for one that stands for none.
Reader = Callable[[Any], Any]


class BadInput(ValueError):
    """A value is not what its member takes."""


def read_int(value: Any) -> int | None:
    """A whole number: from text too, and without the fraction of one that has one."""
    if isinstance(value, str):
        if not value.strip():
            return None
        if len(value) > _MAX_CHARACTERS or not _INT.fullmatch(value):
            raise BadInput
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadInput
    return value


def read_text(value: Any) -> str:
    """A text, or a number or truth value as one."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        try:
            return str(value)
        except ValueError:  # A number of thousands of digits.
            raise BadInput from None
    raise BadInput


def read_bool(value: Any) -> bool:
    """A truth value: also as text, or 0 for false."""
    if isinstance(value, bool | int):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in ("true", "false", ""):
        return value.strip().lower() == "true"
    raise BadInput


def read_date(value: Any) -> datetime | None:
    """A time: ISO 8601, a date alone, or milliseconds since 1970; without an offset it is in UTC."""
    try:
        if isinstance(value, str):
            text = value.strip()
            if not text:
                return None
            if not re.fullmatch(r"-?\d{5,15}", text):
                if len(text) > _MAX_CHARACTERS or not _DATE.fullmatch(text):
                    raise BadInput
                found = datetime.fromisoformat(text)
                found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
                if found.year < 1000:
                    raise BadInput
                return found
            value = int(text)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadInput
        found = _EPOCH + timedelta(milliseconds=value)
    except (ValueError, OverflowError):
        raise BadInput from None
    if found.year < 1000:
        raise BadInput
    return found


@dataclass(frozen=True, slots=True)
class Items:
    """A list of values of one kind."""

    of: "Kind"


@dataclass(frozen=True, slots=True)
class Shape:
    """An object: its class in the original, and what its members are."""

    name: str
    members: Mapping[str, "Kind"]


Kind = Reader | Items | Shape

_LABEL: Mapping[str, Kind] = {"id": read_int, "name": read_text}
PET = Shape(
    "Pet",
    {
        "id": read_int,
        "category": Shape("Category", _LABEL),
        "name": read_text,
        "photoUrls": Items(read_text),
        "tags": Items(Shape("Tag", _LABEL)),
        "status": read_text,
    },
)
ORDER = Shape(
    "Order",
    {
        "id": read_int,
        "petId": read_int,
        "quantity": read_int,
        "shipDate": read_date,
        "status": read_text,
        "complete": read_bool,
    },
)
USER = Shape(
    "User",
    {
        "id": read_int,
        "username": read_text,
        "firstName": read_text,
        "lastName": read_text,
        "email": read_text,
        "password": read_text,
        "phone": read_text,
        "userStatus": read_int,
    },
)
USERS = Items(USER)


# --- reading ---


def parse_json(body: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        BadInput: it is none, nested too deeply, or has very many members and items.
    """
    if has_more_parts(body, MAX_PARTS):
        raise BadInput
    try:
        return from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError:
        raise BadInput from None


def of_json(kind: Kind, value: Any) -> Any:
    """A value of JSON as the store takes it: without members that nobody knows, and without those that are null.

    Raises:
        BadInput: something in it is not what it should be.
    """
    if isinstance(kind, Shape):
        if not isinstance(value, Mapping):
            raise BadInput
        read = {
            name: of_json(member, value[name])
            for name, member in kind.members.items()
            if value.get(name) is not None
        }
        return {name: one for name, one in read.items() if one is not None}
    if isinstance(kind, Items):
        if not isinstance(value, list):
            raise BadInput
        return [of_json(kind.of, one) for one in value if one is not None]
    return kind(value)


def of_xml(kind: Kind, element: Element) -> Any:
    """An element as the store takes it; what is empty has no value. Names of items, and of the root, do not matter.

    Raises:
        BadInput: something in it is not what it should be, or not known.
    """
    if isinstance(kind, Shape):
        if not element.children and element.text.strip():
            raise BadInput
        read: dict[str, Any] = {}
        for child in element.children:
            if child.name not in kind.members:
                raise BadInput
            value = of_xml(kind.members[child.name], child)
            if value is not None:
                read[child.name] = value
        return read if element.children else None
    if isinstance(kind, Items):
        items = [of_xml(kind.of, child) for child in element.children]
        return [item for item in items if item is not None]
    if element.children:
        raise BadInput
    return kind(element.text) if element.text else None


# --- writing ---


def pet_json(pet: Pet) -> bytes:
    """A pet as JSON, which is kept with it."""
    made = pet.forms.get("classic")
    if made is None:
        made = pet.forms["classic"] = orjson.dumps(pet_members(pet))
    return made


def pet_members(pet: Pet) -> dict[str, Any]:
    """The members of a pet in their order."""
    return view_of(pet).model_dump(mode="json", exclude_none=True)


def order_members(view: OrderView) -> dict[str, Any]:
    """The members of an order in their order; times are written with an offset."""
    members = view.model_dump(mode="json", exclude_none=True)
    if "shipDate" in members:
        members["shipDate"] = members["shipDate"].replace("Z", "+00:00")
    return members


def user_members(view: UserView) -> dict[str, Any]:
    """The members of a user in their order."""
    return view.model_dump(mode="json", exclude_none=True)


async def pets_json(pets: Sequence[Pet]) -> bytes:
    """Pets as JSON, as many of the last as there is room for."""
    return b"[" + b",".join(await _encoded(pets, pet_json)) + b"]"


async def pets_xml(pets: Sequence[Pet]) -> bytes:
    """Pets as XML, as many of the last as there is room for."""
    parts = await _encoded(pets, lambda pet: write("item", pet_members(pet)))
    return b"".join([b"<ArrayList>", *parts, b"</ArrayList>"]) if parts else b"<ArrayList/>"


async def _encoded(pets: Sequence[Pet], encode: Callable[[Pet], bytes]) -> list[bytes]:
    """The last of the pets that fit into one answer; others have their turns meanwhile."""
    parts: list[bytes] = []
    size = 0
    for count, pet in enumerate(reversed(pets), start=1):
        part = encode(pet)
        size += len(part)
        if size > _MAX_LIST_BYTES:
            break
        parts.append(part)
        if count % _PETS_AT_ONCE == 0:
            await asyncio.sleep(0)
    parts.reverse()
    return parts
