"""Which clients are let in on Socket.IO, which are not, and how they are told."""

import json
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from core.kernel.caller import Role
from core.kernel.cursor import Cursor
from core.kernel.ids import SHARED_TENANT
from core.kernel.limits import Limits
from protocols.socketio.adapter import SocketIoDoor
from tests.clock import skip
from tests.protocols.live import Live, live, new_tenant
from tests.protocols.socketio.clients import TRANSPORTS, NodeClient, Refused, connected
from tests.waiting import eventually, within

SOCKETIO = "/socket.io/?EIO=4&transport=polling"


async def refusal(node: Live, kind: str = "python-websocket", **auth: Any) -> dict[str, Any]:
    """What a client is told whom the door refuses."""
    with pytest.raises(Refused) as refused:
        async with connected(node.port, kind, **auth):
            pass
    # The Python client is given message and data, the JavaScript client an error with both.
    data: dict[str, Any] = refused.value.data.get("data", refused.value.data)
    return data


async def test_a_bad_token_is_refused_with_code_and_message(node: Live, kind: str) -> None:
    data = await refusal(node, kind, token="nonsense")
    assert data["code"] == "unauthorized"
    assert data["message"]


async def test_a_token_of_another_tenant_is_refused(node: Live) -> None:
    data = await refusal(node, token=node.staff_token(), tenantId=new_tenant())
    assert data["code"] == "forbidden"


async def test_a_bad_tenant_is_refused(node: Live) -> None:
    assert (await refusal(node, tenantId="not-a-tenant"))["code"] == "bad-request"


async def test_topics_that_one_may_not_see_are_refused(node: Live) -> None:
    assert (await refusal(node, topics=["orders/+/status"]))["code"] == "unauthorized"
    assert (await refusal(node, topics=["pets/#/x"]))["code"] == "bad-request"
    assert (await refusal(node, topics=[f"pets/{number}" for number in range(101)]))["code"] == "bad-request"


async def test_a_cursor_that_has_expired_is_refused_with_the_oldest(node: Live) -> None:
    await node.happen(1)
    ahead = Cursor(node.store.epoch, SHARED_TENANT, 1000).encode()
    data = await refusal(node, topics=["#"], cursor=ahead)
    assert (data["code"], bool(data["oldestCursor"])) == ("cursor-expired", True)
    assert (await refusal(node, topics=["#"], cursor="rubbish"))["code"] == "bad-request"


@pytest.mark.parametrize(
    ("auth", "field", "code"),
    [
        ({"token": 7}, "token", "INVALID_TYPE"),
        ({"token": ""}, "token", "INVALID_LENGTH"),
        ({"topics": "#"}, "topics", "INVALID_TYPE"),
        ({"topics": [1]}, "topics[0]", "INVALID_TYPE"),
        ({"unknown": 1}, "unknown", "UNKNOWN_FIELD"),
    ],
)
async def test_an_ill_formed_handshake_lists_its_violations(
    node: Live, auth: dict[str, Any], field: str, code: str
) -> None:
    data = await refusal(node, **auth)
    assert data["code"] == "validation-error"
    assert [(violation["field"], violation["code"]) for violation in data["errors"]] == [(field, code)]


async def test_too_many_connections_of_one_caller_are_refused(tmp_path: Path) -> None:
    async with live(tmp_path, connections_per_caller=2) as node:
        token = node.token(node.member())
        async with connected(node.port, token=token), connected(node.port, token=token):
            assert (await refusal(node, token=token))["code"] == "rate-limit-exceeded"
        async with connected(node.port, token=token):
            pass


async def test_the_budget_of_requests_counts_handshakes(tmp_path: Path) -> None:
    async with live(tmp_path, requests_per_minute=2) as node:
        for _ in range(2):
            async with connected(node.port):
                pass
        data = await refusal(node)
        assert (data["code"], data["retryAfter"] > 0) == ("rate-limit-exceeded", True)


async def test_who_does_not_connect_in_time_is_dropped_and_such_are_few(tmp_path: Path) -> None:
    async with live(tmp_path, connections_per_caller=3, login_seconds=30) as node:
        opened = [await node.get(SOCKETIO) for _ in range(3)]
        assert [answer.status_code for answer in opened] == [200, 200, 200]
        sid = json.loads(opened[0].text[1:])["sid"]
        assert (await node.get(SOCKETIO)).status_code == 429

        async def gone() -> bool:
            return (await node.get(f"{SOCKETIO}&sid={sid}")).status_code == 400

        skip(30)
        await eventually(gone)
        async with connected(node.port):
            pass


