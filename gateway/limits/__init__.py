"""Counting requests: within this process, or for all nodes in Redis."""

from gateway.limits.in_process import InProcessRateLimiter
from gateway.limits.redis import RedisRateLimiter

__all__ = ["InProcessRateLimiter", "RedisRateLimiter"]
