"""Requests that get no answer of the protocol, or an error of it."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.protocols.live import Live, live, new_tenant
from tests.protocols.mcp.clients import OLD, headers_of, message, post

HEADERS = {"mcp-protocol-version": OLD}


def error_of(answer: httpx.Response, status: int, code: int) -> dict[str, Any]:
    """The error of an answer."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json"), answer.text
    assert answer.headers["x-request-id"]
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == code
    return error


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_there_are_no_sessions_to_open_or_end(node: Live, method: str) -> None:
    answer = await node.get("/mcp", method)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
    assert (await node.get("/mcp", "OPTIONS")).status_code == 204


async def test_there_is_no_redirect(node: Live) -> None:
    assert (await post(node, message("tools/list"))).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": "\\ud800"}', b"[" * 1000, b"nonsense"])
async def test_what_is_not_json_is_refused(node: Live, body: bytes) -> None:
    for version in ("2026-07-28", OLD):
        error = error_of(await post(node, body, **{"mcp-protocol-version": version}), 400, -32700)
        assert error["data"]["status"] == 400


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"7",
        b"null",
        b"{}",
        b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}',
        b'{"jsonrpc": "2.0", "id": 1}',
        b'{"jsonrpc": "2.0", "id": 1, "method": 7}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}',
        b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]',
    ],
)
async def test_what_is_no_request_is_refused(node: Live, body: bytes) -> None:
    for version in ("2026-07-28", OLD):
        answer = await post(node, body, **{"mcp-protocol-version": version})
        assert error_of(answer, 400, -32600)["data"]["status"] == 400
        assert answer.json()["id"] is None
        assert "pydantic" not in answer.text


async def test_an_unknown_method_is_not_found(node: Live) -> None:
    assert error_of(await post(node, message("pets/fly")), 404, -32601)["data"] == "pets/fly"
    old = message("pets/fly", version=OLD)
    answer = await post(node, old, **HEADERS)
    assert '"code":-32601' in answer.text


async def test_methods_of_the_other_generation_are_not_found(node: Live) -> None:
    error_of(await post(node, message("resources/subscribe", {"uri": "petstore://inventory"})), 404, -32601)
    old = message("subscriptions/listen", {"notifications": {}}, OLD)
    assert '"code":-32601' in (await post(node, old, **HEADERS)).text
    old = message("resources/subscribe", {"uri": "petstore://inventory"}, OLD)
    assert '"code":-32601' in (await post(node, old, **HEADERS)).text


async def test_an_unknown_version_is_told_the_known_ones(node: Live) -> None:
    answer = await post(
        node, message("tools/list", version="2031-01-01"), **{"mcp-protocol-version": "2031-01-01"}
    )
    assert error_of(answer, 400, -32022)["data"] == {"supported": ["2026-07-28"], "requested": "2031-01-01"}


async def test_headers_that_contradict_the_body_are_refused(node: Live) -> None:
    for more in ({"mcp-method": "tools/call"}, {"mcp-protocol-version": "2031-01-01"}):
        error_of(await post(node, message("tools/list"), **more), 400, -32020)


async def test_a_session_of_any_id_is_served_for_there_are_none(node: Live) -> None:
    answer = await post(
        node, message("tools/list", version=OLD), **HEADERS, **{"mcp-session-id": "another-nodes"}
    )
    assert (answer.status_code, "search_pets" in answer.text) == (200, True)
    assert "mcp-session-id" not in answer.headers


async def test_too_many_bytes_or_parts_are_refused(node: Live) -> None:
    many = message("tools/call", {"name": "get_pet", "arguments": {"id": "x" * 1_100_000}})
    assert error_of(await post(node, many), 413, -32600)["data"]["title"] == "Payload Too Large"
    many["params"]["arguments"] = {"id": [[]] * 30_000}
    error_of(await post(node, many), 422, -32602)
    many["params"]["arguments"] = {"petId": [0] * 5_000}
    many["params"]["name"] = "place_order"
    assert (await post(node, many)).json()["result"]["structuredContent"]["status"] == 422


async def test_bad_credentials_are_401_and_lead_to_who_issues_tokens(node: Live) -> None:
    for more in (headers_of("nonsense"), {"x-api-key": "nonsense"}):
        answer = await post(node, message("tools/list"), **more)
        error_of(answer, 401, -32010)
        assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


async def test_another_tenants_token_is_403_and_no_tenant_400(node: Live) -> None:
    answer = await post(node, message("tools/list"), **headers_of(node.staff_token(), new_tenant()))
    error_of(answer, 403, -32010)
    error_of(await post(node, message("tools/list"), **{"x-tenant-id": "nonsense"}), 400, -32602)


