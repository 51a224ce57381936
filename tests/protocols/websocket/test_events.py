"""The socket of domain events."""

from tests.protocols.live import Live


async def test_a_visitor_subscribes_and_sees_public_events(node: Live) -> None:
    async with node.socket() as socket:
        await socket.say("subscribe", "s1", topics=["pets/#"])
        assert (await socket.hear())["type"] == "connected"
        ack = await socket.hear()
        assert (ack["type"], ack["replyTo"], ack["data"]["topics"]) == ("ack", "s1", ["pets/#"])
        await node.happen(1, 2)
        assert await socket.numbers(2) == [1, 2]
