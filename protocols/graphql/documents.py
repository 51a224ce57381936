"""The documents that have been found good, as far as memory allows."""

from collections import OrderedDict
from typing import NamedTuple

from graphql import DocumentNode

#: What a tree takes: for each token of its text, and for each character.
_BYTES_PER_TOKEN, _BYTES_PER_CHARACTER = 600, 4


class Document(NamedTuple):
    """A valid document, and the memory that it takes."""

    tree: DocumentNode
    bytes: int


def weigh(tree: DocumentNode, text: str, tokens: int) -> Document:
    """A document of so many tokens with the memory that it takes, more rather than less."""
    return Document(tree, tokens * _BYTES_PER_TOKEN + len(text) * _BYTES_PER_CHARACTER)


class Documents:
    """Documents by their text. Those that nobody has asked for go first when all take more than ``most_bytes``."""

    def __init__(self, most_bytes: int) -> None:
        self.bytes = 0
        self._most_bytes = most_bytes
        self._known: OrderedDict[str, Document] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, text: str) -> Document | None:
        """A document that is remembered."""
        found = self._known.get(text)
        if found is not None:
            self._known.move_to_end(text)
        return found

    def remember(self, text: str, document: Document) -> Document:
        """Remember a document; gives the one that is known already, where many asked for it at once."""
        if (known := self._known.get(text)) is not None:
            return known
        self._known[text] = document
        self.bytes += document.bytes
        while self.bytes > self._most_bytes:
            _, forgotten = self._known.popitem(last=False)
            self.bytes -= forgotten.bytes
        return document
