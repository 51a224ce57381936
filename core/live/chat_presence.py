"""Who is in which chat on this node."""

from collections import Counter
from collections.abc import Iterator


class ChatPresence:
    """Counts the connections of each user in each chat."""

    def __init__(self) -> None:
        self._connections: Counter[tuple[str, str]] = Counter()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """The ids of chats, each with a user who is there."""
        return iter(list(self._connections))

    def arrive(self, chat_id: str, user_id: str) -> bool:
        """Note that a connection of a user has joined a chat; says whether it is the user's first there."""
        self._connections[(chat_id, user_id)] += 1
        return self._connections[(chat_id, user_id)] == 1

    def leave(self, chat_id: str, user_id: str) -> bool:
        """Note that a connection of a user has left a chat; says whether it was the user's last there."""
        self._connections[(chat_id, user_id)] -= 1
        last = not self._connections[(chat_id, user_id)]
        if last:
            del self._connections[(chat_id, user_id)]
        return last
