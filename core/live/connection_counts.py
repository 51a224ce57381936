"""How many connections each caller has on this node."""

from collections import Counter
from collections.abc import Iterator

from core.kernel.caller import Caller
from core.kernel.errors import RateLimited


class ConnectionCounts:
    """Counts the connections of each caller, and bounds them."""

    def __init__(self, connections_per_caller: int) -> None:
        self._connections_per_caller = connections_per_caller
        self._counts: Counter[tuple[str, str]] = Counter()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """The identities of the callers who have any."""
        return iter(list(self._counts))

    def of(self, caller: Caller) -> int:
        """How many connections a caller has."""
        return self._counts[caller.identity]

    def enter(self, caller: Caller) -> None:
        """Count one more.

        Raises:
            RateLimited: the caller has as many as they may.
        """
        if self._counts[caller.identity] >= self._connections_per_caller:
            raise RateLimited(1, "Too many connections at once.")
        self._counts[caller.identity] += 1

    def move(self, held: Caller, caller: Caller) -> None:
        """Count a connection that belonged to one caller for another.

        Raises:
            RateLimited: the other has as many as they may.
        """
        if held.identity != caller.identity:
            self.enter(caller)
            self.leave(held)

    def leave(self, caller: Caller) -> None:
        """Count one less."""
        self._counts[caller.identity] -= 1
        if not self._counts[caller.identity]:
            del self._counts[caller.identity]
