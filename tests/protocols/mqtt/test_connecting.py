"""Which clients are accepted, how the others are refused, and how a connection ends."""

import asyncio
import gc
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import mqtt5
import pytest

from core.kernel.caller import Role
from core.kernel.errors import Close, CloseReason
from core.kernel.ids import SHARED_TENANT
from core.services.users import REGISTER
from tests.clock import skip
from tests.core.stores import Shop
from tests.protocols.live import new_tenant
from tests.protocols.mqtt.node import MqttNode, mqtt_node
from tests.protocols.mqtt.raw import Raw, connect_packet
from tests.waiting import eventually, within

BAD_LOGIN, NOT_AUTHORIZED, QUOTA = 134, 135, 151


async def test_a_client_without_credentials_is_a_visitor(node: MqttNode) -> None:
    async with node.client() as client:
        assert await client.codes("pets/#", "orders/+/status") == [0, NOT_AUTHORIZED]


async def test_a_client_without_an_id_is_given_one(node: MqttNode) -> None:
    async with node.raw_client() as client:
        answer = await client.connect()
        assert answer.assigned_client_id is not None
        assert answer.assigned_client_id.startswith("auto-")


async def test_a_token_is_a_password_with_any_user_name(node: MqttNode) -> None:
    async with node.client(username="any", password=node.staff_token()) as client:
        assert await client.codes("orders/#") == [0]


@pytest.mark.parametrize("password", ["a.b.c", "not a token", ""])
async def test_a_client_with_a_bad_password_is_never_a_visitor(node: MqttNode, password: str) -> None:
    async with node.raw_client() as client:
        answer = await client.try_connect(username="collar", password=password.encode())
        if password:
            assert answer.reason_code == mqtt5.ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD
            assert await client.ended()
        else:  # no password at all
            assert answer.reason_code == mqtt5.ConnAckReasonCode.SUCCESS


async def test_a_password_with_two_dots_is_not_a_token(node: MqttNode) -> None:
    person = {"username": "dotty", "email": "d@example.com", "password": "one.two.three"}
    await Shop(node.store, SHARED_TENANT).call(REGISTER, body={**person, "firstName": "D", "lastName": "O"})
    async with node.client(username="dotty", password="one.two.three") as client:
        assert next(iter(node.sessions)).caller.username == "dotty"
        assert await client.codes("orders/#") == [0]


async def test_a_device_logs_in_with_its_own_name_from_any_tenant(node: MqttNode) -> None:
    tenant = new_tenant()
    device = await node.device(tenant, topics=["orders/#"])
    async with node.client(username=device.username, password=device.password) as client:
        assert await client.codes("orders/#", "chats/#") == [0, NOT_AUTHORIZED]
        assert next(iter(node.sessions)).caller.tenant == tenant


async def test_a_device_with_a_wrong_password_is_refused(node: MqttNode) -> None:
    device = await node.device()
    async with node.raw_client() as client:
        answer = await client.try_connect(username=device.username, password="wrong")
        assert answer.reason_code == BAD_LOGIN


async def test_version_3_has_return_codes_of_its_own(node: MqttNode) -> None:
    async with node.raw_client() as client:
        client.send(b"\x10\x15\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01a\x00\x01u\x00\x03bad")
        assert await client.bytes_of_next() == b"\x20\x02\x00\x04"
        assert await client.ended()


