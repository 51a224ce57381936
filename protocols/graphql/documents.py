"""The documents that have been found good, as far as memory allows."""

from collections import OrderedDict
from typing import NamedTuple

from graphql import DocumentNode, NameNode, Node, SelectionSetNode, Token, TokenKind, TypeNode

#: What a tree takes: for each token of its text, and for each character.
_BYTES_PER_TOKEN, _BYTES_PER_CHARACTER = 600, 4
#: Stands where a tree needs no token any more.
_NO_TOKEN = Token(TokenKind.SOF, 0, 0, 0, 0)


class Document(NamedTuple):
    """A valid document, and the memory that it takes."""

    tree: DocumentNode
    bytes: int


def weigh(tree: DocumentNode, text: str, tokens: int) -> Document:
    """A document of so many tokens with the memory that it takes, more rather than less."""
    return Document(tree, tokens * _BYTES_PER_TOKEN + len(text) * _BYTES_PER_CHARACTER)


def trim(node: Node) -> None:
    """Forget what only the checks need: where parts stand that no error of an execution is about, and the tokens.

    Half of what there is goes. The tokens lead to one another and back, so that a tree that has them waits for the
    garbage collector when it is let go; and that holds the loop for longer, the more there is for it to look at.
    """
    for name in node.keys:
        part = getattr(node, name, None)
        for one in part if isinstance(part, list | tuple) else (part,):
            if isinstance(one, Node):
                trim(one)
    # Nodes are not to be changed, which nobody has seen yet.
    if isinstance(node, NameNode | SelectionSetNode | TypeNode):
        object.__setattr__(node, "loc", None)
    elif node.loc is not None:
        node.loc.start_token = node.loc.end_token = _NO_TOKEN


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
