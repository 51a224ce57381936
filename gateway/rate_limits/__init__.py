"""Rate limits: counted within this process, or for all nodes in Redis.

``in_process``  counted in this process
``redis``       counted in Redis, for all nodes
"""

from gateway.rate_limits.in_process import InProcessRateLimiter
from gateway.rate_limits.redis import RedisRateLimiter

__all__ = ["InProcessRateLimiter", "RedisRateLimiter"]
