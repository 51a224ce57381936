"""A node says whether it should get work."""

import asyncio

from gateway.health import Health


async def up() -> None:
    pass


async def down() -> None:
    raise ConnectionError


async def test_a_node_is_ready_when_it_listens_and_its_servers_answer() -> None:
    health = Health({"database": up})
    assert (await health.readiness()).status == "unready"
    health.doors["http"] = "127.0.0.1:8080"
    found = await health.readiness()
    assert found.status == "ready"
    assert found.without(frozenset())


async def test_a_server_that_is_away_is_named_and_may_be_left_out() -> None:
    health = Health({"database": up, "redis": down}, {"http": "127.0.0.1:8080"})
    found = await health.readiness()
    assert found.status == "unready"
    assert found.servers["redis"] == {"state": "down", "reason": "ConnectionError"}
    assert not found.without(frozenset())
    assert found.without(frozenset({"redis"}))


async def test_a_node_that_drains_gets_no_work_whatever_is_left_out() -> None:
    health = Health({"database": up}, {"http": "127.0.0.1:8080"}, draining=True)
    found = await health.readiness()
    assert found.status == "draining"
    assert not found.without(frozenset({"database"}))


async def test_however_many_ask_at_once_the_servers_are_asked_once() -> None:
    asked = 0

    async def count() -> None:
        nonlocal asked
        asked += 1

    health = Health({"database": count}, {"http": "127.0.0.1:8080"})
    await asyncio.gather(*(health.readiness() for _ in range(50)))
    assert asked == 1
