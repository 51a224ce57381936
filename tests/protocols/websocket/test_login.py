"""Who a WebSocket client is, and for how long."""

import json
import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from core.kernel.caller import Role
from core.kernel.errors import Close, CloseReason
from core.models.api_keys import ApiKey
from core.services.api_keys import CREATE_API_KEY
from protocols.http.closing import CLOSE_CODES
from tests.clock import skip
from tests.core.stores import Shop, user_in
from tests.protocols.live import Live, live, new_tenant
from tests.waiting import eventually


async def test_a_token_in_the_address_logs_in(node: Live) -> None:
    caller = node.member()
    async with node.socket(f"/v1/ws/events?token={node.token(caller)}") as socket:
        connected = await socket.hear()
        assert connected["type"] == "connected"
        assert connected["data"]["user"] == {"id": caller.user_id, "username": caller.username}
        assert connected["data"]["sessionId"]


async def test_a_token_in_the_header_logs_in(node: Live) -> None:
    caller = node.member()
    headers = {"Authorization": f"Bearer {node.token(caller)}"}
    async with node.socket("/v1/ws/chat", additional_headers=headers) as socket:
        assert (await socket.hear())["data"]["user"]["id"] == caller.user_id


async def test_an_api_key_logs_in(node: Live) -> None:
    shop = Shop(node.store)
    await shop.add(user_in(shop.tenant, user_id=shop.staff.user_id, role=Role.STAFF))
    made = await shop.call(CREATE_API_KEY, body={"name": "tester", "scopes": ["read:orders", "chat:agent"]})
    assert isinstance(await node.store.storage.locate(ApiKey, "id", made.id), ApiKey)
    async with node.socket(additional_headers={"X-API-Key": made.key}) as socket:
        assert (await socket.hear())["data"]["user"]["id"] == shop.staff.user_id


async def test_the_first_message_logs_in(node: Live) -> None:
    caller = node.member()
    for path in ("/v1/ws/events", "/v1/ws/chat"):
        async with node.socket(path) as socket:
            await socket.say("authenticate", token=node.token(caller))
            connected = await socket.hear()
            assert (connected["type"], connected["data"]["user"]["id"]) == ("connected", caller.user_id)
            await socket.say("ping", 7)
            assert await socket.hear() == {"type": "pong", "replyTo": 7, "data": {}}


async def test_a_login_with_an_id_is_acknowledged_too(node: Live) -> None:
    async with node.socket() as socket:
        await socket.say("authenticate", "login", token=node.staff_token())
        connected, ack = await socket.hear(), await socket.hear()
        assert (connected["type"], connected["replyTo"]) == ("connected", "login")
        assert (ack["type"], ack["replyTo"]) == ("ack", "login")


async def test_a_silent_client_is_welcomed_as_a_visitor_and_may_still_log_in(node: Live) -> None:
    async with node.socket() as socket:
        assert "user" not in (await socket.hear())["data"]
        await socket.ask("subscribe", topics=["#"])
        caller = node.member()
        await socket.say("authenticate", token=node.token(caller))
        assert (await socket.until("connected"))["data"]["user"]["id"] == caller.user_id
        await node.happen_to(caller, 5)
        assert await socket.numbers(1) == [5]
        assert node.sessions.connections.of(caller) == 1


@pytest.mark.parametrize("path", ["/v1/ws/events", "/v1/ws/chat"])
@pytest.mark.parametrize("how", ["address", "message"])
async def test_a_bad_token_is_told_4401(node: Live, path: str, how: str) -> None:
    expired = node.token(node.member(lasts=-5))
    for token in ("nonsense", expired, "", "a.b.c", "x" * 9000):
        if how == "address" and len(token) not in range(1, 9000):
            continue
        async with node.socket(f"{path}?token={token}" if how == "address" else path) as socket:
            if how == "message":
                await socket.say("authenticate", 1, token=token)
            code, messages = await socket.end()
            assert code == 4401
            assert [message["type"] for message in messages] == ["error"]


