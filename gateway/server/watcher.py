"""Ends the connections that would otherwise be held for ever: by peers that neither read nor write, or for nothing."""

import asyncio
import logging
from collections.abc import Set as AbstractSet
from typing import Protocol

logger = logging.getLogger(__name__)

#: Looks per time limit, so that a peer is dropped at most an eighth of its limit late.
_LOOKS = 8


class WatchedConnection(Protocol):
    """What the watcher asks of a connection."""

    def stalled_for(self) -> float:
        """Seconds for which the peer has taken nothing though data waits for it."""
        ...

    def silent_for(self) -> float:
        """Seconds for which the peer has owed us input."""
        ...

    def idle_for(self) -> float:
        """Seconds for which neither side has owed the other anything."""
        ...

    def shutdown(self) -> None:
        """End the connection in order, now when it is idle."""
        ...

    def abort(self) -> None:
        """Drop the TCP connection now."""
        ...


class Watcher:
    """Looks after all connections of one server, in one task: a timer for each would cost more than they do.

    `connections` is the server's live set. The limits are in seconds, `idle_limit` for connections without a request.
    The two counts only grow.
    """

    def __init__(
        self,
        connections: AbstractSet[WatchedConnection],
        *,
        stall_limit: float,
        silence_limit: float,
        idle_limit: float,
    ) -> None:
        self._connections = connections
        self._stall_limit = stall_limit
        self._silence_limit = silence_limit
        self._idle_limit = idle_limit
        self.stalled = 0
        self.silent = 0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(min(self._stall_limit, self._silence_limit, self._idle_limit) / _LOOKS)
            self._look()

    def _look(self) -> None:
        for connection in list(self._connections):
            if connection.stalled_for() >= self._stall_limit:
                self.stalled += 1
                logger.info("dropped a connection: its peer read nothing for %g s", self._stall_limit)
                connection.abort()
            elif connection.silent_for() >= self._silence_limit:
                self.silent += 1
                logger.info("dropped a connection: its request was not complete in %g s", self._silence_limit)
                connection.abort()
            elif connection.idle_for() >= self._idle_limit:
                connection.shutdown()
