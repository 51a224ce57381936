"""What a subscriber who is behind still has to get from the log."""

from collections.abc import Iterable, Mapping

from core.hub.batch import Entry
from core.hub.viewer import Viewer
from core.kernel.events import Event
from core.kernel.topics import TopicTrie

#: Estimated bytes after which a batch from the log ends; one event more than this is a batch of its own.
_BATCH_BYTES = 1 << 20


class CatchUp:
    """How far a subscriber who is behind has read the log: to ``place``.

    ``starts`` says up to where each of the filters has been served before, since it began at its ``origins``.
    """

    __slots__ = ("_trie", "origins", "place", "starts")

    def __init__(self, place: int, starts: Mapping[str, int], origins: Mapping[str, int]) -> None:
        self.place = place
        self.starts = starts
        self.origins = origins
        self._trie: TopicTrie[str] = TopicTrie()
        for pattern in starts:
            self._trie.add(pattern, pattern)

    def advance(self, entries: Iterable[Entry], viewer: Viewer) -> list[Entry]:
        """Go through the entries behind ``place``, up to a batch's size; gives those that are still to be delivered."""
        wanted: list[Entry] = []
        size = 0
        for entry in entries:
            self.place = entry.place
            if self._wants(entry.event, viewer):
                wanted.append(entry)
                size += entry.size
                if size > _BATCH_BYTES:
                    break
        return wanted

    def _wants(self, event: Event, viewer: Viewer) -> bool:
        sequence = event.sequence
        if not sequence:
            return False
        matching = self._trie.find(event.topics)
        due = [pattern for pattern in matching if self.starts[pattern] < sequence]
        if not due or not viewer.sees(event, due):
            return False
        if len(due) == len(matching):
            return True
        done = [pattern for pattern in matching if self.origins[pattern] < sequence <= self.starts[pattern]]
        return not done or not viewer.sees(event, done)
