"""Subscriptions as event streams (graphql-sse)."""

from pathlib import Path

import pytest

from core.kernel.cursor import Cursor
from core.kernel.errors import Unavailable
from core.kernel.ids import SHARED_TENANT
from tests.clock import skip
from tests.http_clients import http_client
from tests.protocols.graphql.clients import Answers, answers, subscribed
from tests.protocols.live import Live, live


async def test_a_stream_begins_with_its_place_and_then_shows_answers(node: Live) -> None:
    async with answers(node, topics=["pets/#"]) as stream:
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        first = await stream.block()
        assert first == {"id": first["id"], "data": ""}
        assert stream.response.headers["cache-control"] == "no-store, no-transform"
        await node.happen(1)
        block = await stream.block()
        assert list(block) == ["id", "event", "data"]
        assert f'"cursor":"{block["id"]}"' in block["data"]
        await node.happen(2, 3)
        assert await stream.numbers(2) == [2, 3]


async def test_a_query_is_answered_and_completed(node: Live) -> None:
    async with answers(node, "{ __typename }") as stream:
        assert await stream.answer() == {"data": {"__typename": "Query"}}
        assert (await stream.block())["event"] == "complete"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ nothing }", "BAD_REQUEST"),
        ('subscription { events(topics: ["orders/#"]) { id } }', "UNAUTHENTICATED"),
        ('subscription { events(topics: ["#"], after: "x") { id } }', "BAD_REQUEST"),
    ],
)
async def test_a_refusal_is_told_in_the_stream(node: Live, query: str, code: str) -> None:
    async with answers(node, query) as stream:
        assert (await stream.answer())["errors"][0]["extensions"]["code"] == code
        assert (await stream.block())["event"] == "complete"


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json, text/event-stream;q=0.5"])
async def test_subscriptions_may_come_by_get(node: Live, accept: str) -> None:
    query = {"query": "subscription($t: [String!]!) { events(topics: $t) { cursor data } }"}
    params = {**query, "variables": '{"t": ["pets/#"]}'}
    async with (
        http_client(base_url=f"http://127.0.0.1:{node.port}") as client,
        client.stream("GET", "/v1/graphql", params=params, headers={"Accept": accept}) as response,
    ):
        stream = Answers(response)
        await stream.block()
        await node.happen(1)
        assert await stream.numbers(1) == [1]


async def test_head_of_a_subscription_ends(node: Live) -> None:
    params = {"query": 'subscription { events(topics: ["#"]) { id } }'}
    headers = {"Accept": "application/json, text/event-stream;q=0.5"}
    assert (await node.get("/v1/graphql", "HEAD", params=params, headers=headers)).status_code == 400


async def test_who_reads_no_event_streams_cannot_follow(node: Live) -> None:
    query = 'subscription { events(topics: ["pets/#"]) { data } }'
    answer = await node.get("/v1/graphql", params={"query": query}, headers={"Accept": "*/*"})
    assert answer.status_code == 400


@pytest.mark.parametrize("how", ["drain", "expiry", "revocation"])
async def test_a_stream_ends_with_the_last_place(node: Live, how: str) -> None:
    caller = node.member(lasts=20 if how == "expiry" else 3600)
    async with answers(node, token=node.token(caller), topics=["pets/#"]) as stream:
        await stream.block()
        await node.happen(1)
        await stream.answer()
        if how == "drain":
            await node.drain()
        elif how == "revocation":
            await node.store.revocations.revoke(caller.subjects)
        else:
            skip(20)
        place = stream.last_id
        while "id" in (block := await stream.block()):
            assert block == {"id": place, "data": ""}
        assert list(block) == [""]  # a comment
        with pytest.raises(EOFError):
            await stream.block()
    node.store.draining = False


async def test_last_event_id_goes_before_the_cursor_that_a_stream_began_with(node: Live) -> None:
    await node.happen(1, 2, 3)
    async with answers(node, topics=["pets/#"], after="earliest") as stream:
        assert await stream.numbers(2) == [1, 2]
        place = stream.last_id
    for more in ({}, {"after": "earliest"}):
        async with answers(node, topics=["pets/#"], last_event_id=place, **more) as stream:
            assert await stream.numbers(1) == [3]
    async with answers(node, topics=["pets/#"], last_event_id="x") as stream:
        assert (await stream.answer())["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_a_stream_that_cannot_begin_now_ends_so_that_its_client_comes_back(node: Live) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("The database is away.")

    node.store.hub.subscribe = away  # type: ignore[method-assign, assignment]
    async with answers(node, topics=["pets/#"]) as stream:
        assert stream.response.status_code == 200
        assert await stream.block() == {"": "UNAVAILABLE: The database is away."}
        with pytest.raises(EOFError):
            await stream.block()
    del node.store.hub.subscribe


async def test_a_quiet_stream_is_told_its_place_now_and_then(tmp_path: Path) -> None:
    async with (
        live(tmp_path, heartbeat_seconds=0.05) as node,
        answers(node, topics=["inventory/#"]) as stream,
    ):
        await stream.block()
        await node.happen(1, 2, 3)
        while Cursor.decode((await stream.block())["id"], SHARED_TENANT).sequence < 3:
            pass


async def test_streams_that_are_cut_off_leave_nothing(node: Live) -> None:
    body = b'{"query":"subscription { events(topics: [\\"#\\"], after: \\"earliest\\") { data } }"}'
    head = b"POST /v1/graphql HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n"
    for _ in range(10):
        async with node.raw() as client:
            client.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await client.read_head()
    await subscribed(node, 0)


async def test_an_expired_cursor_is_told_and_the_stream_ends(node: Live) -> None:
    async with answers(node, topics=["pets/#"]) as stream:
        await node.happen(1)
        await stream.answer()
        place = stream.last_id
    await node.happen(*range(2, 50))
    await node.store.storage.trim_log(None, 5)
    async with answers(node, topics=["pets/#"], after=place) as stream:
        error = (await stream.answer())["errors"][0]["extensions"]
        assert error["code"] == "CURSOR_EXPIRED"
        assert (await stream.block())["event"] == "complete"
    async with answers(node, topics=["pets/#"], after=error["oldestCursor"]) as again:
        assert isinstance(again, Answers)
        assert await again.numbers(1) == [45]
