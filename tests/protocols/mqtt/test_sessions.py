"""Sessions that outlast their connections, and those that do not."""

import asyncio
import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import mqtt5
import pytest

from core.kernel.clock import utc_now
from core.kernel.ids import SHARED_TENANT, new_id
from core.live.durable_sessions import DurableSessions
from core.models.durable_sessions import DurableSession
from core.ports.records import Query
from core.services.pets import DELETE_PET
from gateway.storage.migration import migrate
from protocols.mqtt.inbound import RECEIVE_MAXIMUM
from tests.core.stores import Shop
from tests.protocols.live import Live
from tests.protocols.mqtt.node import MqttNode, mqtt_node
from tests.protocols.mqtt.raw import Raw, connect_packet, subscribe_packet, text, varint
from tests.waiting import TIMEOUT_SECONDS, eventually


async def durable_sessions(node: Live) -> list[DurableSession]:
    async with node.store.storage.read(SHARED_TENANT) as tx:
        return await tx.find(Query(DurableSession))


async def gone(node: MqttNode) -> None:
    """Wait until no client is connected, and durable sessions are saved."""
    await eventually(lambda: not node.mqtt.clients)


HOUR = {"session_expiry_interval": 3600}
BACK = {**HOUR, "clean_start": False}


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


async def test_a_client_that_is_cut_off_during_its_first_connect_can_connect_again(
    node: MqttNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = node.mqtt.durable_sessions.begin
    token = node.staff_token()
    async with node.raw_client() as client:

        async def begin_and_lose_the_client(*given: Any) -> None:
            await begin(*given)
            client.writer.transport.abort()
            await eventually(lambda: not node.tcp.connections)

        monkeypatch.setattr(node.mqtt.durable_sessions, "begin", begin_and_lose_the_client)
        client.send(connect_packet("one", password=token, **BACK))
        assert await client.ended()
    await gone(node)
    monkeypatch.undo()
    # The client, which has no session, must not be told that there is one (section 3.2.2.1.1).
    await comes_back(node, token, session_present=False)


async def comes_back(node: MqttNode, token: str, *, session_present: bool) -> None:
    """A client without a subscription connects, and goes on as any other."""
    async with node.raw_client() as client:
        answer = await client.connect("one", password=token, clean_start=False, **HOUR)
        assert answer.session_present is session_present
        await client.subscribe("pets/#")
        await node.happen(1)
        assert await client.numbers(1) == [1]


async def test_a_client_whose_node_dies_behind_connack_can_connect_to_another(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    await migrate(url)
    async with mqtt_node(tmp_path, url=url) as here, mqtt_node(tmp_path, url=url) as there:
        token = here.staff_token()
        async with here.client("one", password=token, **HOUR):
            # What the first node has written by now is all that it would have written.
            await comes_back(there, token, session_present=True)


async def test_a_session_is_idle_again_when_its_client_is_cut_off_during_connect(
    node: MqttNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = node.staff_token()
    async with node.client("one", password=token, **HOUR) as client:
        await client.subscribe("pets/#")
    await gone(node)
    (before,) = await durable_sessions(node)
    take = node.mqtt.durable_sessions.take
    async with node.raw_client() as client:

        async def take_and_lose_the_client(*given: Any) -> Any:
            found = await take(*given)
            client.writer.transport.abort()
            await eventually(lambda: not node.tcp.connections)
            return found

        monkeypatch.setattr(node.mqtt.durable_sessions, "take", take_and_lose_the_client)
        client.send(connect_packet("one", password=token, **BACK))
        assert await client.ended()
    await gone(node)
    (after,) = await durable_sessions(node)
    assert after.idle_since is not None
    assert (after.cursor, after.state) == (before.cursor, before.state)


async def test_a_session_whose_record_cannot_be_read_begins_anew(
    node: MqttNode, caplog: pytest.LogCaptureFixture
) -> None:
    token = node.staff_token()
    async with node.client("one", password=token, **HOUR) as client:
        await client.subscribe("pets/#")
    await gone(node)
    (kept,) = await durable_sessions(node)
    async with node.store.storage.write(SHARED_TENANT) as tx:
        await tx.update(kept.model_copy(update={"state": {}}))
    async with node.raw_client() as client:
        assert not (await client.connect("one", password=token, clean_start=False, **HOUR)).session_present
        await client.subscribe("pets/#")
        await node.happen(1)
        assert await client.numbers(1) == [1]
    assert [record.levelname for record in caplog.records if "session" in record.message] == ["WARNING"]


@pytest.mark.parametrize("version", [4, 5])
async def test_a_connect_that_fails_is_answered(
    node: MqttNode, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(node.mqtt.durable_sessions, "forget", fail)
    async with node.raw_client() as client:
        content = b"\x00\x04MQTT" + bytes((version, 2, 0, 60)) + bytes(version - 2)
        client.send(bytes((0x10, len(content))) + content)
        answer = await client.bytes_of_next()
        assert (answer[0], answer[3]) == (0x20, {4: 3, 5: 128}[version])
        assert await client.ended()


async def test_a_session_that_begins_anew_keeps_nothing_of_the_old_one(node: MqttNode) -> None:
    token = node.staff_token()
    async with node.client("one", password=token, **HOUR) as client:
        await client.subscribe("pets/#")
        await client.publish("anything", b"", 2, packet_id=7)
    await gone(node)
    (kept,) = await durable_sessions(node)
    async with node.store.storage.write(SHARED_TENANT) as tx:
        await tx.update(kept.model_copy(update={"state": {**kept.state, "taken": [7]}}))
    await node.happen(1, 2)
    await node.store.storage.trim_log(None, 1)
    async with node.raw_client() as client:
        assert not (await client.connect("one", password=token, clean_start=False, **HOUR)).session_present
        refused = await client.publish("anything", b"", 2, packet_id=7)
        assert int(refused.reason_code) == 135


@pytest.mark.parametrize("window", [2, 10])
async def test_a_window_that_was_full_is_sent_again_as_the_next_connection_allows(
    node: MqttNode, window: int
) -> None:
    token = node.staff_token()
    async with node.client("one", password=token, receive_max=10, **HOUR) as client:
        await client.subscribe("pets/#", qos=1)
        await node.happen(*range(15))
        before = [await client.message(acknowledge=False) for _ in range(10)]
    await gone(node)
    async with node.raw_client() as client:
        client.send(connect_packet("one", password=token, receive_max=window, **BACK))
        assert (await client.expect(mqtt5.ConnAckPacket)).session_present
        again = [await client.message(acknowledge=False) for _ in range(window)]
        await client.answered()
        for message in again:
            client.send(mqtt5.PubAckPacket(message.packet_id or 0))
        again += [await client.message() for _ in range(10 - window)]
        assert [(m.packet_id, m.duplicate, m.payload) for m in again] == [
            (m.packet_id, True, m.payload) for m in before
        ]
        rest = [await client.message(acknowledge=False) for _ in range(min(5, window))]
        assert not {m.packet_id for m in rest} & {m.packet_id for m in before[window:]}
        assert not any(m.duplicate for m in rest)


async def test_a_full_window_survives_connection_after_connection(node: MqttNode) -> None:
    token = node.staff_token()
    async with node.client("one", password=token, receive_max=6, **HOUR) as client:
        await client.subscribe("pets/#", qos=1)
        await node.happen(*range(9))
        await client.numbers(6, acknowledge=False)
    for _ in range(3):
        await gone(node)
        async with node.raw_client() as client:
            client.send(connect_packet("one", password=token, receive_max=2, **BACK))
            await client.expect(mqtt5.ConnAckPacket)
            assert await client.numbers(2, acknowledge=False) == [0, 1]
    await gone(node)
    async with node.raw_client() as client:
        client.send(connect_packet("one", password=token, receive_max=2, **BACK))
        await client.expect(mqtt5.ConnAckPacket)
        assert await client.numbers(9) == list(range(9))


async def test_version_3_goes_on_with_500_unacknowledged(node: MqttNode) -> None:
    token = node.staff_token()
    connect = connect_packet_of_version_3("one", token)
    async with node.raw_client() as client:
        client.send(connect)
        assert (await client.bytes_of_next())[0] == 0x20
        client.send(b"\x82\x0b\x00\x01\x00\x06pets/#\x01")
        assert (await client.bytes_of_next())[0] == 0x90
        await node.happen(*range(501))
        first = [await client.bytes_of_next() for _ in range(500)]
    await gone(node)
    async with node.raw_client() as client:
        client.send(connect)
        assert await client.bytes_of_next() == b"\x20\x02\x01\x00"
        again = [await client.bytes_of_next() for _ in range(500)]
        assert [bytes((m[0] & ~8,)) + m[1:] for m in again] == first
        assert all(m[0] & 8 for m in again)
        packet_id = again[0][3 + 2 + len("pets/one") :][:2]
        client.send(b"\x40\x02" + packet_id)
        assert not (await client.bytes_of_next())[0] & 8


def connect_packet_of_version_3(client_id: str, token: str) -> bytes:
    """CONNECT with clean session off."""
    content = b"\x00\x04MQTT\x04\xc0\x00\x3c" + text(client_id) + text("x") + text(token)
    return b"\x10" + varint(len(content)) + content


async def test_what_an_earlier_connection_brought_may_be_acknowledged_on_the_next(node: MqttNode) -> None:
    token = node.staff_token()
    async with node.client("one", password=token, **HOUR) as client:
        await client.subscribe("pets/#", qos=1)
        await node.happen(1, 2, 3)
        messages = [await client.message(acknowledge=False) for _ in range(3)]
    await gone(node)
    async with node.raw_client() as client:
        client.send(connect_packet("one", password=token, receive_max=1, **BACK))
        await client.expect(mqtt5.ConnAckPacket)
        first = await client.message(acknowledge=False)
        assert first.packet_id == messages[0].packet_id
        client.send(mqtt5.PubAckPacket(messages[1].packet_id or 0))
        client.send(mqtt5.PubAckPacket(messages[0].packet_id or 0))
        assert await client.numbers(1) == [3]


async def test_more_messages_of_quality_of_service_2_than_one_connection_may_have_are_no_offence(
    tmp_path: Path,
) -> None:
    # The quota begins anew with each connection (section 4.9), what was taken before does not count in it.
    async with mqtt_node(tmp_path, messages_per_second=0) as node:
        pet = await node.pet()
        device = await node.device(petIds=[pet.id])
        login = {"username": device.username, "password": device.password}
        topic = f"telemetry/pets/{pet.id}/health"
        async with node.client("one", **login, **HOUR) as client:
            for packet_id in range(1, RECEIVE_MAXIMUM + 1):
                await client.publish(topic, {"heartRateBpm": packet_id}, 2, packet_id=packet_id)
        await gone(node)
        async with node.raw_client() as client:
            assert (await client.connect("one", clean_start=False, **login)).session_present
            for packet_id in (1, 200):
                answer = await client.publish(topic, {"heartRateBpm": 9}, 2, packet_id=packet_id)
                assert isinstance(answer, mqtt5.PubRecPacket)
            client.send(mqtt5.PubRelPacket(1))
            assert int((await client.expect(mqtt5.PubCompPacket)).reason_code) == 0


# --- retained messages ---


@pytest.mark.parametrize("qos", [0, 1])
async def test_the_rest_of_the_current_state_is_told_to_a_session_that_returns(
    node: MqttNode, qos: int
) -> None:
    token = node.staff_token()
    pets = [await node.pet() for _ in range(6)]
    names = {f"pets/{pet.id}/{level}" for pet in pets for level in ("status", "availability")}
    async with node.client("one", password=token, receive_max=5, **HOUR) as client:
        await client.subscribe("pets/#", "inventory/DOG/stock", qos=qos, retain_handling=0)
        messages = [await client.message(acknowledge=False) for _ in range(5)]
        for message in messages[1:3]:
            client.send(mqtt5.PubAckPacket(message.packet_id or 0)) if qos else None
        more = [await client.message(acknowledge=False) for _ in range(2 if qos else 8)]
    await gone(node)
    await node.happen(1)
    async with node.raw_client() as client:
        client.send(connect_packet("one", password=token, receive_max=3, **BACK))
        assert (await client.expect(mqtt5.ConnAckPacket)).session_present
        unacknowledged = [messages[0], *messages[3:], *more] if qos else []
        again = [await client.message() for _ in unacknowledged]
        assert [(m.packet_id, m.topic, m.duplicate, m.retain) for m in again] == [
            (m.packet_id, m.topic, True, True) for m in unacknowledged
        ]
        rest = [await client.message() for _ in range(13 - len(messages) - len(more))]
        assert not any(message.duplicate for message in rest)
        told = [message.topic for message in [*messages, *more, *rest]]
        assert sorted(told) == sorted(names | {"inventory/DOG/stock"})
        last = await client.message()
        assert (last.topic, last.retain) == ("pets/one", False)
    await gone(node)
    async with node.raw_client() as client:
        client.send(connect_packet("one", password=token, **BACK))
        assert (await client.expect(mqtt5.ConnAckPacket)).session_present
        await client.answered()


async def test_state_that_is_gone_when_the_session_returns_is_not_told(node: MqttNode) -> None:
    token = node.staff_token()
    pets = [await node.pet() for _ in range(3)]
    async with node.client("one", password=token, receive_max=1, **HOUR) as client:
        await client.subscribe("pets/+/status", qos=1, retain_handling=0)
        assert (await client.message(acknowledge=False)).topic == f"pets/{pets[0].id}/status"
    await gone(node)
    for pet in pets[:2]:
        await Shop(node.store, SHARED_TENANT).call(DELETE_PET, id=pet.id)
    async with node.raw_client() as client:
        client.send(connect_packet("one", password=token, receive_max=1, **BACK))
        await client.expect(mqtt5.ConnAckPacket)
        message = await client.message()
        assert (message.topic, message.duplicate) == (f"pets/{pets[2].id}/status", False)


async def test_packets_are_answered_while_the_current_state_is_told(node: MqttNode) -> None:
    for _ in range(3):
        await node.pet()
    async with node.client(receive_max=1) as client:
        await client.subscribe("pets/+/status", qos=1, retain_handling=0)
        first = await client.message(acknowledge=False)
        client.send(mqtt5.UnsubscribePacket(client.packet_id(), ["pets/+/status"]))
        await client.expect(mqtt5.UnsubAckPacket)
        await client.subscribe("pets/#", qos=1)
        await node.happen(1)
        client.send(mqtt5.PubAckPacket(first.packet_id or 0))
        assert await client.numbers(1) == [1]


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


async def test_the_oldest_idle_session_of_a_caller_gives_way_to_a_new_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with mqtt_node(tmp_path, connections_per_caller=3) as node:
        token = node.staff_token()
        async with node.client("first", password=token, **HOUR):
            for name in ("second", "third", "second", "fourth"):
                async with node.client(name, password=token, **HOUR):
                    pass
                await eventually(lambda: len(node.mqtt.clients) == 1)
            for name, is_kept in {"first": True, "second": True, "third": False, "fourth": True}.items():
                async with node.raw_client() as client:
                    answer = await client.connect(name, password=token, clean_start=False)
                    assert (name, answer.session_present) == (name, is_kept)
        assert [record.levelname for record in caplog.records if "gives way" in record.message] == ["WARNING"]


async def test_a_session_too_many_is_refused_with_the_reason_while_all_are_in_use(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    await migrate(url)
    limits = {"connections_per_caller": 2}
    async with (
        mqtt_node(tmp_path, url=url, **limits) as here,
        mqtt_node(tmp_path, url=url, **limits) as there,
    ):
        token = here.staff_token()
        async with (
            here.client("one", password=token, **HOUR),
            here.client("two", password=token, **HOUR),
            there.raw_client() as client,
        ):
            answer = await client.try_connect("three", password=token, **HOUR)
            assert int(answer.reason_code) == 151
            assert "all are in use" in (answer.reason_str or "")


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
            await sessions.begin(sessions.record(caller, "one", holder, sessions.max_expiry(caller)))
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


@pytest.mark.parametrize("seed", range(5))
async def test_each_message_comes_until_it_is_acknowledged_whatever_the_windows(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    async with mqtt_node(tmp_path, messages_per_second=0) as node, asyncio.timeout(TIMEOUT_SECONDS):
        pets = [await node.pet() for _ in range(chance.choice([0, 4, 12]))]
        token, happened = node.staff_token(), 0
        acknowledged: list[str] = []
        for connection in range(8):
            async with node.raw_client() as client:
                window = chance.choice([1, 2, 7, 60])
                client.send(
                    connect_packet(
                        "one", password=token, clean_start=not connection, receive_max=window, **HOUR
                    )
                )
                await client.expect(mqtt5.ConnAckPacket)
                if not connection:
                    await client.subscribe("pets/+", "pets/+/status", qos=1, retain_handling=0)
                more = chance.choice([0, 1, 15])
                await node.happen(*range(happened, happened + more))
                happened += more
                in_flight: list[mqtt5.PublishPacket] = []
                rounds = chance.randrange(4)
                while rounds if connection < 7 else len(acknowledged) < happened + len(pets):
                    rounds -= 1
                    in_flight += await what_has_come(client)
                    assert len(in_flight) <= window
                    chance.shuffle(in_flight)
                    for _ in range(chance.randint(1, window)):
                        if in_flight:
                            message = in_flight.pop()
                            client.send(mqtt5.PubAckPacket(message.packet_id or 0))
                            acknowledged.append(name_of(message))
                await what_has_come(client)
            await gone(node)
        due = [str(number) for number in range(happened)] + [f"pets/{pet.id}/status" for pet in pets]
        assert sorted(acknowledged) == sorted(due)


async def what_has_come(client: Raw) -> list[mqtt5.PublishPacket]:
    """The messages before the answer to a ping, before which all that was sent is handled."""
    found: list[mqtt5.PublishPacket] = []
    client.send(mqtt5.PingReqPacket())
    while isinstance(packet := await client.next(), mqtt5.PublishPacket):
        found.append(packet)
    return found


def name_of(message: mqtt5.PublishPacket) -> str:
    return message.topic if message.retain else str(json.loads(message.payload)["data"]["number"])


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
        client.send(connect_packet("one", password=token, **BACK) + subscribe_packet(1, ["pets/+"], qos))
        assert (await client.expect(mqtt5.ConnAckPacket)).session_present
        found: list[int] = []
        while len(found) < count:
            packet = await client.next()
            if isinstance(packet, mqtt5.PublishPacket):
                found.append(json.loads(packet.payload)["data"]["number"])
                if packet.packet_id:
                    client.send(mqtt5.PubAckPacket(packet.packet_id))
        assert found == list(range(count))