async def test_a_token_of_another_tenant_is_told_4403(node: Live) -> None:
    mine, other = new_tenant(), new_tenant()
    token = node.staff_token(other)
    async with node.socket(f"/v1/ws/events?token={token}&tenant={mine}") as socket:
        code, messages = await socket.end()
        assert (code, messages[0]["data"]["code"]) == (4403, "forbidden")
    async with node.socket(f"/v1/ws/events?tenant={mine}") as socket:
        await socket.say("authenticate", 1, token=token)
        code, messages = await socket.end()
        assert (code, messages[0]["replyTo"], messages[0]["data"]["code"]) == (4403, 1, "forbidden")


async def test_a_tenant_that_is_no_uuid_is_refused(node: Live) -> None:
    async with node.socket("/v1/ws/events?tenant=everybody") as socket:
        code, messages = await socket.end()
        assert (code, messages[0]["data"]["code"]) == (4401, "bad-request")


async def test_the_tenant_is_the_tokens_unless_named(node: Live) -> None:
    tenant = new_tenant()
    async with node.socket() as socket:
        await socket.say("authenticate", token=node.staff_token(tenant))
        await socket.ask("subscribe", topics=["#"])
        await node.happen(1)
        await node.happen(2, tenant=tenant)
        assert await socket.numbers(1) == [2]


async def test_chat_wants_a_login_first(node: Live) -> None:
    for message in ("ping", "joinChat", "subscribe", "dance"):
        async with node.socket("/v1/ws/chat") as socket:
            await socket.say(message, 1)
            code, messages = await socket.end()
            assert code == 4401
            assert [(m["type"], m["replyTo"], m["data"]["code"]) for m in messages] == [
                ("error", 1, "unauthorized")
            ]


async def test_chat_waits_only_so_long_for_a_login(tmp_path: Path) -> None:
    async with live(tmp_path, login_seconds=30) as node:
        async with node.socket("/v1/ws/chat") as socket:
            skip(30)
            assert await socket.end() == (4408, [])
        async with node.socket("/v1/ws/chat") as socket:
            await socket.raw("not even JSON")
            assert (await socket.until("error"))["data"]["code"] == "bad-request"
            skip(30)
            assert await socket.end() == (4408, [])
        async with node.socket("/v1/ws/chat") as socket:
            await socket.say("authenticate", token=node.staff_token())
            await socket.until("connected")
            skip(30)
            await socket.ask("ping")


async def test_a_login_can_be_renewed(node: Live) -> None:
    caller = node.member(lasts=20)
    async with node.socket(f"/v1/ws/events?token={node.token(caller)}") as socket:
        await socket.until("connected")
        await socket.ask("subscribe", topics=["#"])
        longer = node.token(replace(caller, expires_at=node.store.clock() + timedelta(hours=1)))
        answer = await socket.ask("authenticate", token=longer)
        assert answer["user"]["id"] == caller.user_id
        assert answer["expiresAt"].endswith("Z")
        skip(20)
        assert caller.expires_at is not None
        assert node.store.clock() > caller.expires_at
        await node.happen(1)
        assert await socket.numbers(1) == [1]


async def test_a_refused_renewal_changes_nothing(node: Live) -> None:
    caller = node.member()
    async with node.socket(f"/v1/ws/events?token={node.token(caller)}") as socket:
        await socket.until("connected")
        await socket.ask("subscribe", topics=["#"])
        assert (await socket.refusal("authenticate", token="bad"))["code"] == "unauthorized"
        assert (await socket.refusal("authenticate", token=node.staff_token()))["code"] == "forbidden"
        assert (await socket.refusal("authenticate"))["errors"][0]["code"] == "REQUIRED_FIELD"
        await node.happen_to(caller, 4)
        assert await socket.numbers(1) == [4]


async def test_a_visitor_who_listens_cannot_move_to_another_tenant(node: Live) -> None:
    async with node.socket() as socket:
        await socket.ask("subscribe", topics=["#"])
        answer = await socket.refusal("authenticate", token=node.staff_token(new_tenant()))
        assert answer["code"] == "forbidden"
        await node.happen(3)
        assert await socket.numbers(1) == [3]


