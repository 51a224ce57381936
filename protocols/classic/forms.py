"""Bodies of web forms: a field for each member, where one that is no text has JSON in it."""

from typing import Any
from urllib.parse import parse_qsl

from protocols.classic.wire import BadInput, Items, Shape, of_json, parse_json

#: Bytes of a form: to decode a megabyte of percent signs would hold up everybody else.
MAX_BYTES = 64 * 1024
_MAX_FIELDS = 200


def read_form(shape: Shape, body: bytes) -> dict[str, Any]:
    """A form as the store takes it. Fields that nobody knows are passed over; one that is a list may be there often.

    Raises:
        BadInput: it is no form, has too many fields, or something in it is not what it should be.
    """
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise BadInput from None
    found: dict[str, Any] = {}
    for name, text in fields:
        kind = shape.members.get(name)
        if isinstance(kind, Items):
            found.setdefault(name, []).extend(_items(kind, text))
        elif isinstance(kind, Shape):
            if text.strip():
                found[name] = parse_json(text.encode())
        elif kind is not None:
            found[name] = text
    members: dict[str, Any] = of_json(shape, found)
    return members


def _items(kind: Items, text: str) -> list[Any]:
    """The items that a field has: a list in JSON, one object in JSON, or a text as it is."""
    if not text.strip():
        return []
    if text.lstrip().startswith("["):
        items = parse_json(text.encode())
        return items if isinstance(items, list) else [items]
    return [parse_json(text.encode())] if isinstance(kind.of, Shape) else [text]
