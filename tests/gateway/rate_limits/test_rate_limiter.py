"""One contract for every rate limiter, and what happens when Redis goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from core.kernel.ids import new_id
from core.ports.coordination import Allowance, RateLimiter
from gateway.rate_limits.in_process import InProcessRateLimiter
from gateway.rate_limits.redis import RedisRateLimiter
from tests.servers import RedisServer
from tests.waiting import TIMEOUT_SECONDS, eventually


@asynccontextmanager
async def opened(url: str, timeout: float = 5) -> AsyncIterator[RedisRateLimiter]:
    limiter = RedisRateLimiter(url, timeout=timeout, probe_seconds=0.05)
    yield limiter
    await limiter.close()


@pytest.fixture
async def shared(redis_server: RedisServer) -> AsyncIterator[RedisRateLimiter]:
    async with opened(redis_server.url) as limiter:
        yield limiter


@pytest.fixture(params=["in process", "Redis"])
def limiter(request: pytest.FixtureRequest) -> RateLimiter:
    if request.param == "Redis":
        found: RateLimiter = request.getfixturevalue("shared")
        return found
    return InProcessRateLimiter()


def fresh(allowance: Allowance) -> Allowance:
    """As it would be on a machine on which no second passes in a test: all windows here have 60."""
    assert 1 <= allowance.reset <= 60
    return allowance._replace(reset=60)


async def test_each_hit_spends_from_the_budget(limiter: RateLimiter) -> None:
    key = new_id()
    assert [fresh(await limiter.hit(key, 3, 60)) for _ in range(4)] == [
        Allowance(True, 3, 2, 60),
        Allowance(True, 3, 1, 60),
        Allowance(True, 3, 0, 60),
        Allowance(False, 3, 0, 60),
    ]


async def test_keys_do_not_share_a_budget(limiter: RateLimiter) -> None:
    one, two = new_id(), new_id()
    assert (await limiter.hit(one, 1, 60)).allowed
    assert (await limiter.hit(two, 1, 60)).allowed
    assert not (await limiter.hit(one, 1, 60)).allowed


async def test_a_cost_is_spent_whole_or_not_at_all(limiter: RateLimiter) -> None:
    key = new_id()
    assert fresh(await limiter.hit(key, 10, 60, 6)) == Allowance(True, 10, 4, 60)
    assert fresh(await limiter.hit(key, 10, 60, 5)) == Allowance(False, 10, 4, 60)
    assert fresh(await limiter.hit(key, 10, 60, 4)) == Allowance(True, 10, 0, 60)


async def test_a_cost_of_nothing_only_looks(limiter: RateLimiter) -> None:
    key = new_id()
    assert fresh(await limiter.hit(key, 2, 60, 0)) == Allowance(True, 2, 2, 60)
    await limiter.hit(key, 2, 60)
    assert fresh(await limiter.hit(key, 2, 60, 0)) == Allowance(True, 2, 1, 60)


async def test_two_budgets_are_spent_together_or_not_at_all(limiter: RateLimiter) -> None:
    one, two, both = new_id(), new_id(), new_id()

    async def hit(key: str, cost: int = 1) -> tuple[bool, int, bool, int]:
        own, outer = await limiter.hit_both(key, 3, both, 5, 60, cost)
        assert (own.limit, outer.limit) == (3, 5)
        return own.allowed, own.remaining, outer.allowed, outer.remaining

    assert [await hit(one) for _ in range(4)] == [
        (True, 2, True, 4), (True, 1, True, 3), (True, 0, True, 2), (False, 0, True, 2),
    ]  # fmt: skip
    assert [await hit(two, 2), await hit(two, 1)] == [(True, 1, True, 0), (True, 1, False, 0)]
    assert await hit(two, 0) == (True, 1, True, 0)
    assert fresh(await limiter.hit(both, 5, 60, 0)) == Allowance(True, 5, 0, 60)


async def test_many_at_once_get_exactly_the_outer_budget(limiter: RateLimiter) -> None:
    both = new_id()
    answers = await asyncio.gather(*(limiter.hit_both(new_id(), 9, both, 20, 60) for _ in range(100)))
    assert sum(own.allowed and outer.allowed for own, outer in answers) == 20


async def test_looking_starts_no_window(limiter: RateLimiter) -> None:
    key = new_id()
    await limiter.hit(key, 2, 1, 0)
    assert (await limiter.hit(key, 2, 60)).reset == 60


async def test_the_budget_is_whole_again_after_the_window(limiter: RateLimiter) -> None:
    key = new_id()
    assert (await limiter.hit(key, 1, 3)).allowed
    assert not (await limiter.hit(key, 1, 3)).allowed

    async def allowed() -> bool:
        return (await limiter.hit(key, 1, 3)).allowed

    await eventually(allowed)


async def test_many_at_once_get_exactly_the_budget(limiter: RateLimiter) -> None:
    key = new_id()
    answers = await asyncio.gather(*(limiter.hit(key, 20, 60) for _ in range(100)))
    assert sum(answer.allowed for answer in answers) == 20


async def test_a_key_may_be_any_text(limiter: RateLimiter) -> None:
    for key in ("", "ä ö", "a\nb", "x" * 1000, "address:::1"):
        assert (await limiter.hit(f"{new_id()}{key}", 1, 60)).allowed


# --- in process ---


async def test_memory_is_bounded_and_ended_windows_go_first() -> None:
    now = [0.0]
    limiter = InProcessRateLimiter(now=lambda: now[0], max_keys=10)
    for number in range(100):
        await limiter.hit(f"a{number}", 5, 60)
    assert len(limiter) == 10
    now[0] = 61.0
    for number in range(9):
        await limiter.hit(f"b{number}", 5, 60)
    assert (await limiter.hit("b0", 5, 60)).remaining == 3
    assert len(limiter) == 9


async def test_new_keys_beyond_the_outer_budget_push_no_window_out() -> None:
    limiter = InProcessRateLimiter(max_keys=10)
    for number in range(100):
        await limiter.hit_both(f"tenant-{number}", 5, "network", 5, 60)
    assert len(limiter) == 6
    assert not (await limiter.hit_both("another", 5, "network", 5, 60))[1].allowed


async def test_the_reset_counts_down_in_whole_seconds() -> None:
    now = [0.0]
    limiter = InProcessRateLimiter(now=lambda: now[0])
    await limiter.hit("a", 5, 60)
    now[0] = 30.5
    assert (await limiter.hit("a", 5, 60)).reset == 30
    now[0] = 60.0
    assert fresh(await limiter.hit("a", 5, 60)) == Allowance(True, 5, 4, 60)


# --- Redis ---


async def test_nodes_share_the_count(redis_server: RedisServer, shared: RedisRateLimiter) -> None:
    async with opened(redis_server.url) as other:
        assert (await shared.hit("a", 3, 60)).remaining == 2
        assert (await other.hit("a", 3, 60)).remaining == 1


async def test_two_budgets_take_one_round_trip(redis_server: RedisServer, shared: RedisRateLimiter) -> None:
    await shared.hit_both("a", 9, "b", 9, 60)
    async with Redis.from_url(redis_server.url) as client:
        before = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
        await shared.hit_both("a", 9, "b", 9, 60)
        assert (await client.info("commandstats"))["cmdstat_evalsha"]["calls"] == before + 1


async def test_without_redis_each_node_counts_for_itself(
    redis_server: RedisServer, shared: RedisRateLimiter
) -> None:
    assert (await shared.hit("a", 2, 60)).allowed
    redis_server.kill()
    assert [(await shared.hit("a", 2, 60)).allowed for _ in range(3)] == [True, True, False]
    assert not shared.healthy


async def test_a_frozen_redis_costs_a_request_a_moment_once(redis_server: RedisServer) -> None:
    # A hundred requests that each waited for it, or many at once that waited for one another, would take longer.
    async with opened(redis_server.url, timeout=1) as shared, asyncio.timeout(TIMEOUT_SECONDS):
        assert (await shared.hit("a", 1000, 600)).allowed
        redis_server.freeze()
        await asyncio.gather(*(shared.hit("a", 1000, 600) for _ in range(100)))
        for _ in range(100):
            await shared.hit("a", 1000, 600)
        redis_server.thaw()


async def test_counting_is_shared_again_when_redis_is_back(redis_server: RedisServer) -> None:
    async with opened(redis_server.url, timeout=1) as shared:
        redis_server.freeze()
        await shared.hit("a", 5, 60)
        assert not shared.healthy
        redis_server.thaw()
        await eventually(lambda: shared.healthy)
        redis_server.restart()

        async def counts_there() -> bool:
            await shared.hit("b", 50, 60)
            return shared.healthy

        await eventually(counts_there)
        async with opened(redis_server.url) as other:
            assert (await other.hit("b", 50, 60, 0)).remaining < 50


async def test_closing_ends_the_probe(redis_server: RedisServer) -> None:
    limiter = RedisRateLimiter(redis_server.url, probe_seconds=0.01)
    redis_server.kill()
    await limiter.hit("a", 5, 60)
    await limiter.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "rate limit probe"]
