"""The index that leads from an event to the selections that it concerns."""

from collections.abc import Iterable

from core.hub.selection import Selection
from core.hub.viewer import Viewer, names_subject
from core.kernel.events import Event
from core.kernel.topics import TopicTrie


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
                found.update((held, None) for held in trie.find(topics) if held.viewer.shows(topics))
        if audience.named:
            found.update(self._naming.find(topics))
        if self._devices and not audience.personal:
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
