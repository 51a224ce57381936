"""Ends connections that would otherwise stay open for ever: stalled, silent and idle ones."""

import asyncio
import logging
from collections.abc import Set as AbstractSet
from typing import Protocol

logger = logging.getLogger(__name__)

#: Checks per time limit, so that a peer is dropped at most an eighth of its limit late.
_CHECKS_PER_LIMIT = 8


class MonitoredConnection(Protocol):
    """What the monitor asks of a connection."""

    def stalled_for(self) -> float:
        """Seconds for which the peer has taken nothing though data waits for it."""
        ...

    def silent_for(self) -> float:
        """Seconds for which the peer has owed input."""
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


class ConnectionMonitor:
    """Checks all connections of one server in one task: a timer for each would cost more than they do.

    `connections` is the server's live set. The limits are in seconds, `idle_limit` for connections without a request.
    ``stalled`` and ``silent`` count the connections dropped so far.
    """

    def __init__(
        self,
        connections: AbstractSet[MonitoredConnection],
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
        """Check until cancelled."""
        while True:
            await asyncio.sleep(
                min(self._stall_limit, self._silence_limit, self._idle_limit) / _CHECKS_PER_LIMIT
            )
            self._check()

    def _check(self) -> None:
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
