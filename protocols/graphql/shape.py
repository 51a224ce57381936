"""What a document holds, counted on its tokens: in linear time, before anything is made of it."""

from collections import Counter
from collections.abc import Iterator

from graphql import GraphQLError, Lexer, Source, Token, TokenKind

#: Characters of a document: what is no token (space, and the inside of texts) is read one by one.
MAX_CHARACTERS = 32_768
#: What there may be of each kind. What is done with a document grows with its tokens, and with some of them faster:
#: each operation is checked with each fragment that it uses.
MOST = {
    "tokens": 2_000,
    "operations and fragments": 50,
    "selections": 1_000,
    "aliases": 30,
    "fragment spreads": 100,
    "directives": 100,
    "parts of arguments": 1_000,
    "introspections": 10,
}
#: Pairs of selections with one name, as two names 200 times each. Whether fields can be merged is checked pair by pair.
MAX_PAIRS = 40_000
#: Brackets within brackets, of whatever kind.
MAX_NESTING = 32

_OPENING = (TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L)
_CLOSING = (TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R)


def size_of(text: str) -> int:
    """How many tokens a document has.

    Raises:
        GraphQLError: it has too much of something, or what is no token.
    """
    if len(text) > MAX_CHARACTERS:
        raise GraphQLError(f"The document has more than {MAX_CHARACTERS} characters.")
    shape = _Shape()
    for token in _tokens(text):
        shape.add(token)
    return shape.counts["tokens"]


def _tokens(text: str) -> Iterator[Token]:
    """The tokens one after the other, comments among them; none is kept."""
    lexer = Lexer(Source(text))
    end = 0
    while (token := lexer.read_next_token(end)).kind is not TokenKind.EOF:
        yield token
        end = token.end


class _Shape:
    """Counts what a document holds. Whether it is one at all is left to the parser."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._names: Counter[str] = Counter()
        self._pairs = 0
        self._open: list[TokenKind] = []
        self._parentheses = 0
        #: The kind of the token before, as far as it matters to the next; SPREAD also for the word ``on`` behind one.
        self._before: TokenKind | None = None

    def add(self, token: Token) -> None:
        """Count one token.

        Raises:
            GraphQLError: it is one too many.
        """
        self._count("tokens")
        kind = token.kind
        if self._parentheses:
            self._count("parts of arguments")
        if kind in _OPENING:
            self._enter(kind)
        elif kind in _CLOSING:
            if self._open and self._open.pop() is TokenKind.PAREN_L:
                self._parentheses -= 1
        elif kind is TokenKind.AT:
            self._count("directives")
        elif self._open and not self._parentheses:
            self._select(token)
        if not (self._before is TokenKind.SPREAD and token.value == "on"):
            self._before = kind

    def _enter(self, kind: TokenKind) -> None:
        if kind is TokenKind.BRACE_L and not self._open:
            self._count("operations and fragments")
        self._open.append(kind)
        self._parentheses += kind is TokenKind.PAREN_L
        if len(self._open) > MAX_NESTING:
            raise GraphQLError(f"The document is nested more than {MAX_NESTING} brackets deep.")

    def _select(self, token: Token) -> None:
        """Count what stands in a selection set."""
        match token.kind:
            case TokenKind.SPREAD:
                self._count("fragment spreads")
            case TokenKind.COLON:
                self._count("aliases")
            case TokenKind.NAME if self._before not in (TokenKind.SPREAD, TokenKind.AT):
                name = token.value or ""
                if name.startswith("__") and name != "__typename":
                    self._count("introspections")
                if self._before is not TokenKind.COLON:  # An alias has been counted for its field.
                    self._count("selections")
                    self._pairs += self._names[name]
                    self._names[name] += 1
                    if self._pairs > MAX_PAIRS:
                        raise GraphQLError("The document selects fields of one name too often.")
            case _:
                pass

    def _count(self, what: str) -> None:
        self.counts[what] += 1
        if self.counts[what] > MOST[what]:
            raise GraphQLError(f"The document has more than {MOST[what]} {what}.")
