"""Live clients that remember what they were told."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.http_clients import http_client
from tests.waiting import eventually

Event = dict[str, Any]


@dataclass
class Heard:
    """What one live connection was told: ``farewell`` is its last word, when it ended with one."""

    events: list[Event] = field(default_factory=list)
    cursor: str | None = None
    farewell: dict[str, Any] | None = None
    ended: bool = False

    @property
    def ids(self) -> list[str]:
        """The ids of the events, in the order they came."""
        return [event["id"] for event in self.events]

    def take(self, event: Event) -> None:
        """Note an event and where it lies."""
        self.events.append(event)
        self.cursor = event.get("cursor", self.cursor)

    async def has(self, event_type: str, **data: str) -> Event:
        """Wait for an event of a type whose data (or the resource within) has these members."""

        def found() -> Event | None:
            for event in self.events:
                inner = [event["data"], *(part for part in event["data"].values() if isinstance(part, dict))]
                if event["eventType"] == event_type and any(data.items() <= part.items() for part in inner):
                    return event
            return None

        event = await eventually(found)
        assert event is not None
        return event


#: A way to listen: (server, topics, token, cursor) to what is heard, open when the subscription stands.
Listen = Callable[..., contextlib.AbstractAsyncContextManager[Heard]]


@contextlib.asynccontextmanager
async def over_sse(
    url: str, topics: str, *, token: str | None = None, cursor: str | None = None
) -> AsyncIterator[Heard]:
    """Listen on the event stream."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    if cursor is not None:
        headers["Last-Event-ID"] = cursor
    heard = Heard()
    async with (
        http_client(base_url=url) as client,
        client.stream("GET", "/v1/events", params={"topics": topics}, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        async with _reading(heard, _read_sse(answer, heard)):
            yield heard


async def _read_sse(answer: httpx.Response, heard: Heard) -> None:
    block: dict[str, str] = {}
    with contextlib.suppress(httpx.RemoteProtocolError):
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                block[name] = value
                continue
            if block.get("event") == "closed":
                heard.farewell = json.loads(block["data"])
            elif block["event"] != "cursor":
                heard.take(json.loads(block["data"]))
            heard.cursor = block.get("id", heard.cursor)
            block = {}


@contextlib.asynccontextmanager
async def over_websocket(
    url: str, topics: str, *, token: str | None = None, cursor: str | None = None
) -> AsyncIterator[Heard]:
    """Listen on the WebSocket for domain events."""
    address = url.replace("http", "ws", 1) + "/v1/ws/events"
    data: dict[str, Any] = {"topics": topics.split(",")} | ({} if cursor is None else {"cursor": cursor})
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    heard = Heard()
    async with connect(address, additional_headers=headers) as socket:

        async def read() -> None:
            with contextlib.suppress(ConnectionClosed):
                async for text in socket:
                    message = json.loads(text)
                    if message["type"] == "event":
                        heard.take(message["data"])
                    elif message["type"] == "ack":
                        heard.cursor = heard.cursor or message["data"]["cursor"]
                    elif message["type"] == "error":
                        heard.farewell = message["data"]
                        heard.cursor = message["data"].get("cursor", heard.cursor)

        await socket.send(json.dumps({"type": "subscribe", "data": data}))
        async with _reading(heard, read()):
            yield heard


@contextlib.asynccontextmanager
async def _reading(heard: Heard, read: Awaitable[None]) -> AsyncIterator[None]:
    async def to_the_end() -> None:
        try:
            await read
        finally:
            heard.ended = True

    task = asyncio.create_task(to_the_end())
    try:
        await eventually(lambda: heard.cursor is not None)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
