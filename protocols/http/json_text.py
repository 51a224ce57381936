"""JSON as clients write it."""

import re
from typing import Any

import orjson

from core.kernel.errors import BadRequest

#: An escape sequence of a JSON string; the group is one half of a pair without the other (RFC 8259, section 8.2).
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


#: Members and items of a body in all, lists and objects counted twice: none that makes sense has as many.
MAX_PARTS = 20_000
#: What stands between members and items, and begins lists and objects.
_MARKS = (b",", b"[", b"{")


class LoneSurrogate(BadRequest):
    """A text in it is no Unicode: half of a character. ``value`` is the rest, with U+FFFD in place of each half."""

    def __init__(self, value: Any) -> None:
        super().__init__("Text is Unicode: it must not contain lone surrogates.")
        self.value = value


def read_json(text: str) -> Any:
    """Read a JSON text (RFC 8259).

    Raises:
        ValueError: it is none, or nested too deep.
        LoneSurrogate: it is one, by the grammar alone.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        mended = _ESCAPE.sub(lambda found: r"\ufffd" if found[1] else found[0], text)
        if mended == text:
            raise
        raise LoneSurrogate(orjson.loads(mended)) from None


def has_more_parts(text: bytes, most: int) -> bool:
    """Whether a JSON text has more members and items, lists and objects than that; it is not read for it.

    To read a megabyte of empty lists takes many times what it takes to count them.
    """
    if sum(map(text.count, _MARKS)) <= most:
        return False
    outside = b"".join(text.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2])
    return sum(map(outside.count, _MARKS)) > most
