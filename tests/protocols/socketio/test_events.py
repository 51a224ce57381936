"""Domain events on Socket.IO: subscribing, resuming, and who sees what."""

import pytest

from core.kernel.caller import Role
from tests.protocols.live import Live, new_tenant
from tests.protocols.socketio.clients import Refused, connected


async def test_every_official_client_gets_live_events_on_every_transport(node: Live, kind: str) -> None:
    async with connected(node.port, kind, topics=["pets/#"]) as client:
        greeting = await client.until("connected")
        assert greeting.keys() == {"sessionId", "topics", "cursor"}
        assert greeting["topics"] == ["pets/#"]
        await node.happen(1)
        event = await client.until("event")
        assert event.keys() == {"id", "eventType", "timestamp", "tenantId", "topic", "cursor", "data"}
        assert (event["topic"], event["data"]["number"]) == ("pets/one", 1)
        for first in range(2, 1000, 100):
            await node.happen(*range(first, first + 100))
        assert await client.numbers(1000) == list(range(2, 1002))


async def test_clients_upgrade_by_themselves_in_the_midst_of_events(node: Live) -> None:
    for kind in ("python-upgrade", "node-upgrade"):
        async with connected(node.port, kind, topics=["#"], cursor="earliest") as client:
            before = (await client.until("connected"))["cursor"]
            assert before
            start = 1
            while await client.transport() != "websocket":
                await node.happen(start)
                start += 1
            await node.happen(start)
            seen = 0
            while seen != start:
                seen = (await client.numbers(1))[0]


async def test_a_known_caller_is_greeted_by_name(node: Live, kind: str) -> None:
    staff = node.member(Role.STAFF)
    async with connected(node.port, kind, token=node.token(staff)) as client:
        greeting = await client.until("connected")
        assert greeting["user"] == {"id": staff.user_id, "username": staff.username}


async def test_topics_are_added_and_taken_away(node: Live, kind: str) -> None:
    async with connected(node.port, kind) as client:
        answer = await client.ask("subscribe", topics=["pets/one"])
        assert answer["topics"] == ["pets/one"]
        assert (await client.ask("subscribe", topics=["pets/two"]))["topics"] == ["pets/one", "pets/two"]
        await node.happen(1, topic="one")
        await node.happen(2, topic="two")
        await node.happen(3, topic="three")
        assert await client.numbers(2) == [1, 2]
        assert (await client.ask("unsubscribe", topics=["pets/one"]))["topics"] == ["pets/two"]
        await node.happen(4, topic="one")
        await node.happen(5, topic="two")
        assert await client.numbers(1) == [5]


async def test_a_client_resumes_in_the_handshake_without_gap_or_repeat(node: Live, kind: str) -> None:
    async with connected(node.port, kind, topics=["pets/#"]) as client:
        await node.happen(1, 2, 3)
        event = await client.until("event")
    await node.happen(4, 5)
    async with connected(node.port, kind, topics=["pets/#"], cursor=event["cursor"]) as client:
        await node.happen(6)
        assert await client.numbers(5) == [2, 3, 4, 5, 6]
    async with connected(node.port, kind) as client:
        await client.ask("subscribe", topics=["pets/#"], cursor="earliest")
        assert await client.numbers(6) == [1, 2, 3, 4, 5, 6]


async def test_a_long_log_comes_whole_and_in_order(node: Live, kind: str) -> None:
    for first in range(0, 3000, 500):
        await node.happen(*range(first, first + 500), filling=500)
    async with connected(node.port, kind, topics=["#"], cursor="earliest") as client:
        assert await client.numbers(3000) == list(range(3000))


async def test_private_events_reach_only_whom_they_concern(node: Live) -> None:
    owner, stranger = node.member(), node.member()
    async with (
        connected(node.port, token=node.token(owner), topics=["orders/#"]) as mine,
        connected(node.port, token=node.token(stranger), topics=["orders/#", "pets/#"]) as other,
        connected(node.port, token=node.staff_token(), topics=["orders/#"]) as staff,
    ):
        await node.happen_to(owner, 1)
        await node.happen_to(None, 2)
        await node.happen(3)
        assert await mine.numbers(1) == [1]
        assert await staff.numbers(2) == [1, 2]
        assert await other.numbers(1) == [3]


async def test_nothing_crosses_tenants(node: Live) -> None:
    tenant = new_tenant()
    async with (
        connected(node.port, tenantId=tenant, topics=["#"]) as inside,
        connected(node.port, token=node.staff_token(tenant), topics=["#"]) as member,
        connected(node.port, topics=["#"]) as outside,
    ):
        await node.happen(1, tenant=tenant)
        await node.happen(2)
        assert await inside.numbers(1) == await member.numbers(1) == [1]
        assert await outside.numbers(1) == [2]


async def test_a_visitor_becomes_known_by_a_token(node: Live, kind: str) -> None:
    caller = node.member()
    async with connected(node.port, kind) as client:
        await client.until("connected")
        answer = await client.ask("authenticate", token=node.token(caller))
        assert answer["user"]["id"] == caller.user_id
        assert (await client.until("connected"))["user"]["id"] == caller.user_id
        await client.ask("subscribe", topics=["orders/#"])
        await node.happen_to(caller, 1)
        assert await client.numbers(1) == [1]


async def test_a_cursor_goes_with_topics(node: Live) -> None:
    with pytest.raises(Refused) as refused:
        async with connected(node.port, cursor="earliest"):
            pass
    assert refused.value.data["data"]["code"] == "bad-request"