async def test_a_missing_scope_is_told_by_the_tool(node: Live) -> None:
    caller = node.member()
    token = node.token(type(caller)(**{**_fields(caller), "scopes": frozenset()}))
    answer = await post(node, message("tools/call", {"name": "list_orders"}), **headers_of(token))
    result = answer.json()["result"]
    assert (result["isError"], result["structuredContent"]["status"]) == (True, 403)


def _fields(caller: Any) -> dict[str, Any]:
    return {name: getattr(caller, name) for name in type(caller).__slots__}


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:6274", 200),
        ("http://127.0.0.1", 200),
        ("http://[::1]:3000", 200),
        ("https://store.example", 200),
        ("https://page.example", 200),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://localhost.evil.example", 403),
    ],
)
async def test_pages_of_unknown_origins_may_not_call(tmp_path: Path, origin: str, status: int) -> None:
    async with live(tmp_path, origins=("https://page.example",)) as node:
        answer = await post(node, message("tools/list"), origin=origin, host="evil.example")
        assert answer.status_code == status


async def test_any_host_is_served(node: Live) -> None:
    assert (await post(node, message("tools/list"), host="store.example:8443")).status_code == 200


async def test_media_types_are_negotiated(node: Live) -> None:
    assert (await post(node, message("tools/list"), accept="text/html")).status_code == 406
    assert (await post(node, message("tools/list"), **{"content-type": "text/plain"})).status_code == 415


async def test_a_draining_node_says_so(node: Live) -> None:
    await node.drain()
    answer = await post(node, message("tools/call", {"name": "place_order", "arguments": {"petId": "x"}}))
    assert answer.json()["result"]["structuredContent"]["status"] == 422
    watched = {"notifications": {"resourceSubscriptions": ["petstore://inventory"]}}
    error = (await post(node, message("subscriptions/listen", watched))).json()["error"]
    assert (error["code"], error["data"]["status"]) == (-32010, 503)


async def test_a_notification_is_accepted(node: Live) -> None:
    note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await post(node, note, **HEADERS)).status_code == 202
    assert (await post(node, note)).status_code == 202


@pytest.mark.parametrize("version", ["2026-07-28", OLD])
@pytest.mark.parametrize("message_id", ["1.5", "null", "1e400", "true", "[]", "{}", "1.0", "NaN"])
async def test_an_id_of_no_use_is_told_and_nobody_waits(node: Live, message_id: str, version: str) -> None:
    body = f'{{"jsonrpc": "2.0", "id": {message_id}, "method": "tools/list", "params": {{}}}}'
    answer = await post(node, body.encode(), **{"mcp-protocol-version": version})
    error = error_of(answer, 400, -32700 if message_id == "NaN" else -32600)
    assert answer.json()["id"] is None
    assert (error["data"]["status"], "pydantic" in answer.text) == (400, False)


@pytest.mark.parametrize("kind", [None, "", "text/plain", "text/json", "application/json; charset=utf-16"])
async def test_other_media_types_are_415(node: Live, kind: str | None) -> None:
    for version in ("2026-07-28", OLD):
        headers = {"accept": "*/*", "mcp-protocol-version": version}
        if kind is not None:
            headers["content-type"] = kind
        answer = await node.get("/mcp", "POST", content=b"{}", headers=headers)
        assert error_of(answer, 415, -32600)["data"]["title"] == "Unsupported Media Type"


async def test_refused_requests_count_too(tmp_path: Path) -> None:
    """Whatever they are refused for: the method, the origin, the media type, the message, what is not there."""
    async with live(tmp_path, requests_per_minute=6, origins=("https://page.example",)) as node:
        answers = [
            await node.get("/mcp"),
            await node.get("/mcp", "DELETE"),
            await post(node, message("tools/list"), origin="https://evil.example"),
            await post(node, message("tools/list"), **{"content-type": "text/plain"}),
            await post(node, b"[]"),
            await post(node, message("pets/fly")),
        ]
        assert [answer.status_code for answer in answers] == [405, 405, 403, 415, 400, 404]
        assert [int(answer.headers["ratelimit-remaining"]) for answer in answers] == [5, 4, 3, 2, 1, 0]
        over = await node.get("/mcp")
        assert (over.status_code, over.headers["content-type"]) == (429, "application/problem+json")
        assert (await node.get("/mcp", "OPTIONS")).status_code == 204
