"""Rate limits counted in Redis, for all nodes together."""

import asyncio
import logging
import math
from importlib.resources import files

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core.ports.coordination import Allowance
from gateway.rate_limits.in_process import InProcessRateLimiter

log = logging.getLogger(__name__)

#: What stands in braces is all that Redis Cluster makes a key's slot of (its "hash tag"): one script may use several
#: keys only where they lie in one slot. So the counters of all callers lie on one node of a cluster.
_KEY_PREFIX = "{petstore:limit}:"
_MAX_CONNECTIONS = 32
_REDIS_ERRORS = (RedisError, OSError, TimeoutError)


class RedisRateLimiter:
    """Counts in Redis; while it is unavailable, each node counts for itself.

    The first request that waits longer than ``timeout`` seconds opens a circuit breaker: until a probe gets a reply
    again, no request asks Redis. So a Redis that is down or frozen delays only a few requests, and each of them
    briefly.
    """

    def __init__(self, url: str, *, timeout: float = 0.25, probe_seconds: float = 1.0) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_MAX_CONNECTIONS,
            timeout=None,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._client = Redis.from_pool(pool)
        self._script = self._client.register_script(
            files("gateway.rate_limits").joinpath("hit.lua").read_text()
        )
        self._timeout = timeout
        self._probe_seconds = probe_seconds
        self._local = InProcessRateLimiter()
        self._probing: asyncio.Task[None] | None = None

    @property
    def healthy(self) -> bool:
        """Whether Redis counts, according to the last request."""
        return self._probing is None

    async def hit(self, key: str, limit: int, window: int, cost: int = 1) -> Allowance:
        """Spend ``cost`` of the key's budget of ``limit`` per ``window`` seconds; a cost of 0 only reads."""
        if (answer := await self._ask(((key, limit),), window, cost)) is not None:
            return answer[0]
        return self._local.count(key, limit, window, cost)

    async def hit_both(
        self, key: str, limit: int, outer: str, outer_limit: int, window: int, cost: int = 1
    ) -> tuple[Allowance, Allowance]:
        """Spend ``cost`` of two budgets, of both or of neither, in one round trip; gives both."""
        if (answer := await self._ask(((key, limit), (outer, outer_limit)), window, cost)) is not None:
            return answer[0], answer[1]
        return self._local.count_both(key, limit, outer, outer_limit, window, cost)

    async def _ask(
        self, budgets: tuple[tuple[str, int], ...], window: int, cost: int
    ) -> list[Allowance] | None:
        """What Redis says; None when it is unavailable."""
        if self._probing is not None:
            return None
        try:
            async with asyncio.timeout(self._timeout):
                return await self._spend(budgets, window, cost)
        except _REDIS_ERRORS as error:
            self._trip(error)
            return None

    async def _spend(self, budgets: tuple[tuple[str, int], ...], window: int, cost: int) -> list[Allowance]:
        keys = [_KEY_PREFIX + key for key, _ in budgets]
        answer = await self._script(keys=keys, args=[window * 1000, cost, *(limit for _, limit in budgets)])
        return [
            Allowance(
                bool(answer[3 * place]),
                limit,
                max(0, limit - answer[3 * place + 1]),
                math.ceil(answer[3 * place + 2] / 1000),
            )
            for place, (_, limit) in enumerate(budgets)
        ]

    def _trip(self, error: Exception) -> None:
        if self._probing is None:
            log.warning("rate limits are counted on this node alone", extra={"error": repr(error)})
            self._probing = asyncio.create_task(self._probe(), name="rate limit probe")

    async def _probe(self) -> None:
        """Probe Redis until it answers."""
        while True:
            await asyncio.sleep(self._probe_seconds)
            try:
                async with asyncio.timeout(self._timeout):
                    await self._spend((("probe", 1),), 1, 0)
            except _REDIS_ERRORS:
                continue
            log.info("rate limits are shared again")
            self._probing = None
            return

    async def close(self) -> None:
        """Free the connections."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await self._client.aclose()
        await self._client.connection_pool.disconnect()
