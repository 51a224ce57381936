"""Requests for an event stream that get another answer."""

from pathlib import Path
from typing import Any

import pytest

from core.kernel.cursor import Cursor
from core.kernel.ids import SHARED_TENANT, new_id
from protocols.sse.adapter import read_request
from tests.gateway.server.serving import Client
from tests.protocols.live import Live, live, new_tenant


def _problem(answer: Any, status: int, slug: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"https://petstoreapi.com/errors/{slug}"
    assert (problem["status"], problem["instance"]) == (status, "/v1/events")
    return problem


@pytest.mark.parametrize(
    "query", ["", "topics=", "topics=,,", "topics=%20", "topic=pets/%23", "topics=%23&curser=x"]
)
async def test_without_topics_it_is_a_bad_request(node: Live, query: str) -> None:
    _problem(await node.get(f"/v1/events?{query}"), 400, "bad-request")


@pytest.mark.parametrize(
    "topics", ["a%23", "pets/%23/x", "pets/a%2B", "x" * 600, "a%00b", ",".join("a" * 101)]
)
async def test_malformed_filters_and_too_many_are_bad_requests(node: Live, topics: str) -> None:
    if topics.startswith("a,"):
        topics = ",".join(map(str, range(101)))
    _problem(await node.get(f"/v1/events?topics={topics}"), 400, "bad-request")


async def test_malformed_and_foreign_cursors_are_bad_requests(node: Live) -> None:
    foreign = Cursor(node.store.epoch, new_tenant(), 0).encode()
    for cursor in ("nonsense", foreign, "x" * 300, "%00", "é"):
        _problem(await node.get(params={"topics": "#", "cursor": cursor}), 400, "bad-request")
    headers = {"Last-Event-ID": "nonsense"}
    _problem(
        await node.get(params={"topics": "#", "cursor": "earliest"}, headers=headers), 400, "bad-request"
    )


async def test_an_expired_cursor_is_410_with_the_oldest_one(node: Live) -> None:
    await node.happen(*range(10))
    await node.store.storage.trim_log(None, 4)
    cursor = Cursor(node.store.epoch, SHARED_TENANT, 2).encode()
    problem = _problem(await node.get(params={"topics": "#", "cursor": cursor}), 410, "cursor-expired")
    assert problem["oldestCursor"] == Cursor(node.store.epoch, SHARED_TENANT, 6).encode()


async def test_bad_credentials_are_401_and_another_tenants_403(node: Live) -> None:
    answer = await node.get(params={"topics": "#", "token": "bad"})
    _problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    answer = await node.get(params={"topics": "orders/+/status"})
    _problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    token, tenant = node.staff_token(), new_tenant()
    _problem(await node.get(params={"topics": "#", "token": token, "tenant": tenant}), 403, "forbidden")
    customer = node.token(node.member())
    hidden = await node.get(params={"topics": f"orders/{new_id()}/status", "token": customer})
    _problem(hidden, 403, "forbidden")
    _problem(await node.get(params={"topics": "#", "tenant": "x"}), 400, "bad-request")


async def test_the_budget_shows_in_every_answer(tmp_path: Path) -> None:
    async with live(tmp_path, requests_per_minute=2) as node:
        async with node.stream("#") as stream:
            assert stream.response.headers["ratelimit-remaining"] == "1"
        assert (await node.get()).headers["ratelimit-remaining"] == "0"
        answer = await node.get(params={"topics": "#"})
        _problem(answer, 429, "rate-limit-exceeded")
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["ratelimit-policy"] == '"default";q=2;w=60'


async def test_a_caller_has_only_so_many_streams(tmp_path: Path) -> None:
    async with live(tmp_path, connections_per_caller=1) as node:
        async with node.stream("#") as stream:
            await stream.block()
            _problem(await node.get(params={"topics": "#"}), 429, "rate-limit-exceeded")
        await node.empty()
        for _ in range(3):
            _problem(await node.get(params={"topics": "a%#"}), 400, "bad-request")
        async with node.stream("#") as stream:
            await stream.block()


async def test_the_request_id_is_taken_over_when_it_is_sane(node: Live) -> None:
    async with node.stream("#", headers={"X-Request-ID": "mine-1"}) as stream:
        assert stream.response.headers["x-request-id"] == "mine-1"
    answer = await node.get(headers={"X-Request-ID": "not sane"})
    assert answer.headers["x-request-id"] not in ("", "not sane")
    assert answer.headers["vary"]


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/event-stream", 200),
        ("*/*", 200),
        ("text/*;q=0.1", 200),
        ("application/json", 406),
        ("text/event-stream;q=0, */*", 406),
    ],
)
async def test_what_the_client_accepts_decides(node: Live, accept: str, status: int) -> None:
    async with node.stream("#", headers={"Accept": accept}) as stream:
        assert stream.response.status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "QUERY"])