async def test_an_expired_token_ends_the_connection_with_4401(node: Live) -> None:
    async with node.socket(f"/v1/ws/events?token={node.token(node.member(lasts=20))}") as socket:
        await socket.until("connected")
        skip(20)
        code, messages = await socket.end()
        assert (code, messages) == (4401, [])


async def test_a_revoked_token_ends_the_connection_with_4401(node: Live) -> None:
    caller = node.member()
    async with (
        node.socket(f"/v1/ws/events?token={node.token(caller)}") as socket,
        node.socket(f"/v1/ws/events?token={node.staff_token()}") as other,
    ):
        await socket.until("connected")
        await node.store.revocations.revoke([f"session:{caller.session_id}"])
        assert (await socket.end())[0] == 4401
        await other.ask("ping")


async def test_a_caller_has_only_so_many_connections(tmp_path: Path) -> None:
    async with live(tmp_path, connections_per_caller=2) as node:
        caller = node.member()
        path = f"/v1/ws/events?token={node.token(caller)}"
        async with node.socket(path) as first, node.socket(path) as second:
            await first.until("connected")
            await second.until("connected")
            async with node.socket(path) as third:
                code, messages = await third.end()
                assert (code, messages[0]["data"]["code"]) == (4429, "rate-limit-exceeded")
            async with node.socket() as visitor:
                await visitor.say("authenticate", 1, token=node.token(caller))
                code, messages = await visitor.end()
                assert (code, messages[0]["data"]["retryAfter"]) == (4429, 1)
            assert node.sessions.connections.of(caller) == 2
        await eventually(lambda: node.sessions.connections.of(caller) == 0)
        async with node.socket(path) as again:
            await again.until("connected")


async def test_connecting_counts_against_the_budget(tmp_path: Path) -> None:
    async with live(tmp_path, requests_per_minute=2) as node:
        caller = node.member()
        for _ in range(2):
            async with node.socket(f"/v1/ws/events?token={node.token(caller)}") as socket:
                await socket.until("connected")
        async with node.socket(f"/v1/ws/events?token={node.token(caller)}") as socket:
            assert (await socket.end())[0] == 4429
        for _ in range(2):
            async with node.socket() as socket:
                await socket.ask("ping")
        async with node.socket() as socket:
            await socket.say("ping")
            assert (await socket.end())[0] == 4429


async def test_a_drain_sends_everybody_off_with_his_last_cursor(node: Live) -> None:
    async with (
        node.socket() as subscriber,
        node.socket("/v1/ws/chat") as waiting,
        node.socket(f"/v1/ws/events?token={node.staff_token()}") as idle,
    ):
        await idle.until("connected")
        await subscriber.ask("subscribe", topics=["#"])
        await node.happen(1)
        event = await subscriber.until("event")
        await node.drain()
        code, messages = await subscriber.end()
        assert code == 1001
        assert messages[-1]["data"]["code"] == "service-unavailable"
        assert messages[-1]["data"]["cursor"] == event["data"]["cursor"]
        assert (await waiting.end())[0] == 1001
        code, messages = await idle.end()
        assert (code, "cursor" in messages[-1]["data"]) == (1001, False)
        async with node.socket() as late:
            code, messages = await late.end()
            assert (code, messages[0]["data"]["code"]) == (1001, "service-unavailable")


async def test_neither_token_nor_key_is_logged(node: Live, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("websockets", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    token = node.staff_token()
    async with node.socket(f"/v1/ws/events?token={token}") as socket:
        await socket.until("connected")
    async with node.socket() as socket:
        await socket.ask("authenticate", token=token)
    assert token not in json.dumps([record.getMessage() for record in caplog.records])


def test_every_reason_to_close_has_a_code() -> None:
    assert CLOSE_CODES.keys() == set(CloseReason)
    assert not Close(CloseReason.EXPIRED).resumable
