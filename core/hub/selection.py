"""Selections: what several subscribers want alike; and the index that leads from an event to them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from core.hub.batch import Batch, Entry
from core.hub.viewer import Viewer, names_subject
from core.hub.window import Window
from core.kernel.events import Event
from core.kernel.topics import TopicTrie

if TYPE_CHECKING:
    from core.hub.subscription import Subscription

#: Batches kept for subscribers who come to the same place later; more places than that are rare.
_KEPT_BATCHES = 4


class Selection:
    """The events of the ring that match some filters and that a viewer may see, for all subscribers alike.

    ``dirty`` holds from the first new entry until its subscribers are woken; ``since`` is then the place before
    that entry.
    """

    __slots__ = ("_batches", "dirty", "filters", "members", "since", "viewer", "window")

    def __init__(self, filters: frozenset[str], viewer: Viewer) -> None:
        self.filters = filters
        self.viewer = viewer
        self.members: dict[Subscription, None] = {}
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
                if len(self._batches) == _KEPT_BATCHES:
                    self._batches = {}
                self._batches[position] = batch
        return batch

    def wake(self) -> int:
        """Tell each subscriber who was up to date that there is something to take; says how many.

        Every one gets its place in the log before the first is called, since a callback may publish.
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
                member.notify()
        return len(woken)


class Index:
    """Finds the selections that an event concerns, at a cost that does not depend on the others."""

    def __init__(self) -> None:
        self._everybody: TopicTrie[Selection] = TopicTrie()
        self._staff: TopicTrie[Selection] = TopicTrie()
        self._users: dict[str, TopicTrie[Selection]] = {}
        self._devices: TopicTrie[Selection] = TopicTrie()
        #: Only filters that name their subject.
        self._naming: TopicTrie[Selection] = TopicTrie()

    def find(self, event: Event) -> Iterable[Selection]:
        """The selections whose filters match the event and whose viewer may see it, each once."""
        topics = event.topics
        audience = event.audience
        if audience.public:
            return self._everybody.find(topics)
        found = self._staff.find(topics)
        for user in audience.users:
            if (trie := self._users.get(user)) is not None:
                found.update(trie.find(topics))
        if audience.named:
            found.update(self._naming.find(topics))
        if self._devices:
            found.update((held, None) for held in self._devices.find(topics) if held.viewer.sees(event, ()))
        return found

    def add(self, selection: Selection) -> None:
        """Hold a selection under each of its filters."""
        for trie, pattern in self._ways(selection):
            trie.add(pattern, selection)

    def remove(self, selection: Selection) -> None:
        """Forget a selection."""
        for trie, pattern in self._ways(selection):
            trie.remove(pattern, selection)
        user = selection.viewer.user_id
        if user is not None and not self._users[user]:
            del self._users[user]

    def _ways(self, selection: Selection) -> list[tuple[TopicTrie[Selection], str]]:
        own = self._own(selection.viewer)
        ways = []
        for pattern in selection.filters:
            ways.append((self._everybody, pattern))
            if own is not None:
                ways.append((own, pattern))
            if own is not self._staff and names_subject(pattern):
                ways.append((self._naming, pattern))
        return ways

    def _own(self, viewer: Viewer) -> TopicTrie[Selection] | None:
        if viewer.kind == "staff":
            return self._staff
        if viewer.user_id is not None:
            return self._users.setdefault(viewer.user_id, TopicTrie())
        return self._devices if viewer.grants else None
