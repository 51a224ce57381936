"""How many connections are open from one network address, whatever is done on them."""

import asyncio
from weakref import WeakSet

from core.kernel.addresses import TrustedProxies, network_of

#: Networks after which those without connections are forgotten.
_MAX_NETWORKS = 10_000


class OpenConnections:
    """Bounds the connections of each network, so that one alone cannot take all that the process may open.

    ``most``: 0 is no bound. ``proxies`` have none: they connect for many, and bound each of these themselves.
    """

    def __init__(self, most: int = 0, proxies: TrustedProxies | None = None) -> None:
        self.refused = 0
        self._most = most
        self._proxies = proxies
        # Of transports that have ended nothing is left here, whichever protocol had them at the end.
        self._open: dict[str, WeakSet[asyncio.BaseTransport]] = {}

    def admits(self, transport: asyncio.BaseTransport, address: str) -> bool:
        """Whether there may be one more; if so it counts until it has ended."""
        if not self._most or (self._proxies is not None and self._proxies.trust(address)):
            return True
        network = network_of(address)
        known = self._open.get(network)
        if known is None:
            if len(self._open) >= _MAX_NETWORKS:
                self._open = {name: some for name, some in self._open.items() if some}
            known = self._open[network] = WeakSet()
        if len(known) >= self._most:
            known = self._open[network] = WeakSet(one for one in known if not one.is_closing())
            if len(known) >= self._most:
                self.refused += 1
                return False
        known.add(transport)
        return True
