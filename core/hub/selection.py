"""Selections: what several subscribers want alike, and where each of them is in it."""

from typing import Protocol

from core.hub.batch import Batch, Entry
from core.hub.viewer import Viewer
from core.hub.window import Window

#: Batches kept for subscribers who come to the same place later; more places than that are rare.
_MAX_KEPT_BATCHES = 4


class Subscriber(Protocol):
    """What is woken: a subscription."""

    def notify(self) -> None:
        """There is something new to take."""


class Member:
    """A live subscriber's place in a selection, from when it joins until it leaves.

    ``position`` is the index in the selection's window of what is taken next. ``since`` is a place up to which the log
    is served, from which it is read after falling behind. ``idle`` holds until the subscriber is notified.
    """

    __slots__ = ("idle", "position", "selection", "since", "subscriber")

    def __init__(self, selection: "Selection", subscriber: Subscriber, since: int) -> None:
        self.selection = selection
        self.subscriber = subscriber
        self.position = selection.window.end
        self.since = since
        self.idle = True


class Selection:
    """The events of the ring that match some filters and that a viewer may see, for all subscribers alike.

    ``dirty`` holds from the first new entry until its members are woken; ``since`` is then the place before that
    entry.
    """

    __slots__ = ("_batches", "dirty", "filters", "members", "since", "viewer", "window")

    def __init__(self, filters: frozenset[str], viewer: Viewer) -> None:
        self.filters = filters
        self.viewer = viewer
        self.members: dict[Member, None] = {}
        self.window: Window[Entry] = Window()
        self.dirty = False
        self.since = 0
        self._batches: dict[int, Batch] = {}

    def append(self, entry: Entry) -> None:
        """Take a new event in."""
        self.window.append(entry)
        if self._batches:
            self._batches = {}

    def batch(self, position: int) -> Batch:
        """Everything from an index of the window on, of which there must be something."""
        batch = self._batches.get(position)
        if batch is None:
            batch = Batch(self.window.cut(position))
            if len(self.members) > 1:
                if len(self._batches) == _MAX_KEPT_BATCHES:
                    self._batches = {}
                self._batches[position] = batch
        return batch

    def wake(self) -> int:
        """Tell each member that was up to date that there is something to take; says how many.

        Every one gets its place in the log before the first is notified, since a callback may publish.
        """
        self.dirty = False
        since, end = self.since, self.window.end
        woken = [member for member in self.members if member.idle and member.position != end]
        for member in woken:
            member.idle = False
            if member.since < since:
                member.since = since
        for member in woken:
            if not member.idle:
                member.subscriber.notify()
        return len(woken)