async def test_a_session_that_is_kept_needs_a_client_id_in_version_3(node: MqttNode) -> None:
    async with node.raw_client() as client:
        client.send(b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00")
        assert await client.bytes_of_next() == b"\x20\x02\x00\x02"


@pytest.mark.parametrize(
    "connect",
    [b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x00", b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x00"],
)
async def test_another_version_is_refused(node: MqttNode, connect: bytes) -> None:
    async with node.raw_client() as client:
        client.send(connect)
        assert await client.bytes_of_next() == b"\x20\x02\x00\x01"
        assert await client.ended()


async def test_too_many_connections_of_one_caller_are_refused(tmp_path: Path) -> None:
    async with mqtt_node(tmp_path, connections_per_caller=1) as node, node.client():
        async with node.raw_client() as second:
            assert (await second.try_connect()).reason_code == QUOTA
        async with node.client(password=node.staff_token()):
            pass


async def test_a_client_that_does_not_send_connect_in_time_is_dropped(tmp_path: Path) -> None:
    async with mqtt_node(tmp_path, login_seconds=0.05) as node, node.raw_client() as client:
        assert await client.ended()


async def test_a_silent_client_is_disconnected_after_one_and_a_half_keep_alives(node: MqttNode) -> None:
    async with node.client(keep_alive=60) as client:
        skip(80)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(node.sessions) == 1
        skip(10)
        goodbye = await client.farewell()
        assert goodbye.reason_code == mqtt5.DisconnectReasonCode.KEEP_ALIVE_TIMEOUT


async def test_the_bytes_of_half_a_packet_keep_no_connection_alive(node: MqttNode) -> None:
    async with node.client(keep_alive=60) as client:
        for byte in (b"\x30", b"\x05", b"\x00"):
            skip(40)
            client.send(byte)
            await asyncio.sleep(0)
        assert (await client.farewell()).reason_code == mqtt5.DisconnectReasonCode.KEEP_ALIVE_TIMEOUT


async def test_acknowledgements_keep_a_connection_alive(node: MqttNode) -> None:
    async with node.client(keep_alive=60, receive_max=1) as client:
        await client.subscribe("pets/#", qos=1)
        await node.happen(*range(4))
        for number in range(4):
            # The next one comes when the one before is acknowledged.
            assert await client.numbers(1, acknowledge=False) == [number]
            skip(60)
            client.send(mqtt5.PubAckPacket(number + 1))


async def test_pings_are_answered_and_keep_a_connection_alive(node: MqttNode) -> None:
    async with node.client(keep_alive=60) as client:
        for _ in range(5):
            skip(60)
            client.send(mqtt5.PingReqPacket())
            await client.expect(mqtt5.PingRespPacket)


async def test_the_same_client_again_takes_over(node: MqttNode) -> None:
    token = node.staff_token()
    async with node.client("one", password=token) as first, node.client("one", password=token) as second:
        assert (await first.farewell()).reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER
        assert await second.codes("#") == [0]
        assert len(node.mqtt.clients) == 1


async def test_connections_that_take_over_while_others_wait_follow_one_another(
    node: MqttNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    save, saving, go_on = node.mqtt.durable_sessions.save, asyncio.Event(), asyncio.Event()
    token = node.staff_token()
    kept = {"password": token, "session_expiry_interval": 3600, "clean_start": False}

    async def save_slowly(*given: Any) -> Any:
        saving.set()
        await go_on.wait()
        return await save(*given)

    async with node.raw_client() as first, node.raw_client() as second, node.raw_client() as third:
        await first.connect("one", **kept)
        await first.subscribe("pets/#", qos=1)
        await node.happen(1)
        await first.numbers(1)
        await first.answered()
        monkeypatch.setattr(node.mqtt.durable_sessions, "save", save_slowly)
        connecting = asyncio.create_task(second.try_connect("one", **kept))
        await within(saving.wait())
        third.send(connect_packet("one", **kept))
        with pytest.raises(asyncio.IncompleteReadError):
            await connecting
        second.writer.close()
        await eventually(lambda: len(node.tcp.connections) == 1)
        go_on.set()
        # The third comes behind the first, though it has taken over from the second, which was not done.
        assert (await third.expect(mqtt5.ConnAckPacket)).session_present
        await third.answered()
        assert len(node.mqtt.clients) == 1
    gc.collect()  # A task that failed says so when it is collected.
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_peer_that_does_not_hang_up_does_not_delay_its_successor(
    node: MqttNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.server.tcp._LINGER_SECONDS", 3600.0)
    monkeypatch.setattr("protocols.mqtt.writer._FAREWELL_SECONDS", 3600.0)
    token = node.staff_token()
    async with node.client("one", password=token) as first, node.client("one", password=token):
        # The first one has not even read its farewell.
        assert (await first.farewell()).reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER


async def test_a_client_id_of_another_caller_is_not_taken_over(node: MqttNode) -> None:
    async with (
        node.client("one", password=node.staff_token()) as first,
        node.client("one", password=node.staff_token()) as second,
    ):
        assert await first.codes("#") == [0]
        assert await second.codes("#") == [0]


async def test_a_connection_ends_with_its_token(node: MqttNode) -> None:
    token = node.token(node.member(Role.STAFF, lasts=20))
    async with node.client(password=token) as client:
        skip(20)
        assert (await client.farewell()).reason_code == mqtt5.DisconnectReasonCode.MAX_CONNECT_TIME


async def test_a_connection_ends_when_its_login_is_revoked(node: MqttNode) -> None:
    caller = node.member(Role.STAFF)
    async with node.client(password=node.token(caller)) as client:
        await node.store.revocations.revoke([f"user:{caller.user_id}"])
        assert (await client.farewell()).reason_code == NOT_AUTHORIZED


async def test_a_login_is_renewed_by_auth(node: MqttNode) -> None:
    caller = node.member(Role.STAFF, lasts=20)
    later = (node.store.clock() + timedelta(hours=1)).replace(microsecond=0)
    longer = replace(caller, expires_at=later)
    async with node.client(
        authentication_method="token", authentication_data=node.token(caller).encode()
    ) as client:
        client.send(
            mqtt5.AuthPacket(
                reason_code=mqtt5.AuthReasonCode.RE_AUTHENTICATE,
                authentication_method="token",
                authentication_data=node.token(longer).encode(),
            )
        )
        answer = await client.expect(mqtt5.AuthPacket)
        assert answer.reason_code == mqtt5.AuthReasonCode.SUCCESS
        session = next(iter(node.sessions))
        assert session.caller.expires_at == later


@pytest.mark.parametrize("method", [None, "other"])
async def test_auth_without_the_method_of_connect_is_a_protocol_error(
    node: MqttNode, method: str | None
) -> None:
    async with node.client(password=node.staff_token()) as client:
        client.send(
            mqtt5.AuthPacket(
                reason_code=mqtt5.AuthReasonCode.RE_AUTHENTICATE, authentication_method=method or "token"
            )
        )
        assert (await client.farewell()).reason_code == mqtt5.DisconnectReasonCode.PROTOCOL_ERROR


async def test_a_bad_new_token_ends_the_connection(node: MqttNode) -> None:
    async with node.client(
        authentication_method="token", authentication_data=node.staff_token().encode()
    ) as client:
        client.send(
            mqtt5.AuthPacket(
                reason_code=mqtt5.AuthReasonCode.RE_AUTHENTICATE,
                authentication_method="token",
                authentication_data=b"x.y.z",
            )
        )
        assert (await client.farewell()).reason_code == NOT_AUTHORIZED


async def test_another_authentication_method_is_refused(node: MqttNode) -> None:
    async with node.raw_client() as client:
        answer = await client.try_connect(authentication_method="SCRAM-SHA-1")
        assert answer.reason_code == mqtt5.ConnAckReasonCode.BAD_AUTHENTICATION_METHOD


async def test_a_drain_says_so_and_where_to_go_on(node: MqttNode) -> None:
    async with node.client() as client:
        await client.subscribe("pets/#")
        await node.happen(1)
        assert await client.numbers(1) == [1]
        node.sessions.close_all(Close(CloseReason.DRAINING, "Come back."))
        goodbye = await client.farewell()
        assert goodbye.reason_code == mqtt5.DisconnectReasonCode.SERVER_SHUTTING_DOWN
        assert dict(goodbye.user_properties)["cursor"] == await node.store.hub.cursor_now(SHARED_TENANT)


async def test_an_acknowledgement_on_its_way_at_a_drain_counts(node: MqttNode) -> None:
    async with node.client() as client:
        await client.subscribe("pets/#", qos=1)
        await node.happen(1, 2)
        messages = [await client.message(acknowledge=False) for _ in range(2)]
        node.sessions.close_all(Close(CloseReason.DRAINING, "Come back."))
        await client.answered()
        client.send(mqtt5.PubAckPacket(messages[0].packet_id or 0))
        await client.answered()
        client.send(mqtt5.PubAckPacket(messages[1].packet_id or 0))
        goodbye = await client.farewell()
        assert dict(goodbye.user_properties)["cursor"] == await node.store.hub.cursor_now(SHARED_TENANT)


async def test_a_drain_waits_a_moment_only_and_sends_nothing_new(node: MqttNode) -> None:
    async with node.client(receive_max=2) as client:
        await client.subscribe("pets/#", qos=1)
        await node.happen(1, 2, 3)
        messages = [await client.message(acknowledge=False) for _ in range(2)]
        node.sessions.close_all(Close(CloseReason.DRAINING, "Come back."))
        client.send(mqtt5.PubAckPacket(messages[0].packet_id or 0))
        await client.answered()
        skip(2)
        goodbye = await client.farewell()
        assert dict(goodbye.user_properties)["cursor"] == json.loads(messages[0].payload)["cursor"]


async def test_too_many_messages_end_the_connection(tmp_path: Path) -> None:
    async with (
        mqtt_node(tmp_path, message_burst=5, messages_per_second=10) as node,
        node.client() as client,
    ):
        for _ in range(30):
            client.send(mqtt5.PingReqPacket())
        while isinstance(packet := await client.next(), mqtt5.PingRespPacket):
            pass
        assert packet.reason_code == mqtt5.DisconnectReasonCode.MESSAGE_RATE_TOO_HIGH


async def test_a_reader_that_stalls_is_dropped(tmp_path: Path) -> None:
    async with mqtt_node(tmp_path, stall_limit=0.4) as node:
        raw = Raw(*await asyncio.open_connection("127.0.0.1", node.mqtt_port, limit=1024))
        await raw.connect()
        await raw.subscribe("#")
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for round_ in range(60):
            await node.happen(*range(round_ * 10, round_ * 10 + 10), filling=30_000)
        await eventually(lambda: not node.tcp.connections)
        assert node.tcp.statistics().stalled == 1
        raw.writer.close()
