"""How many connections each caller, and each network, has on this node."""

from collections import Counter
from collections.abc import Iterator

from core.kernel.addresses import network_of
from core.kernel.caller import Caller
from core.kernel.errors import RateLimited
from core.kernel.limits import Limits


class ConnectionCounts:
    """Counts the connections of each caller, and of each network over all tenants, and bounds them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._counts: Counter[tuple[str, str]] = Counter()
        self._of_networks: Counter[str] = Counter()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """The identities of the callers who have any."""
        return iter(list(self._counts))

    def of(self, caller: Caller) -> int:
        """How many connections a caller has."""
        return self._counts[caller.identity]

    def enter(self, caller: Caller) -> None:
        """Count one more.

        Raises:
            RateLimited: the caller has as many as they may, or their network has.
        """
        if self._counts.get(caller.identity, 0) >= self._limits.connections_per_caller:
            raise RateLimited(1, "Too many connections at once.")
        network = network_of(caller.address)
        most = self._limits.network_connections if self._limits.requests_per_minute else 0
        if most and self._of_networks.get(network, 0) >= most:
            raise RateLimited(1, "Too many connections at once from this network address.")
        self._counts[caller.identity] += 1
        self._of_networks[network] += 1

    def move(self, held: Caller, caller: Caller) -> None:
        """Count a connection that belonged to one caller for another.

        Raises:
            RateLimited: the other has as many as they may.
        """
        if held.identity != caller.identity:
            # It leaves first, for the network has one connection all the while.
            self.leave(held)
            try:
                self.enter(caller)
            except RateLimited:
                self.enter(held)
                raise

    def leave(self, caller: Caller) -> None:
        """Count one less."""
        self._counts[caller.identity] -= 1
        if not self._counts[caller.identity]:
            del self._counts[caller.identity]
        network = network_of(caller.address)
        self._of_networks[network] -= 1
        if not self._of_networks[network]:
            del self._of_networks[network]
