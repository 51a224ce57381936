"""Events as gRPC clients subscribe to them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode, aio

from core.kernel.caller import Role
from core.kernel.cursor import Cursor
from core.kernel.errors import Close, CloseReason
from core.kernel.ids import SHARED_TENANT
from core.models.pets import Pet
from protocols.grpc._generated.petstore.v1 import events_pb2, pets_pb2
from tests.clock import skip
from tests.protocols.grpc.clients import Events, Node, node_with_grpc
from tests.protocols.grpc.test_calls import PET
from tests.protocols.live import new_tenant
from tests.waiting import eventually, within

CURSOR_EXPIRED = (StatusCode.OUT_OF_RANGE, "CURSOR_EXPIRED")


async def test_a_subscriber_is_told_his_place_at_once_and_then_shown_events(node: Node) -> None:
    async with node.client() as client, client.subscribed("pets/#", "inventory/+/stock") as events:
        assert Cursor.decode(events.initial["x-cursor"], SHARED_TENANT).sequence == 0
        assert events.initial["x-request-id"]
        await node.live.happen(1)
        event = await events.event()
        assert (event.event_type, event.topic, event.tenant_id) == (
            "thing.happened",
            "pets/one",
            SHARED_TENANT,
        )
        assert Cursor.decode(event.cursor, SHARED_TENANT).sequence == 1
        assert event.timestamp.seconds > 0
        assert dict(event.data) == {"number": 1, "filling": ""}
        await node.live.happen(2, 3)
        assert await events.numbers(2) == [2, 3]


async def test_what_happens_at_once_comes_in_one_message(node: Node) -> None:
    async with node.client() as client, client.subscribed("#") as events:
        await node.live.happen(*range(100))
        assert len((await events.batch()).events) == 100


async def test_an_operation_is_seen_with_its_resource(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff, staff.subscribed("pets/+") as events:
        pet = await staff.call(staff.pets.CreatePet, PET)
        event = await events.event()
        assert event.event_type == "pet.created"
        shown = event.data["pet"]
        assert (shown["id"], shown["price"], shown["species"], shown["ageMonths"]) == (
            pet.id,
            "350.10",
            "DOG",
            14,
        )
        assert set(shown) <= {info.alias or name for name, info in Pet.model_fields.items()}
        assert {"tenantId", "gender", "createdAt"} <= set(shown)


@pytest.mark.parametrize("by", ["grpc", "sse", "websocket"])
async def test_a_cursor_of_any_door_resumes_here_and_one_of_ours_there(node: Node, by: str) -> None:
    live = node.live
    await live.happen(1)
    async with node.client() as client:
        async with client.subscribed("pets/#", cursor="earliest") as events:
            await events.event()
            ours = theirs = events.cursor
        if by == "sse":
            async with live.stream("pets/#", cursor="earliest") as stream:
                await stream.event()
                theirs = stream.last_id
        elif by == "websocket":
            async with live.socket() as socket:
                await socket.say("subscribe", topics=["pets/#"], cursor="earliest")
                theirs = (await socket.until("event"))["data"]["cursor"]
        assert theirs == ours
        await live.happen(2, 3)
        async with client.subscribed("pets/#", cursor=theirs) as events:
            assert events.initial["x-cursor"] == theirs
            assert await events.numbers(2) == [2, 3]
            await live.happen(4)
            assert await events.numbers(1) == [4]
    async with live.stream("pets/#", cursor=ours) as stream, live.socket() as socket:
        assert await stream.numbers(3) == [2, 3, 4]
        await socket.say("subscribe", topics=["pets/#"], cursor=ours)
        assert await socket.numbers(3) == [2, 3, 4]


async def test_nothing_is_lost_or_repeated_at_the_seam(node: Node) -> None:
    await node.live.happen(*range(500))

    async def more() -> None:
        for number in range(500, 1000, 5):
            await node.live.happen(*range(number, number + 5))

    async with node.client() as client:
        feeding = asyncio.create_task(more())
        async with client.subscribed("pets/#", cursor="earliest") as events:
            assert await events.numbers(1000) == list(range(1000))
        await feeding


async def test_everybody_sees_what_he_may(node: Node) -> None:
    live = node.live
    owner, other, staff = live.member(), live.member(), live.member(Role.STAFF)
    async with (
        node.client(owner) as a, node.client(other) as b, node.client(staff) as c, node.client() as d,
        a.subscribed("#") as for_owner, b.subscribed("#") as for_other, c.subscribed("#") as for_staff,
        d.subscribed("#") as for_visitor,
    ):  # fmt: skip
        await live.happen_to(owner, 1)
        await live.happen_to(None, 2)
        await live.happen(3)
        assert await for_owner.numbers(2) == [1, 3]
        assert await for_other.numbers(1) == [3]
        assert await for_staff.numbers(3) == [1, 2, 3]
        assert await for_visitor.numbers(1) == [3]


async def test_filters_that_are_not_for_the_caller_are_refused(node: Node) -> None:
    cases = {
        ("orders/+/status",): StatusCode.UNAUTHENTICATED,
        ("pets/#", "chats/#"): StatusCode.UNAUTHENTICATED,
        ("pets/#/more",): StatusCode.INVALID_ARGUMENT,
        (): StatusCode.INVALID_ARGUMENT,
        tuple(f"pets/{number}" for number in range(101)): StatusCode.INVALID_ARGUMENT,
        tuple("x" * 500 + str(number) for number in range(200)): StatusCode.RESOURCE_EXHAUSTED,
    }
    async with node.client() as client, node.client(node.live.member()) as customer:
        for topics, code in cases.items():
            async with client.subscribed(*topics) as events:
                assert (await events.end()).code is code, topics[:2]
                assert "x-cursor" not in events.initial
        async with customer.subscribed("orders/019e2d11-0b52-7c44-8a13-2f4e6b9d1c05/status") as events:
            assert (await events.end()).code is StatusCode.PERMISSION_DENIED


async def test_a_cursor_that_is_none_or_anothers_is_refused(node: Node) -> None:
    other = Cursor(1, new_tenant(), 0).encode()
    async with node.client() as client:
        for cursor in ("nonsense", other, "x" * 300):
            async with client.subscribed("#", cursor=cursor) as events:
                assert (await events.end()).code is StatusCode.INVALID_ARGUMENT


async def test_an_expired_cursor_is_told_with_the_oldest_and_resuming_there_works(node: Node) -> None:
    await node.live.happen(*range(1, 10))
    await node.live.store.storage.trim_log(None, 5)
    async with node.client() as client:
        gone = Cursor(node.live.store.epoch, SHARED_TENANT, 1).encode()
        async with client.subscribed("#", cursor=gone) as events:
            end = await events.end()
        assert (end.code, end.info.reason) == CURSOR_EXPIRED
        async with client.subscribed("#", cursor=end.info.metadata["oldestCursor"]) as events:
            assert await events.numbers(5) == [5, 6, 7, 8, 9]


async def test_a_quiet_subscriber_is_told_his_place_now_and_then(tmp_path: Path) -> None:
    async with (
        node_with_grpc(tmp_path, heartbeat_seconds=0.05) as node,
        node.client() as client,
        client.subscribed("pets/other") as events,
    ):
        await node.live.happen(1, 2, 3)
        while True:
            batch = await events.batch()
            assert not batch.events
            if Cursor.decode(batch.cursor, SHARED_TENANT).sequence == 3:
                break


async def test_a_stream_ends_with_its_token(node: Node) -> None:
    caller = node.live.member(lasts=20)
    async with node.client(caller) as client, client.subscribed("#") as events:
        await node.live.happen(1)
        assert await events.numbers(1) == [1]
        skip(20)
        end = await events.end()
        assert (end.code, end.info.reason) == (StatusCode.UNAUTHENTICATED, "EXPIRED")
        assert end.trailing["x-cursor"] == events.cursor


async def test_a_stream_ends_when_its_login_is_revoked(node: Node) -> None:
    caller = node.live.member()
    async with node.client(caller) as client, client.subscribed("#") as events:
        await node.live.store.revocations.revoke(caller.subjects[:1])
        end = await events.end()
        assert (end.code, end.info.reason) == (StatusCode.UNAUTHENTICATED, "REVOKED")


async def test_a_deadline_ends_a_stream_and_leaves_nothing(node: Node) -> None:
    async with node.client() as client, client.subscribed("#", timeout=3) as events:
        with pytest.raises(aio.AioRpcError) as caught:
            await events.event()
        assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED
        await node.idle()
        assert not len(node.live.sessions)


async def test_a_client_who_cancels_leaves_nothing(node: Node) -> None:
    async with node.client() as client:
        async with client.subscribed("#"):
            assert len(node.live.sessions) == 1
        await node.idle()
        assert not len(node.live.sessions)
        assert node.ended == [("EventService/Subscribe", StatusCode.CANCELLED)]


async def test_a_connection_that_breaks_leaves_nothing(node: Node) -> None:
    async with node.client() as client:
        request = events_pb2.SubscribeRequest(topics=["#"])
        await client.events.Subscribe(request).initial_metadata()
        assert len(node.live.sessions) == 1
    await node.idle()
    assert not len(node.live.sessions)


async def test_no_caller_holds_more_streams_than_he_may(tmp_path: Path) -> None:
    async with node_with_grpc(tmp_path, connections_per_caller=2) as node, node.client() as client:
        async with client.subscribed("#"), client.subscribed("#"), client.subscribed("#") as third:
            assert (await third.end()).code is StatusCode.RESOURCE_EXHAUSTED
        await node.idle()
        async with client.subscribed("#") as events:
            assert "x-cursor" in events.initial


@pytest.mark.slow
async def test_a_slow_reader_costs_bounded_memory_loses_nothing_and_harms_nobody(node: Node) -> None:
    """A client reads nothing while 60 MB happen, then everything, while another keeps up."""
    count, filling = 3000, 20_000
    async with node.client() as client, node.client() as other:
        slow: Any = other.events.Subscribe(events_pb2.SubscribeRequest(topics=["pets/#"]))
        await slow.initial_metadata()
        async with client.subscribed("pets/#") as quick:
            for number in range(0, count, 50):
                await node.live.happen(*range(number, number + 50), filling=filling)
                assert await quick.numbers(50) == list(range(number, number + 50))
        seen: list[int] = []
        while len(seen) < count:
            batch = await within(slow.read())
            assert batch.ByteSize() < 4 << 20
            seen += [int(event.data["number"]) for event in batch.events]
        assert seen == list(range(count))
        slow.cancel()


async def test_one_who_reads_nothing_at_all_is_sent_off(tmp_path: Path) -> None:
    async with node_with_grpc(tmp_path, stall_limit=0.5) as node, node.client() as client:
        call = client.events.Subscribe(events_pb2.SubscribeRequest(topics=["pets/#"]))
        await call.initial_metadata()
        for number in range(0, 1000, 20):
            await node.live.happen(*range(number, number + 20), filling=20_000)
        await eventually(lambda: not len(node.live.sessions))
        await node.idle()
        assert node.ended == [("EventService/Subscribe", StatusCode.RESOURCE_EXHAUSTED)]
        events = Events(call)
        assert await events.numbers(20) == list(range(20))
        end = await events.end()
        assert (end.code, end.info.reason) == (StatusCode.RESOURCE_EXHAUSTED, "STALLED")
        # The place from which nothing is lost is in the last event that came.
        assert "x-cursor" not in end.trailing


async def test_more_than_a_message_holds_comes_in_several(node: Node) -> None:
    async with node.client() as client, client.subscribed("pets/#") as events:
        await node.live.happen(*range(200), filling=40_000)
        assert await events.numbers(200) == list(range(200))
        await node.live.happen(1, filling=2_000_000)
        assert await events.numbers(1) == [1]


async def test_a_drain_sends_streams_off_with_their_place_and_another_node_goes_on(node: Node) -> None:
    async with (
        node.client() as client,
        client.subscribed("pets/#") as events,
        client.subscribed("pets/none") as quiet,
    ):
        await node.live.happen(1, 2)
        assert await events.numbers(2) == [1, 2]
        node.live.sessions.close_all(Close(CloseReason.DRAINING, "Come back."))
        for end in (await quiet.end(), await events.end()):
            assert (end.code, end.info.reason) == (StatusCode.UNAVAILABLE, "DRAINING")
            assert end.trailing["x-cursor"] == events.cursor
            assert end.retry is not None
        await node.live.happen(3)
        async with client.subscribed("pets/#", cursor=events.cursor) as again:
            assert await again.numbers(1) == [3]
        node.live.store.draining = True
        async with client.subscribed("#") as refused:
            assert (await refused.end()).code is StatusCode.UNAVAILABLE


async def test_a_failing_client_harms_no_other(node: Node) -> None:
    async with node.client() as client, client.subscribed("pets/#") as events:
        async with node.client() as broken:
            for _ in range(20):
                broken.events.Subscribe(events_pb2.SubscribeRequest(topics=["#"]))
            await eventually(lambda: len(node.live.sessions) > 1)
        await node.live.happen(1)
        assert await events.numbers(1) == [1]
        pets = await client.call(client.pets.ListPets, pets_pb2.ListPetsRequest())
        assert not pets.pets
    await node.idle()
