"""Event streams as clients read them."""

from tests.protocols.live import Live


async def test_a_stream_begins_with_its_place_and_then_shows_events(node: Live) -> None:
    async with node.stream("pets/#,inventory/+/stock") as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.response.headers["cache-control"] == "no-store"
        assert "content-encoding" not in stream.response.headers
        first = await stream.block()
        assert first.keys() == {"retry", "id"}
        assert first["retry"] == "2000"
        await node.happen(1)
        block = await stream.block()
        assert list(block) == ["id", "event", "data"]
        assert block["event"] == "thing.happened"
        await node.happen(2, 3)
        assert await stream.numbers(2) == [2, 3]
