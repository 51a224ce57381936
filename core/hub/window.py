"""A list that grows at one end, shrinks at the other, and keeps its indices."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Window(Generic[T]):
    """Items with lasting indices from ``start`` up to, not including, ``end``.

    A deque would need a walk from its ends to cut out a part.
    """

    __slots__ = ("_items", "_offset", "end", "start")

    def __init__(self) -> None:
        self._items: list[T] = []
        #: The index of the first item of the list; items below ``start`` wait there to be deleted many at once.
        self._offset = 0
        self.start = 0
        self.end = 0

    def __len__(self) -> int:
        return self.end - self.start

    def append(self, item: T) -> None:
        """Add an item at the end."""
        self._items.append(item)
        self.end += 1

    def drop(self) -> T:
        """Remove the oldest item and return it."""
        item = self._items[self.start - self._offset]
        self.start += 1
        if self.start - self._offset > len(self):
            del self._items[: self.start - self._offset]
            self._offset = self.start
        return item

    def cut(self, first: int, last: int | None = None) -> list[T]:
        """The items from index ``first`` up to, not including, ``last`` (the end)."""
        return self._items[first - self._offset : None if last is None else last - self._offset]

    def __getitem__(self, index: int) -> T:
        return self._items[index - self._offset]
