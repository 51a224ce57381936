"""Clients who leave one live door and come back by another: each missed event once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.storage.migration import migrate
from tests.protocols.live import Live, live


@pytest.fixture(params=["memory", "sqlite"])
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Live]:
    url = "memory://"
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'store.db'}"
        await migrate(url)
    async with live(tmp_path, url=url) as running:
        yield running


async def test_from_sse_to_websocket_and_back_each_event_comes_once(node: Live) -> None:
    async with node.stream("pets/#") as stream:
        await node.happen(1, 2)
        assert await stream.numbers(1) == [1]
        place = stream.last_id
    await node.happen(3, 4)
    async with node.socket() as socket:
        await socket.ask("subscribe", topics=["pets/+"], cursor=place)
        await node.happen(5)
        seen = [await socket.until("event") for _ in range(4)]
        assert [event["data"]["data"]["number"] for event in seen] == [2, 3, 4, 5]
        place = seen[-1]["data"]["cursor"]
    await node.happen(6)
    async with node.stream("pets/one", headers={"Last-Event-ID": place}) as stream:
        await node.happen(7)
        assert await stream.numbers(2) == [6, 7]


async def test_a_client_who_comes_and_goes_while_much_happens_misses_nothing(node: Live) -> None:
    place, seen, said = "earliest", [], 0
    for round_ in range(6):
        await node.happen(*range(said, said + 40))
        said += 40
        if round_ % 2:
            async with node.socket() as socket:
                await socket.ask("subscribe", topics=["#"], cursor=place)
                await node.happen(*range(said, said + 40))
                said += 40
                for _ in range(30 + 10 * round_):
                    event = (await socket.until("event"))["data"]
                    seen.append(event["data"]["number"])
                    place = event["cursor"]
        else:
            async with node.stream("#", cursor=place) as stream:
                await node.happen(*range(said, said + 40))
                said += 40
                for _ in range(30 + 10 * round_):
                    seen.append((await stream.event())["data"]["number"])
                    place = stream.last_id
    async with node.stream("#", cursor=place) as stream:
        seen += await stream.numbers(said - len(seen))
    assert seen == list(range(said))


async def test_the_cursor_of_a_farewell_leads_on_at_the_other_door(node: Live) -> None:
    async with node.stream("#") as stream, node.socket() as socket:
        await socket.ask("subscribe", topics=["#"])
        await node.happen(1)
        await stream.event()
        await node.drain()
        from_stream = (await stream.block())["id"]
        from_socket = (await socket.end())[1][-1]["data"]["cursor"]
    assert from_stream == from_socket
    node.store.draining = False
    await node.happen(2)
    async with node.socket() as socket:
        await socket.ask("subscribe", topics=["#"], cursor=from_stream)
        assert await socket.numbers(1) == [2]
