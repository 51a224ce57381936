"""Failed attempts at secrets: counted, on all nodes together, until who guesses has to wait."""

from core.kernel.errors import RateLimited
from core.kernel.limits import Limits
from core.ports.coordination import RateLimiter

#: Failures within a minute with one name from one network, after which it may not try that name again for a while.
_MAX_FAILURES = 5
_WINDOW_SECONDS = 60


class Attempts:
    """Counts the failures of a network: with one name, and with any."""

    def __init__(self, limiter: RateLimiter, limits: Limits) -> None:
        self._limiter = limiter
        self._limits = limits

    def _counters(self, name: str, network: str) -> list[tuple[str, int]]:
        counters = [(f"login:{name}:{network}", _MAX_FAILURES)]
        most = self._limits.network_failed_logins_per_minute
        if self._limits.requests_per_minute and most:
            # Of a known caller too: accounts are free, and no more guesses come with them.
            counters.append((f"login:{network}", most))
        return counters

    async def check(self, name: str, network: str) -> None:
        """Pass when the network may try once more; ``name`` is unique among all tenants.

        Raises:
            RateLimited: too many failed attempts from this network: with this name, or with any.
        """
        for key, most in self._counters(name, network):
            allowance = await self._limiter.hit(key, most, _WINDOW_SECONDS, cost=0)
            if allowance.remaining <= 0:
                raise RateLimited(max(1, allowance.reset), "Too many failed logins.")

    async def failed(self, name: str, network: str) -> None:
        """Count a failure."""
        for key, most in self._counters(name, network):
            await self._limiter.hit(key, most, _WINDOW_SECONDS)
