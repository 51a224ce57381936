"""Topics and topic filters, with the meaning they have in MQTT (MQTT 5.0, section 4.7), on every door."""

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from core.kernel.errors import BadRequest

T = TypeVar("T")

MAX_FILTER_LENGTH = 512
MAX_LEVELS = 16
#: What topic filters look like, for schemas: levels, of which ``+`` stands for one, and ``#`` at the end for the rest.
FILTER_PATTERN = rf"^(\+|#$|[^+#/\u0000]*)(/(\+|#$|[^+#/\u0000]*)){{0,{MAX_LEVELS - 1}}}$"


def parse_filter(text: str) -> str:
    """Check a topic filter and return it.

    Raises:
        BadRequest: it is empty, too long, or ``+`` or ``#`` stand where they may not.
    """
    if not text or len(text) > MAX_FILTER_LENGTH or "\0" in text:
        raise BadRequest(f"A topic filter has 1 to {MAX_FILTER_LENGTH} characters.")
    levels = text.split("/")
    if len(levels) > MAX_LEVELS:
        raise BadRequest(f"A topic filter has at most {MAX_LEVELS} levels.")
    for place, level in enumerate(levels):
        if ("#" in level and (level != "#" or place != len(levels) - 1)) or ("+" in level and level != "+"):
            raise BadRequest(
                f"'{text}' is not a topic filter: '+' stands for one level, '#' for the rest at the end."
            )
    return text


def is_literal(text: str) -> bool:
    """Whether a filter names exactly one topic."""
    return "+" not in text and "#" not in text


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic is matched by a filter. ``pets/#`` matches ``pets`` too (section 4.7.1.2).

    The rule that wildcards skip topics that begin with ``$`` (section 4.7.2) does not apply: the store has none.
    """
    wanted, given = pattern.split("/"), topic.split("/")
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(given) or level not in ("+", given[place]):
            return False
    return len(wanted) == len(given)


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that ``narrow`` matches is matched by ``wide`` too."""
    outer, inner = wide.split("/"), narrow.split("/")
    for place, level in enumerate(outer):
        if level == "#":
            return True
        if place >= len(inner) or inner[place] == "#" or (level != "+" and level != inner[place]):
            return False
    return len(outer) == len(inner)


class TopicTrie(Generic[T]):
    """Maps topic filters to values, and finds the values of all filters that match a topic.

    The cost of a look-up depends on the levels of the topic, not on the number of filters held.
    """

    __slots__ = ("_children", "_values")

    def __init__(self) -> None:
        self._children: dict[str, TopicTrie[T]] = {}
        self._values: dict[T, None] = {}

    def add(self, pattern: str, value: T) -> None:
        """Add a value under a filter; once, however often it is added."""
        node = self
        for level in pattern.split("/"):
            node = node._children.setdefault(level, TopicTrie())
        node._values[value] = None

    def remove(self, pattern: str, value: T) -> None:
        """Remove a value from a filter, and the nodes that this leaves empty."""
        path: list[tuple[TopicTrie[T], str]] = []
        node = self
        for level in pattern.split("/"):
            path.append((node, level))
            node = node._children[level]
        del node._values[value]
        for parent, level in reversed(path):
            child = parent._children[level]
            if child._values or child._children:
                break
            del parent._children[level]

    def find(self, topics: Iterable[str]) -> dict[T, None]:
        """The values of every filter that matches one of the topics, each once."""
        found: dict[T, None] = {}
        for topic in topics:
            for node in self._nodes(topic.split("/"), 0):
                found.update(node._values)
        return found

    def _nodes(self, levels: list[str], place: int) -> Iterator["TopicTrie[T]"]:
        if (rest := self._children.get("#")) is not None:
            yield rest
        if place == len(levels):
            if self._values:
                yield self
            return
        for level in (levels[place], "+"):
            if (child := self._children.get(level)) is not None:
                yield from child._nodes(levels, place + 1)

    def __bool__(self) -> bool:
        return bool(self._children)
