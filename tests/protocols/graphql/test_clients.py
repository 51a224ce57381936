"""The official clients, unmodified: gql for Python, graphql-ws and graphql-sse for JavaScript, and the audits."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from gql import Client, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

from tests.protocols.graphql.clients import EVENTS, subscribed
from tests.protocols.live import Live
from tests.waiting import within

SCRIPT = Path(__file__).parents[2] / "node" / "graphql.mjs"


@asynccontextmanager
async def node_client(
    kind: str, node: Live, query: str = "", token: str = "", count: int = 0, **variables: Any
) -> AsyncIterator[asyncio.StreamReader]:
    """One of the JavaScript clients in a process of its own; gives what it prints."""
    request = json.dumps({"query": query, "variables": variables})
    url = f"http://127.0.0.1:{node.port}/v1/graphql"
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), kind, url, request, token, str(count), stdout=asyncio.subprocess.PIPE
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process.stdout
        assert await within(process.wait()) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line(output: asyncio.StreamReader) -> Any:
    return json.loads(await within(output.readline()))


async def test_every_audit_of_graphql_over_http_passes(node: Live) -> None:
    async with node_client("audit", node) as output:
        found = [json.loads(text) async for text in output]
    assert len(found) == 61
    assert [audit for audit in found if audit["status"] != "ok"] == []


@pytest.mark.parametrize("kind", ["ws", "sse"])
async def test_javascript_clients_follow_events_and_resume(node: Live, kind: str) -> None:
    async with node_client(kind, node, EVENTS, count=2, topics=["pets/#"]) as output:
        await subscribed(node, 1)
        await node.happen(1, 2, 3)
        answers = [await line(output), await line(output)]
        assert [answer["data"]["events"]["data"]["number"] for answer in answers] == [1, 2]
        assert await line(output) == {"end": "complete"}
    after = answers[-1]["extensions"]["cursor"]
    async with node_client(kind, node, EVENTS, count=1, topics=["pets/#"], after=after) as output:
        assert (await line(output))["data"]["events"]["data"]["number"] == 3
        assert await line(output) == {"end": "complete"}


@pytest.mark.parametrize("kind", ["ws", "sse"])
async def test_javascript_clients_ask_the_advisor(node: Live, kind: str) -> None:
    query = """subscription($messages: [TurnInput!]!) {
      completion(messages: $messages) { text finishReason }
    }"""
    asked, token = [{"role": "USER", "content": "How do I adopt a pet?"}], node.token(node.member())
    async with node_client(kind, node, query, token, count=9, messages=asked) as output:
        assert "adopt" in (await line(output))["data"]["completion"]["text"]
        assert (await line(output))["data"]["completion"] == {"text": "", "finishReason": "stop"}
        assert await line(output) == {"end": "complete"}


@pytest.mark.parametrize("kind", ["ws", "sse"])
async def test_javascript_clients_write_and_are_told_of_errors(node: Live, kind: str) -> None:
    mutation = 'mutation { createPet(input: {name: "A", species: CAT, ageMonths: 1, price: 1}) { name } }'
    async with node_client(kind, node, mutation, node.staff_token()) as output:
        assert (await line(output))["data"] == {"createPet": {"name": "A"}}
        assert await line(output) == {"end": "complete"}
    async with node_client(kind, node, EVENTS, topics=["orders/#"]) as output:
        told = await line(output)
        assert told["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        if kind == "sse":
            assert await line(output) == {"end": "complete"}


@pytest.mark.parametrize("kind", ["ws", "sse"])
async def test_javascript_clients_are_told_of_a_drain(node: Live, kind: str) -> None:
    async with node_client(kind, node, EVENTS, topics=["#"]) as output:
        await subscribed(node, 1)
        await node.drain()
        told = await line(output)
        assert (told["end"], told["code"]) == ("error", 1001 if kind == "ws" else None)
    node.store.draining = False


async def test_javascript_clients_with_a_bad_token_are_sent_off(node: Live) -> None:
    async with node_client("ws", node, EVENTS, "nonsense", topics=["#"]) as output:
        assert (await line(output))["code"] == 4403


async def test_the_python_client_asks_over_http(node: Live) -> None:
    headers = {"Authorization": f"Bearer {node.staff_token()}"}
    transport = HTTPXAsyncTransport(url=f"http://127.0.0.1:{node.port}/v1/graphql", headers=headers)
    async with Client(transport=transport, fetch_schema_from_transport=True) as session:
        query = gql("query($n: Int!) { pets(limit: $n) { id } inventory { total } }")
        query.variable_values = {"n": 1}
        assert await session.execute(query) == {"pets": [], "inventory": {"total": 0}}
        with pytest.raises(TransportQueryError) as caught:
            await session.execute(gql('{ pet(id: "x") { id } }'))
        assert caught.value.errors is not None
        assert caught.value.errors[0]["extensions"]["code"] == "BAD_REQUEST"


async def test_the_python_client_follows_over_websocket(node: Live) -> None:
    transport = WebsocketsTransport(
        url=f"ws://127.0.0.1:{node.port}/v1/graphql",
        init_payload={"token": node.staff_token()},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    async with Client(transport=transport) as session:
        assert await session.execute(gql("{ __typename }")) == {"__typename": "Query"}
        request = gql(EVENTS)
        request.variable_values = {"topics": ["pets/#"], "after": "earliest"}
        await node.happen(1)
        seen: list[int] = []
        async for answer in session.subscribe(request):
            seen.append(answer["events"]["data"]["number"])
            if len(seen) == 3:
                break
            await node.happen(len(seen) + 1)
        assert seen == [1, 2, 3]
