"""Clients of the GraphQL door for tests: one that ends, and one that speaks graphql-transport-ws word for word."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.http_clients import http_client
from tests.protocols.live import EventStream, Live
from tests.waiting import eventually, within

SUBPROTOCOL = Subprotocol("graphql-transport-ws")
EVENTS = """subscription($topics: [String!]!, $after: String) {
  events(topics: $topics, after: $after) { topic cursor data }
}"""


async def post(node: Live, query: str, token: str | None = None, **more: Any) -> httpx.Response:
    """One request; ``more``: variables, operationName, headers."""
    headers = {"Accept": "application/graphql-response+json", **more.pop("headers", {})}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    async with http_client(base_url=f"http://127.0.0.1:{node.port}") as client:
        return await client.post("/v1/graphql", json={"query": query, **more}, headers=headers)


async def data_of(node: Live, query: str, token: str | None = None, **more: Any) -> Any:
    """The data of an answer without errors."""
    answer = await post(node, query, token, **more)
    assert answer.status_code == 200, answer.text
    assert "errors" not in answer.json(), answer.text
    return answer.json()["data"]


async def errors_of(node: Live, query: str, token: str | None = None, **more: Any) -> list[dict[str, Any]]:
    """The errors of an answer."""
    found: list[dict[str, Any]] = (await post(node, query, token, **more)).json()["errors"]
    return found


class Talker:
    """A WebSocket client. ``places`` are the last that it was told, by the ids of its subscriptions; ``place`` is the
    connection's."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.places: dict[str, str] = {}
        self.place: str | None = None

    async def say(self, kind: str, mark: str | None = None, payload: Any = None) -> None:
        """Send a message."""
        message = {"type": kind, "id": mark, "payload": payload}
        await self.connection.send(json.dumps({k: v for k, v in message.items() if v is not None}))

    async def hear(self) -> dict[str, Any]:
        """The next message; places are noted on the way."""
        while True:
            message: dict[str, Any] = json.loads(await within(self.connection.recv()))
            if message["type"] in ("ping", "pong"):
                payload = message.get("payload", {})
                self.places |= payload.get("cursors", {})
                self.place = payload.get("cursor")
            if message["type"] != "pong" or "cursors" not in message.get("payload", ()):
                return message

    async def subscribe(self, mark: str, query: str = EVENTS, **variables: Any) -> None:
        """Begin an operation."""
        await self.say("subscribe", mark, {"query": query, "variables": variables})

    async def payload(self, mark: str | None = None) -> Any:
        """What the next answer tells."""
        while (message := await self.hear())["type"] == "ping":
            pass
        assert message["type"] == "next", message
        assert mark in (None, message["id"])
        return message["payload"]

    async def numbers(self, count: int) -> list[int]:
        """What the next events tell."""
        return [(await self.payload())["data"]["events"]["data"]["number"] for _ in range(count)]

    async def end(self) -> tuple[int, list[dict[str, Any]]]:
        """The close code, and what came before it."""
        messages = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                messages.append(await self.hear())
        return self.connection.close_code or 0, messages


@contextlib.asynccontextmanager
async def talker(node: Live, **options: Any) -> AsyncIterator[Talker]:
    """A client that has said nothing yet."""
    options = {"compression": None, "max_queue": None, "subprotocols": [SUBPROTOCOL], **options}
    async with connect(f"ws://127.0.0.1:{node.port}/v1/graphql", **options) as connection:
        yield Talker(connection)


@contextlib.asynccontextmanager
async def member(node: Live, token: str | None = None, **payload: Any) -> AsyncIterator[Talker]:
    """A client who was let in."""
    async with talker(node) as client:
        if token is not None:
            payload["Authorization"] = f"Bearer {token}"
        await client.say("connection_init", None, payload)
        assert (await client.hear())["type"] == "connection_ack"
        yield client


async def subscribed(node: Live, count: int) -> None:
    """Wait until so many subscriptions are open."""
    await eventually(lambda: node.store.hub.statistics().subscriptions == count)


class Answers(EventStream):
    """A client of graphql-sse."""

    async def answer(self) -> dict[str, Any]:
        """What the next ``next`` block tells."""
        block = await self.block()
        while "event" not in block:
            block = await self.block()
        assert block["event"] == "next", block
        found: dict[str, Any] = json.loads(block["data"])
        return found

    async def numbers(self, count: int) -> list[int]:
        return [(await self.answer())["data"]["events"]["data"]["number"] for _ in range(count)]


@contextlib.asynccontextmanager
async def answers(
    node: Live,
    query: str = EVENTS,
    token: str | None = None,
    *,
    last_event_id: str | None = None,
    **variables: Any,
) -> AsyncIterator[Answers]:
    """Follow a document over an event stream."""
    headers = {"Accept": "text/event-stream"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    body = {"query": query, "variables": variables}
    async with (
        http_client(base_url=f"http://127.0.0.1:{node.port}") as client,
        client.stream("POST", "/v1/graphql", json=body, headers=headers) as response,
    ):
        yield Answers(response)


PET = """mutation($name: String = "Rex") {
  createPet(input: {name: $name, species: DOG, ageMonths: 3, price: "75.00"}) { id }
}"""
ORDER = "mutation($id: ID!) { placeOrder(input: {petId: $id}) { id } }"


async def add_pet(node: Live, token: str) -> str:
    """A new pet's id."""
    return str((await data_of(node, PET, token))["createPet"]["id"])


async def add_order(node: Live, token: str, buyer: str | None = None) -> str:
    """The id of an order of a new pet."""
    pet = await add_pet(node, token)
    return str((await data_of(node, ORDER, buyer or token, variables={"id": pet}))["placeOrder"]["id"])
