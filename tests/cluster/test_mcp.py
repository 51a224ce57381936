"""MCP behind a proxy that sends each request to another node."""

import asyncio
from itertools import cycle

import httpx2
import pytest
from mcp.client import Client
from mcp.client.client import ConnectMode
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.subscriptions import ResourceUpdated
from mcp.types import TextResourceContents

from tests.cluster.conftest import Pair, log_in
from tests.waiting import within

pytestmark = pytest.mark.slow


class Everywhere(httpx2.AsyncHTTPTransport):
    """Sends each request to the next node."""

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self._ports = cycle((pair.a.port, pair.b.port))
        self.sent: list[int] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one."""
        port = next(self._ports)
        self.sent.append(port)
        request.url = request.url.copy_with(port=port)
        return await super().handle_async_request(request)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_any_node_answers_any_request(pair: Pair, mode: ConnectMode) -> None:
    token = await asyncio.to_thread(log_in, pair.a.url, "demo")
    transport = Everywhere(pair)
    async with (
        httpx2.AsyncClient(transport=transport, headers={"Authorization": f"Bearer {token}"}) as http,
        Client(
            streamable_http_client(f"{pair.a.url}/mcp", http_client=http), mode=mode, cache=None
        ) as client,
    ):
        found = await client.call_tool("search_pets", {"criteria": {"status": ["AVAILABLE"]}})
        pet_ids = [pet["id"] for pet in found.structured_content["data"]]
        for pet_id in pet_ids[:3]:
            order = (await client.call_tool("place_order", {"petId": pet_id})).structured_content
            uri = f"petstore://orders/{order['id']}"
            (content,) = (await client.read_resource(uri)).contents
            assert isinstance(content, TextResourceContents)
            after = (content.meta or {})["petstoreapi.com/cursor"]
            if mode == "auto":
                async with client.listen(resource_subscriptions=[uri]) as heard:
                    await client.call_tool("cancel_order", {"id": order["id"]})
                    assert await within(anext(aiter(heard))) == ResourceUpdated(uri)
            else:
                await client.call_tool("cancel_order", {"id": order["id"]})
            page = await client.call_tool("recent_events", {"topics": ["orders/#"], "after": after})
            changes = [event["data"]["newStatus"] for event in page.structured_content["events"]]
            assert changes[-1:] == ["CANCELLED"], "on whatever node it is asked"
    assert set(transport.sent) == {pair.a.port, pair.b.port}
