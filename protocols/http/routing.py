"""Finding what a path and a method lead to.

A tree of path segments instead of Starlette's list of patterns: one step a segment however many routes there are,
and one place that knows every method of a path, which ``Allow`` needs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Place(Generic[T]):
    """What lies at one path: its template, and a target for each method. ``allow`` is the ``Allow`` header."""

    template: str
    methods: dict[str, T] = field(default_factory=dict)
    allow: bytes = b""


@dataclass(slots=True)
class _Node(Generic[T]):
    children: "dict[str, _Node[T]]" = field(default_factory=dict)
    wildcard: "_Node[T] | None" = None
    place: Place[T] | None = None


class Routes(Generic[T]):
    """Paths such as ``/v1/pets/{id}``. A literal segment goes before a placeholder."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, method: str, template: str, target: T) -> None:
        """Lead a method of a path to a target; GET brings HEAD, and every path takes OPTIONS."""
        node = self._root
        for segment in template.split("/")[1:]:
            if segment.startswith("{"):
                node.wildcard = node = node.wildcard or _Node()
            else:
                node = node.children.setdefault(segment, _Node())
        if node.place is None:
            node.place = Place(template)
        methods = node.place.methods
        methods[method] = target
        if method == "GET":
            methods["HEAD"] = target
        node.place.allow = ", ".join([*methods, "OPTIONS"]).encode()

    def find(self, path: str, values: list[str]) -> Place[T] | None:
        """What lies at a path; what stands for its placeholders is appended to ``values``."""
        node = self._root
        for segment in path.split("/")[1:]:
            following = node.children.get(segment)
            if following is None:
                following = node.wildcard
                if following is None or not segment:
                    return None
                values.append(segment)
            node = following
        return node.place

    def __iter__(self) -> Iterator[Place[T]]:
        """Every place, in the order in which the tree holds them."""
        waiting = [self._root]
        while waiting:
            node = waiting.pop()
            if node.place is not None:
                yield node.place
            waiting.extend(node.children.values())
            if node.wildcard is not None:
                waiting.append(node.wildcard)