async def test_who_leaves_the_namespace_may_come_back_on_his_connection(node: Live) -> None:
    async with node.socket("/socket.io/?EIO=4&transport=websocket") as socket:
        assert str(await socket.connection.recv()).startswith("0{")
        for _ in range(2):
            await socket.raw('40{"topics":["pets/#"]}')
            assert str(await socket.connection.recv()).startswith('40{"sid"')
            assert str(await socket.connection.recv()).startswith('42["connected"')
            await node.happen(1)
            assert str(await socket.connection.recv()).startswith('42["event"')
            await socket.raw("41")
            await eventually(lambda: not node.store.hub.statistics().subscriptions)


async def test_other_namespaces_do_not_exist(node: Live) -> None:
    client = NodeClient()
    await client.start(f"http://127.0.0.1:{node.port}/admin", {"transports": ["websocket"]})
    refusal = await client.until("connect_error")
    assert refusal["message"] == "There is no namespace '/admin'."
    assert refusal["data"] == {"code": "not-found", "message": refusal["message"]}
    await client.stop()


async def test_a_draining_node_sends_newcomers_elsewhere(node: Live) -> None:
    node.store.draining = True
    answer = await node.get(SOCKETIO)
    assert (answer.status_code, answer.json()["type"]) == (
        503,
        "https://petstoreapi.com/errors/service-unavailable",
    )
    assert answer.headers["retry-after"] == "1"
    node.store.draining = False


async def test_credentials_may_stand_in_the_headers_too(node: Live) -> None:
    staff = node.member(Role.STAFF)
    client = NodeClient()
    options = {
        "transports": TRANSPORTS["polling"],
        "extraHeaders": {"Authorization": f"Bearer {node.token(staff)}"},
        "auth": {},
    }
    await client.start(f"http://127.0.0.1:{node.port}", options)
    assert (await client.until("connected"))["user"]["id"] == staff.user_id
    await client.stop()


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/socket.io/?EIO=3&transport=polling", 400),
        ("/socket.io/?transport=polling", 400),
        ("/socket.io/?EIO=4", 400),
        ("/socket.io/?EIO=4&transport=websocket", 400),
        ("/socket.io/?EIO=4&transport=carrier-pigeon", 400),
        ("/socket.io/?EIO=4&transport=polling&j=0", 400),
        ("/socket.io/?EIO=4&transport=polling&sid=nobody", 400),
    ],
)
async def test_requests_that_make_no_sense_are_problems(node: Live, address: str, status: int) -> None:
    answer = await node.get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize("address", ["EIO=3", "EIO=4&sid=nobody", "EIO=4&j=0"])
async def test_websockets_that_make_no_sense_are_problems(node: Live, address: str) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        async with node.socket(f"/socket.io/?{address}&transport=websocket"):
            pass
    answer = refusal.value.response
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_only_get_and_post_are_offered(node: Live) -> None:
    answer = await node.get(SOCKETIO, "DELETE")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST, OPTIONS")
    assert (await node.get(SOCKETIO, "POST", content="2")).status_code == 400


async def test_pages_of_allowed_origins_may_poll(tmp_path: Path) -> None:
    async with live(tmp_path, origins=("https://shop.example",), login_seconds=0.2) as node:
        answer = await node.get(SOCKETIO, headers={"Origin": "https://shop.example"})
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        answer = await node.get(SOCKETIO, headers={"Origin": "https://elsewhere.example"})
        assert "access-control-allow-origin" not in answer.headers
        answer = await node.get(
            SOCKETIO,
            "OPTIONS",
            headers={"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"},
        )
        assert (answer.status_code, "POST" in answer.headers["access-control-allow-methods"]) == (204, True)


async def test_without_sticky_sessions_polling_says_so_and_websockets_carry_on(node: Live) -> None:
    door = SocketIoDoor(node.sessions, Limits(), polling=False)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/socket.io/",
        "headers": [],
        "query_string": b"EIO=4&transport=polling",
    }
    await door(scope, receive, send)
    assert sent[0]["status"] == 400
    assert "sticky" in json.loads(sent[1]["body"])["detail"]
    async with node.socket("/socket.io/?EIO=4&transport=websocket") as socket:
        assert str(await within(socket.connection.recv())).startswith("0{")
