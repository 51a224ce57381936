"""Sessions that outlast their connections, and those that do not."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import mqtt5
import pytest

from core.kernel.clock import utc_now
from core.kernel.ids import SHARED_TENANT, new_id
from core.live.durable_sessions import DurableSessions
from core.models.durable_sessions import DurableSession
from core.ports.records import Query
from gateway.storage.migration import migrate
from tests.protocols.live import Live
from tests.protocols.mqtt.node import MqttNode, mqtt_node
from tests.protocols.mqtt.raw import subscribe_packet
from tests.waiting import eventually


async def durable_sessions(node: Live) -> list[DurableSession]:
    async with node.store.storage.read(SHARED_TENANT) as tx:
        return await tx.find(Query(DurableSession))


async def gone(node: MqttNode) -> None:
    """Wait until no client is connected, and durable sessions are saved."""
    await eventually(lambda: not node.mqtt.clients)


HOUR = {"session_expiry_interval": 3600}


async def test_a_resumed_session_brings_what_was_missed(node: MqttNode) -> None:
    token = node.staff_token()
    async with node.client("one", password=token, **HOUR) as client:
        await client.subscribe("pets/#", qos=1)
        await node.happen(1)
        assert await client.numbers(1) == [1]
        client.leave()
        assert await client.ended()
    await gone(node)
    await node.happen(2, 3)
    async with node.raw_client() as client:
        answer = await client.connect("one", password=token, clean_start=False, **HOUR)
        assert answer.session_present
        assert await client.numbers(2) == [2, 3]
        await node.happen(4)
        assert await client.numbers(1) == [4]
        client.send(mqtt5.DisconnectPacket(session_expiry_interval=0))
    await gone(node)
    assert await durable_sessions(node) == []


async def test_what_was_not_acknowledged_comes_again_under_its_packet_id_and_nothing_else_does(
    node: MqttNode,
) -> None:
    token = node.staff_token()
    async with node.client("one", password=token, **HOUR) as client:
        await client.subscribe("pets/#", qos=1)
        await node.happen(1, 2, 3, 4)
        messages = [await client.message(acknowledge=False) for _ in range(4)]
        for place in (0, 2):
            client.send(mqtt5.PubAckPacket(messages[place].packet_id or 0))
        client.send(mqtt5.PingReqPacket())
        await client.expect(mqtt5.PingRespPacket)
    await gone(node)
    async with node.raw_client() as client:
        answer = await client.connect("one", password=token, clean_start=False)
        assert answer.session_present
        again = [await client.message() for _ in range(2)]
        assert [(m.packet_id, m.duplicate, m.payload) for m in again] == [
            (messages[place].packet_id, True, messages[place].payload) for place in (1, 3)
        ]
        await node.happen(5)
        fresh = await client.message()
        assert not fresh.duplicate


async def test_a_session_survives_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    await migrate(url)
    async with mqtt_node(tmp_path, url=url) as node:
        token = node.staff_token()
        async with node.client("one", password=token, **HOUR) as client:
            await client.subscribe("pets/#")
            await node.happen(1)
            assert await client.numbers(1) == [1]
        await gone(node)
    async with mqtt_node(tmp_path, url=url) as node:
        await node.happen(2)
        async with node.raw_client() as client:
            assert (await client.connect("one", password=token, clean_start=False)).session_present
            assert await client.numbers(1) == [2]


async def test_a_session_moves_to_another_node_and_the_first_one_gives_it_up(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    await migrate(url)
    async with mqtt_node(tmp_path, url=url) as here, mqtt_node(tmp_path, url=url) as there:
        token = here.staff_token()
        async with here.client("one", password=token, **HOUR) as first:
            await first.subscribe("pets/#", qos=1)
            async with there.raw_client() as second:
                assert (
                    await second.connect("one", password=token, clean_start=False, **HOUR)
                ).session_present
                await here.mqtt.session_keeper.save_changes()
                goodbye = await first.farewell()
                assert goodbye.reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER
                await there.happen(1)
                assert await second.numbers(1) == [1]
                await there.mqtt.session_keeper.save_changes()
                assert await second.codes("inventory/#") == [0]


async def test_a_clean_start_forgets_what_was_kept(node: MqttNode) -> None:
    token = node.staff_token()
    async with node.client("one", password=token, **HOUR) as client:
        await client.subscribe("pets/#")
    await gone(node)
    await node.happen(1)
    async with node.raw_client() as client:
        assert not (await client.connect("one", password=token)).session_present
        await client.subscribe("pets/#")
        await node.happen(2)
        assert await client.numbers(1) == [2]
    await gone(node)
    assert await durable_sessions(node) == []


async def test_a_session_belongs_to_its_caller_alone(node: MqttNode) -> None:
    async with node.client("one", password=node.staff_token(), **HOUR) as client:
        await client.subscribe("pets/#")
    await gone(node)
    async with node.raw_client() as client:
        answer = await client.connect("one", password=node.staff_token(), clean_start=False)
        assert not answer.session_present


async def test_a_session_whose_place_left_the_log_begins_anew(node: MqttNode) -> None:
    token = node.staff_token()
    async with node.client("one", password=token, **HOUR) as client:
        await client.subscribe("pets/#")
    await gone(node)
    await node.happen(1, 2, 3)
    await node.store.storage.trim_log(None, 1)
    async with node.raw_client() as client:
        answer = await client.connect("one", password=token, clean_start=False, **HOUR)
        assert not answer.session_present
        await client.subscribe("pets/#")
        await node.happen(4)
        assert await client.numbers(1) == [4]


async def test_durable_sessions_are_bounded_per_caller(tmp_path: Path) -> None:
    async with mqtt_node(tmp_path, connections_per_caller=2) as node:
        token = node.staff_token()
        for name in ("one", "two", "one"):
            async with node.client(name, password=token, **HOUR):
                pass
            await gone(node)
        async with node.raw_client() as client:
            assert (await client.try_connect("three", password=token, **HOUR)).reason_code == 151
        await gone(node)


async def test_the_session_expiry_has_a_bound(node: MqttNode) -> None:
    async with node.raw_client() as client:
        answer = await client.connect("one", password=node.staff_token(), session_expiry_interval=0xFFFFFFFF)
        assert answer.session_expiry_interval == 7 * 24 * 3600
    async with node.raw_client() as visitor:
        answer = await visitor.connect("one", session_expiry_interval=0xFFFFFFFF)
        assert answer.session_expiry_interval == 3600


async def test_shared_subscriptions_are_resumed(node: MqttNode) -> None:
    token = node.staff_token()
    async with node.client("one", password=token, **HOUR) as client:
        await client.subscribe("$share/workers/pets/#", qos=1)
    await gone(node)
    async with node.raw_client() as client:
        assert (await client.connect("one", password=token, clean_start=False)).session_present
        await node.happen(1)
        assert await client.numbers(1) == [1]


async def test_a_resumed_shared_subscription_sends_nothing_before_connack(node: MqttNode) -> None:
    token = node.staff_token()
    shared = [f"$share/workers/pets/{level}" for level in ("#", "+", "one", "two", "three", "+/x")]
    async with node.client("one", password=token, **HOUR) as client:
        await client.subscribe(*shared, qos=1)
    await gone(node)
    async with node.client("two", password=token, receive_max=1) as busy:
        await busy.subscribe(shared[0], qos=1)
        await node.happen(1, 2)
        assert await busy.numbers(1, acknowledge=False) == [1]
        async with node.raw_client() as client:
            # The second event waits for a subscriber with room.
            assert (await client.connect("one", password=token, clean_start=False)).session_present
            assert await client.numbers(1) == [2]


async def test_a_visitors_session_keeps_the_tenant_it_was_in(node: MqttNode) -> None:
    tenant = f"tenants/{new_id()}"
    async with node.client("one", **HOUR) as client:
        await client.subscribe(f"{tenant}/pets/#")
    await gone(node)
    await node.happen(1, tenant=tenant.removeprefix("tenants/"))  # type: ignore[arg-type]
    async with node.raw_client() as client:
        assert (await client.connect("one", clean_start=False)).session_present
        assert (await client.message()).topic == f"{tenant}/pets/one"


async def test_how_far_a_connected_client_came_is_saved_from_time_to_time(node: MqttNode) -> None:
    async with node.client("one", password=node.staff_token(), **HOUR) as client:
        await client.subscribe("pets/#")
        await node.happen(1)
        await client.numbers(1)
        before = (await durable_sessions(node))[0].cursor
        await node.mqtt.session_keeper.save_changes()
        assert (
            (await durable_sessions(node))[0].cursor
            == await node.store.hub.cursor_now(SHARED_TENANT)
            != before
        )


async def test_a_client_that_stays_for_long_while_nothing_happens_keeps_its_session(node: MqttNode) -> None:
    token = node.token(node.member(lasts=86_400))
    async with node.client("one", password=token, session_expiry_interval=60) as client:
        await client.subscribe("pets/#")
        await node.mqtt.session_keeper.save_changes()
        passed = timedelta()
        node.store.clock = lambda: utc_now() + passed
        for _ in range(3):
            passed += timedelta(minutes=40)
            await node.mqtt.session_keeper.save_changes()
            assert (await durable_sessions(node))[0].expires_at > node.store.clock()


async def test_two_holders_never_both_have_a_session(node: MqttNode) -> None:
    sessions = DurableSessions(node.store)
    caller = node.member()
    async with node.client("x"):
        for holder in ("a", "b"):
            await sessions.begin(caller, "one", holder, sessions.max_expiry(caller))
        mine = sessions.record(caller, "one", "a", sessions.max_expiry(caller))
        assert await sessions.save(SHARED_TENANT, [mine]) == {mine.id}
        assert await sessions.lost(SHARED_TENANT, {mine.id: "b"}) == set()


@pytest.mark.parametrize("qos", [0, 1])
async def test_nothing_is_lost_or_repeated_by_a_client_that_comes_and_goes(node: MqttNode, qos: int) -> None:
    token = node.staff_token()
    got: list[int] = []
    happened = 0
    for round_ in range(8):
        async with node.raw_client() as client:
            await client.connect("one", password=token, clean_start=not round_, **HOUR)
            if not round_:
                await client.subscribe("pets/#", qos=qos)
            await node.happen(*range(happened, happened + 20))
            happened += 20
            while len(got) < happened - 7 * (qos and round_ < 7):
                got += await client.numbers(1)
            if qos:
                client.send(mqtt5.PingReqPacket())
                while not isinstance(await client.next(), mqtt5.PingRespPacket):
                    pass
        await gone(node)
        await asyncio.sleep(0)
    assert got == list(range(happened))


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("count", [2, 600])
async def test_a_client_that_subscribes_again_as_soon_as_it_is_back_gets_what_it_missed(
    tmp_path: Path, qos: int, count: int
) -> None:
    # Its SUBSCRIBE comes while the log is being read for it.
    url = f"sqlite:///{tmp_path}/store.db"
    await migrate(url)
    async with mqtt_node(tmp_path, url=url) as node:
        await missed_by_a_client_that_subscribes_again(node, qos, count)


async def missed_by_a_client_that_subscribes_again(node: MqttNode, qos: int, count: int) -> None:
    token = node.staff_token()
    async with node.client("one", password=token, **HOUR) as client:
        await client.subscribe("pets/+", qos=qos)
    await gone(node)
    await node.happen(*range(count))
    async with node.raw_client() as client:
        connect = mqtt5.ConnectPacket(
            "one", username="x", password=token.encode(), session_expiry_interval=3600
        )
        client.send(connect.write() + subscribe_packet(1, ["pets/+"], qos))
        assert (await client.expect(mqtt5.ConnAckPacket)).session_present
        found: list[int] = []
        while len(found) < count:
            packet = await client.next()
            if isinstance(packet, mqtt5.PublishPacket):
                found.append(json.loads(packet.payload)["data"]["number"])
                if packet.packet_id:
                    client.send(mqtt5.PubAckPacket(packet.packet_id))
        assert found == list(range(count))
