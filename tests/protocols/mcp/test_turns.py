"""Many requests at once do not hold the loop together."""

import asyncio
import json
from typing import Any

import pytest

from protocols.mcp.adapter import McpDoor
from tests.protocols.live import Live
from tests.protocols.mcp.clients import NEW, OLD, message

COUNT = 40


class Turns:
    """Counts the turns of the loop."""

    now = 0

    @classmethod
    async def count(cls) -> None:
        while True:
            cls.now += 1
            await asyncio.sleep(0)


async def answered_in(door: McpDoor, content: bytes, headers: dict[str, str]) -> int:
    """Ask; gives the turn of the loop in which the response began."""
    found: list[int] = []
    fields = {"content-type": "application/json", "accept": "application/json, text/event-stream", **headers}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "query_string": b"",
        "headers": [(name.encode(), text.encode()) for name, text in fields.items()],
        "client": ("192.0.2.1", 5000),
    }
    left = asyncio.Event()
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": content}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(part: Any) -> None:
        if part["type"] == "http.response.start":
            found.append(Turns.now)

    await door(scope, receive, send)
    return found[0]


@pytest.mark.parametrize("method", ["tools/list", "unknown"])
@pytest.mark.parametrize("version", [NEW, OLD])
async def test_one_request_begins_in_a_turn_of_the_loop(node: Live, version: str, method: str) -> None:
    content = json.dumps(message(method, version=version)).encode()
    headers = {"mcp-protocol-version": version, "mcp-method": method}
    door = McpDoor(node.sessions)
    async with door.running():
        counting = asyncio.create_task(Turns.count())
        found = await asyncio.gather(*(answered_in(door, content, headers) for _ in range(COUNT)))
        counting.cancel()
    assert len(set(found)) == COUNT