async def test_other_methods_are_told_which_there_are(node: Live, method: str) -> None:
    answer = await node.get("/v1/events?topics=%23", method)
    _problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


async def test_options_and_head_are_answered_without_a_stream(node: Live) -> None:
    answer = await node.get("/v1/events", "OPTIONS")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, "GET, HEAD, OPTIONS", b"")
    answer = await node.get("/v1/events?topics=%23", "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert (await node.get("/v1/events", "HEAD")).status_code == 400


async def test_head_is_over_at_once_and_holds_no_connection(tmp_path: Path) -> None:
    async with live(tmp_path, connections_per_caller=1) as node, node.raw() as client:
        for _ in range(3):
            client.send(b"HEAD /v1/events?topics=%23 HTTP/1.1\r\nHost: test\r\n\r\n")
            assert (await client.read_head()).startswith(b"HTTP/1.1 200 ")
            await node.empty()


async def test_an_older_client_reads_a_stream(node: Live) -> None:
    async with node.raw() as client:
        client.send(b"GET /v1/events?topics=%23 HTTP/1.0\r\n\r\n")
        head = (await client.read_head()).lower()
        assert head.count(b"\r\nconnection:") == head.count(b"\r\nconnection: close") == 1
        assert b"transfer-encoding" not in head
        assert (await client.reader.readuntil(b"\n\n")).startswith(b"retry: 2000\nid: ")
        await node.happen(1)
        assert (await client.reader.readuntil(b"\n\n")).startswith(b"id: ")


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ((), "https://a.example", None),
        (("*",), "https://a.example", "https://a.example"),
        (("https://a.example",), "https://b.example", None),
    ],
)
async def test_pages_of_the_set_origins_may_read(
    tmp_path: Path, origins: tuple[str, ...], origin: str, allowed: str | None
) -> None:
    async with live(tmp_path, origins=origins) as node:
        async with node.stream("#", headers={"Origin": origin}) as stream:
            assert stream.response.headers.get("access-control-allow-origin") == allowed
            exposed = stream.response.headers.get("access-control-expose-headers", "")
            assert ("X-Request-ID" in exposed) is (allowed is not None)
        answer = await node.get(headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == allowed
        preflight = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        answer = await node.get("/v1/events", "OPTIONS", headers=preflight)
        assert ("access-control-allow-headers" in answer.headers) is (allowed is not None)


async def test_topics_may_be_typed_as_they_are(node: Live) -> None:
    async with node.raw() as client:
        await _ask(client, f"token={node.staff_token()}&topics=orders/+/status,pets/#")
        await client.reader.readuntil(b"\n\n")
        await node.happen_to(None, 1)
        await node.happen(2)
        assert b'"number":1' in await client.reader.readuntil(b"\n\n")
        assert b'"number":2' in await client.reader.readuntil(b"\n\n")


async def _ask(client: Client, query: str) -> None:
    client.send(f"GET /v1/events?{query} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    assert (await client.read_head()).startswith(b"HTTP/1.1 200 ")


async def test_a_request_may_come_one_byte_at_a_time(node: Live) -> None:
    async with node.raw() as client:
        for byte in b"GET /v1/events?topics=%23 HTTP/1.1\r\nHost: test\r\n\r\n":
            client.send(bytes([byte]))
            await client.writer.drain()
        assert (await client.read_head()).startswith(b"HTTP/1.1 200 ")
        await client.reader.readuntil(b"\n\n")
        await node.happen(1)
        assert b'"number":1' in await client.reader.readuntil(b"\n\n")


@pytest.mark.parametrize(
    ("query", "topics"),
    [
        (b"topics=a,b&topics=c", ["a", "b", "c"]),
        (b"topics=orders/+/status", ["orders/+/status"]),
        (b"topics=orders%2F%2B%2Fstatus,%23", ["orders/+/status", "#"]),
        (b"topics=%20a%20,,b", ["a", "b"]),
        (b"topics=pets/", ["pets/#"]),
        (b"tenant=x&token=y&topics=%C3%A9", ["é"]),
    ],
)
def test_topics_are_read_from_the_address(query: bytes, topics: list[str]) -> None:
    assert read_request(query, {}).topics == topics
