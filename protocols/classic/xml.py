"""XML: read by expat within bounds, without document types, entities or recursion; and written."""

import re
from collections.abc import Mapping
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

#: Elements inside one another, and in all; no body that makes sense has as many.
_MAX_DEPTH, _MAX_ELEMENTS = 16, 2_000
#: Attributes of one element: there may be names of namespaces and schemas, which are passed over.
_MAX_ATTRIBUTES = 20
#: Signs of equality, of which each attribute has one: expat reads a tag with very many of them slowly.
_MAX_EQUALITIES = 2_000
_ENCODINGS = frozenset({"utf-8", "utf-16", "utf-16le", "utf-16be", "iso-8859-1", "us-ascii", "ascii"})
_CHUNK_BYTES = 64 * 1024
#: What no XML document can hold (XML 1.0, section 2.2).
_NO_CHARACTERS = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: The names of items in lists, by the names of these.
_ITEMS = {"photoUrls": "photoUrl", "tags": "tag"}


class BadXml(ValueError):
    """It is not well-formed, has what is refused, or too much of what is not."""


class Element:
    """An element: its name without namespace, its children, and its text."""

    __slots__ = ("children", "name", "texts")

    def __init__(self, name: str) -> None:
        self.name = name
        self.children: list[Element] = []
        #: The text in the parts in which it came.
        self.texts: list[str] = []

    @property
    def text(self) -> str:
        """The text."""
        return "".join(self.texts)


def read(body: bytes, charset: str | None) -> Element:
    """The root of a document. ``charset``: the encoding that the request names, which goes before the document's own.

    Raises:
        BadXml: see there.
    """
    if charset is not None and charset.lower() not in _ENCODINGS:
        raise BadXml("the encoding is not known")
    if body.count(b"=") > _MAX_EQUALITIES:
        raise BadXml("too many attributes")
    reader = _Reader(charset)
    try:
        for start in range(0, len(body), _CHUNK_BYTES):
            reader.parser.Parse(body[start : start + _CHUNK_BYTES], False)
        reader.parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise BadXml(str(error)) from None
    assert reader.root is not None
    return reader.root


class _Reader:
    """Builds the elements as expat tells of them."""

    def __init__(self, charset: str | None) -> None:
        parser = self.parser = expat.ParserCreate(charset)
        parser.buffer_text = True
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.XmlDeclHandler = self._declaration
        # Refused where it begins: nothing inside a document type is looked at.
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.ExternalEntityRefHandler = self._refuse
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:  # noqa: ARG002 - expat's signature
        if encoding is not None and encoding.lower() not in _ENCODINGS:
            raise BadXml("the encoding is not known")

    def _refuse(self, *_: Any) -> int:
        raise BadXml("a document type is refused")

    def _begin(self, name: str, attributes: Mapping[str, str]) -> None:
        self._count += 1
        if self._count > _MAX_ELEMENTS or len(self._open) >= _MAX_DEPTH:
            raise BadXml("too many elements, or too deep")
        if len(attributes) > _MAX_ATTRIBUTES or not all(map(_is_formal, attributes)):
            raise BadXml("attributes are refused")
        element = Element(name.rpartition(":")[2])
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        self._open[-1].texts.append(text)


def _is_formal(attribute: str) -> bool:
    """Whether an attribute only names a namespace or a schema."""
    return attribute == "xmlns" or attribute.startswith(("xmlns:", "xsi:"))


def write(name: str, value: object) -> bytes:
    """An element with the members or items of a value; of what has no value there is none."""
    parts: list[str] = []
    _append(parts, name, value)
    return "".join(parts).encode()


def _append(parts: list[str], name: str, value: object) -> None:
    if isinstance(value, Mapping):
        members = [(key, one) for key, one in value.items() if one is not None]
    elif isinstance(value, list):
        members = [(_ITEMS.get(name, "item"), one) for one in value]
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        parts.append(f"<{name}>{escape(_NO_CHARACTERS.sub(chr(0xFFFD), text))}</{name}>")
        return
    if not members:
        parts.append(f"<{name}/>")
        return
    parts.append(f"<{name}>")
    for key, one in members:
        _append(parts, key, one)
    parts.append(f"</{name}>")
