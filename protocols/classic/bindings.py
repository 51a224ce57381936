"""Where each operation lies: one row of the table an operation, with what it reads and how it answers."""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from core.models.classic_calls import SaleStatus
from core.models.images import Image
from core.models.pets import Pet
from core.services.classic import orders, pets, users
from core.store.operation import AnyOperation
from protocols.classic.errors import InputError, Sentence, bad_number
from protocols.classic.wire import (
    LARGEST,
    ORDER,
    PET,
    USER,
    USERS,
    BadInput,
    Items,
    Shape,
    order_members,
    pet_json,
    pet_members,
    pets_json,
    pets_xml,
    read_int,
    user_members,
)
from protocols.classic.xml import write as write_xml
from protocols.http.headers import Header

Query = Mapping[str, list[str]]
#: The parameters of the call: made of the query and of the parts of the path.
Params = Callable[[Query, Sequence[str]], dict[str, object]]


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as JSON, and as XML under its root."""

    json: Callable[[], bytes]
    xml: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Listed:
    """A list that may be long, as JSON and as XML; others have their turns while it is written."""

    json: Callable[[], Awaitable[bytes]]
    xml: Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Said:
    """A bare sentence, or with an empty one nothing at all."""

    text: str = ""
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, slots=True)
class Binding:
    """An operation at a method and a path.

    ``show`` makes the answer of the operation's result. ``body``: what its body is. ``missing``: the sentence for
    a body that is not there, where the original has one. ``upload``: the body is a file.
    """

    operation: AnyOperation
    method: str
    path: str
    show: Callable[[Any], Shown | Listed | Said]
    params: Params = lambda _query, _values: {}
    body: Shape | Items | None = None
    missing: str | None = None
    upload: bool = False


# --- parameters ---


def _number(_: Query, values: Sequence[str]) -> dict[str, object]:
    return {"number": _long(values[0])}


def _long(text: str) -> int:
    try:
        number = read_int(text)
    except BadInput:
        raise bad_number(text) from None
    if number is None or not -LARGEST - 1 <= number <= LARGEST:
        raise bad_number(text)
    return number


def _name(_: Query, values: Sequence[str]) -> dict[str, object]:
    return {"username": values[0]}


def _required(query: Query, name: str) -> list[str]:
    """The values of a parameter that must be there: repeated, or apart by commas."""
    if name not in query:
        raise InputError(f"missing required query parameter `{name}`")
    return [value for text in query[name] for value in text.split(",")]


def _statuses(query: Query, _: Sequence[str]) -> dict[str, object]:
    values = _required(query, "status")
    allowed = ", ".join(SaleStatus)
    for value in values:
        if value not in tuple(SaleStatus):
            raise InputError(
                f"query parameter `status value `{value[:100]}` is not in the allowable values `[{allowed}]`"
            )
    return {"status": tuple(dict.fromkeys(values))}


def _tags(query: Query, _: Sequence[str]) -> dict[str, object]:
    tags = tuple(dict.fromkeys(filter(None, _required(query, "tags"))))
    if not tags:
        raise Sentence("No tags provided. Try again?")
    return {"tags": tags}


def _form(query: Query, values: Sequence[str]) -> dict[str, object]:
    params = _number(query, values)
    name = query.get("name", [""])[0]
    if not name.strip():
        raise Sentence("No Name provided. Try again?")
    status = query.get("status", [""])[0]
    return {**params, "name": name, **({"status": status} if status else {})}


def _login(query: Query, _: Sequence[str]) -> dict[str, object]:
    return {name: query[name][0] for name in ("username", "password") if name in query}


# --- answers ---


def _pet(pet: Pet) -> Shown:
    return Shown(lambda: pet_json(pet), lambda: write_xml("Pet", pet_members(pet)))


def _pets(found: list[Pet]) -> Listed:
    return Listed(lambda: pets_json(found), lambda: pets_xml(found))


def _value(root: str, members: Callable[[Any], Any]) -> Callable[[Any], Shown]:
    return lambda result: Shown(
        lambda: orjson.dumps(members(result)), lambda: write_xml(root, members(result))
    )


def _uploaded(image: Image) -> dict[str, object]:
    note = f"additionalMetadata: {image.additional_metadata or ''}\n"
    message = f"{note}File uploaded to {image.url}, {image.size} bytes"
    return {"code": 200, "type": image.media_type, "message": message}


def _counts(found: Mapping[SaleStatus, int]) -> dict[str, int]:
    return {status.value: count for status, count in found.items()}


def _logged_in(_: None) -> Said:
    expires = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = ((b"x-rate-limit", b"5000"), (b"x-expires-after", expires.encode()))
    return Said(f"Logged in user session: {secrets.randbits(63)}", headers)


def _says(text: str = "") -> Callable[[Any], Said]:
    return lambda _: Said(text)


_order = _value("Order", order_members)
_user = _value("User", user_members)
_NO_USER = "No User provided. Try again?"

BINDINGS: tuple[Binding, ...] = (
    Binding(pets.UPDATE_PET, "PUT", "/pet", _pet, body=PET),
    Binding(pets.ADD_PET, "POST", "/pet", _pet, body=PET),
    Binding(pets.FIND_BY_STATUS, "GET", "/pet/findByStatus", _pets, _statuses),
    Binding(pets.FIND_BY_TAGS, "GET", "/pet/findByTags", _pets, _tags),
    Binding(pets.GET_PET, "GET", "/pet/{petId}", _pet, _number),
    Binding(pets.CHANGE_PET, "POST", "/pet/{petId}", _pet, _form),
    Binding(pets.DELETE_PET, "DELETE", "/pet/{petId}", _says("Pet deleted"), _number),
    Binding(
        pets.UPLOAD_PHOTO,
        "POST",
        "/pet/{petId}/uploadImage",
        _value("ApiResponse", _uploaded),
        _number,
        upload=True,
    ),
    Binding(orders.GET_INVENTORY, "GET", "/store/inventory", _value("HashMap", _counts)),
    Binding(
        orders.PLACE_ORDER,
        "POST",
        "/store/order",
        _order,
        body=ORDER,
        missing="No Order provided. Try again?",
    ),
    Binding(orders.GET_ORDER, "GET", "/store/order/{orderId}", _order, _number),
    Binding(orders.DELETE_ORDER, "DELETE", "/store/order/{orderId}", _says(), _number),
    Binding(users.CREATE_USER, "POST", "/user", _user, body=USER, missing=_NO_USER),
    Binding(
        users.CREATE_USERS,
        "POST",
        "/user/createWithList",
        _value("Users", lambda found: [user_members(user) for user in found]),
        body=USERS,
        missing=_NO_USER,
    ),
    Binding(users.LOG_IN, "GET", "/user/login", _logged_in, _login),
    Binding(users.LOG_OUT, "GET", "/user/logout", _says("User logged out")),
    Binding(users.GET_USER, "GET", "/user/{username}", _user, _name),
    Binding(users.UPDATE_USER, "PUT", "/user/{username}", _user, _name, body=USER, missing=_NO_USER),
    Binding(users.DELETE_USER, "DELETE", "/user/{username}", _says(), _name),
)
