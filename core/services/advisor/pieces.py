"""What an engine's answer is made of, and how tokens are counted where no server counts them."""

import re
from collections.abc import Sequence
from typing import NamedTuple

#: A token: a word or a number, or one other character that is no white space.
_TOKEN = re.compile(r"\w+|[^\w\s]")


class Ending(NamedTuple):
    """How an answer ends: whether it was cut at the tokens asked for, and the tokens it took."""

    truncated: bool
    prompt_tokens: int
    completion_tokens: int


class Piece(NamedTuple):
    """The next texts of an answer, which joined are what it says; the last piece has its ending."""

    texts: Sequence[str]
    ending: Ending | None = None


def count_tokens(text: str) -> int:
    """The tokens of a text, by the embedded engine's rule."""
    return len(_TOKEN.findall(text))


def tokens_of(text: str) -> list[str]:
    """A text token by token, each with the white space before it; joined they are the text without its end's."""
    return re.findall(r"\s*(?:\w+|[^\w\s])", text)
