"""Two nodes over one log and one Redis, whatever becomes of Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from core.hub import Hub, Subscription, Viewer
from core.kernel.errors import Closed
from gateway.bus import RedisBus
from tests.core.hub.world import TENANT, TrackedStorage, draft
from tests.servers import RedisServer
from tests.waiting import eventually


async def keep(subscription: Subscription, got: list[int]) -> None:
    with suppress(Closed):
        while True:
            got += [event.sequence for event in (await subscription.next()).events]


async def kill_connections(server: RedisServer, buses: list[RedisBus]) -> None:
    async with Redis.from_url(server.url) as admin:
        await admin.client_kill_filter(_type="pubsub")
    await eventually(lambda: all(bus.counters.connections == 2 for bus in buses))


async def freeze_a_while(server: RedisServer, buses: list[RedisBus]) -> None:
    server.freeze()
    await eventually(lambda: not any(bus.healthy for bus in buses))
    server.thaw()


async def restart(server: RedisServer, buses: list[RedisBus]) -> None:
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


@pytest.mark.parametrize("trouble", [kill_connections, freeze_a_while, restart])
async def test_every_event_of_both_nodes_reaches_both_once_and_in_order(
    redis_server: RedisServer, trouble: Callable[[RedisServer, list[RedisBus]], Awaitable[None]]
) -> None:
    storage = TrackedStorage()
    buses = [RedisBus(redis_server.url, probe=0.2) for _ in range(2)]
    hubs = [Hub(storage, bus, f"node {number}", poll=0.3) for number, bus in enumerate(buses)]
    for hub in hubs:
        await hub.start()
    await eventually(lambda: all(bus.healthy for bus in buses))
    got: list[list[int]] = [[], []]
    readers = [
        asyncio.create_task(keep(await hub.subscribe(TENANT, Viewer("visitor"), ["pets/#"]), heard))
        for hub, heard in zip(hubs, got, strict=True)
    ]
    written = 0
    stop = asyncio.Event()

    async def write(hub: Hub) -> None:
        nonlocal written
        while not stop.is_set():
            hub.publish(TENANT, await storage.append(draft("pets/1"), draft("pets/2")))
            written += 2
            await eventually(lambda: written < min(map(len, got)) + 50)  # noqa: B023

    writers = [asyncio.create_task(write(hub)) for hub in hubs]
    await eventually(lambda: min(map(len, got)) > 50)
    await trouble(redis_server, buses)
    await eventually(lambda: all(bus.healthy for bus in buses))
    stop.set()
    await asyncio.gather(*writers)
    await eventually(lambda: got == [list(range(1, written + 1))] * 2)
    received = [hub.statistics().counters.received for hub in hubs]
    hubs[0].publish(TENANT, await storage.append(draft("pets/1")))
    hubs[1].publish(TENANT, await storage.append(draft("pets/1")))
    await eventually(lambda: got == [list(range(1, written + 3))] * 2)
    await eventually(
        lambda: all(hub.statistics().counters.received > r for hub, r in zip(hubs, received, strict=True))
    )
    for hub in hubs:
        await hub.stop()
    await asyncio.gather(*readers)
