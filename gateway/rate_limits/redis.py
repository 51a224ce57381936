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

_KEY_PREFIX = "petstore:limit:"
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
        if self._probing is not None:
            return self._local.count(key, limit, window, cost)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._ask(key, limit, window, cost)
        except _REDIS_ERRORS as error:
            self._trip(error)
            return self._local.count(key, limit, window, cost)

    async def _ask(self, key: str, limit: int, window: int, cost: int) -> Allowance:
        allowed, spent, left = await self._script(keys=[_KEY_PREFIX + key], args=[limit, window * 1000, cost])
        return Allowance(bool(allowed), limit, max(0, limit - spent), math.ceil(left / 1000))

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
                    await self._ask("probe", 1, 1, 0)
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
