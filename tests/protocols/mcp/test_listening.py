"""Streams of cues: what is heard, in whose rights, and how they end."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourceUpdated

from core.kernel.ids import SHARED_TENANT
from core.services.orders import CANCEL_ORDER
from core.services.pets import UPDATE_PET
from tests.core.stores import Shop
from tests.http_clients import http_client
from tests.protocols.live import Live, live
from tests.protocols.mcp.clients import NEW, add_pet, connected, headers_of, message
from tests.waiting import eventually, within

INVENTORY = "petstore://inventory"


class Stream:
    """The messages of a stream, as they come."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def hear(self) -> dict[str, Any]:
        """The next message."""
        while True:
            line = await within(anext(self._lines))
            if line.startswith("data: "):
                found: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return found

    async def ended(self) -> bool:
        """Whether nothing follows."""
        return [line async for line in self._lines if line] == []

    async def cue(self) -> tuple[str, str]:
        """The next cue: what has changed, and the cursor."""
        heard = await self.hear()
        assert heard["method"] == "notifications/resources/updated"
        assert heard["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 7
        return heard["params"]["uri"], heard["params"]["_meta"]["petstoreapi.com/cursor"]


@contextlib.asynccontextmanager
async def listening(
    node: Live, *uris: str, token: str | None = None, cursor: str | None = None
) -> AsyncIterator[tuple[Stream, str]]:
    """A stream and the cursor of its acknowledgement."""
    params: dict[str, Any] = {"notifications": {"resourceSubscriptions": list(uris)}}
    if cursor is not None:
        params["_meta"] = {"petstoreapi.com/cursor": cursor}
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": NEW,
        "mcp-method": "subscriptions/listen",
        **headers_of(token),
    }
    async with (
        http_client(base_url=f"http://127.0.0.1:{node.port}") as client,
        client.stream(
            "POST", "/mcp", json=message("subscriptions/listen", params), headers=headers
        ) as response,
    ):
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["x-request-id"]
        stream = Stream(response)
        heard = await stream.hear()
        assert heard["method"] == "notifications/subscriptions/acknowledged"
        assert heard["params"]["notifications"] == {"resourceSubscriptions": list(uris)}
        yield stream, heard["params"]["_meta"]["petstoreapi.com/cursor"]


async def test_the_official_client_hears_that_an_order_has_changed(node: Live) -> None:
    pet_id = await add_pet(node)
    async with connected(node.port, token=node.token(node.member())) as client:
        order = (await client.call_tool("place_order", {"petId": pet_id})).structured_content
        uri = f"petstore://orders/{order['id']}"
        async with client.listen(resource_subscriptions=[uri]) as heard:
            assert heard.honored.resource_subscriptions == [uri]
            await Shop(node.store, SHARED_TENANT).outcome(CANCEL_ORDER, id=order["id"])
            assert await within(anext(aiter(heard))) == ResourceUpdated(uri)
        (content,) = (await client.read_resource(uri)).contents
        assert '"status":"CANCELLED"' in content.text  # type: ignore[union-attr]


async def test_a_cue_names_what_has_changed_and_nothing_else(node: Live) -> None:
    shop = Shop(node.store, SHARED_TENANT)
    pet, other = [await add_pet(node, species="CAT") for _ in range(2)]
    uri = f"petstore://pets/{pet.upper()}"
    async with listening(node, uri, INVENTORY) as (stream, begun):
        await shop.outcome(UPDATE_PET, body={"name": "Other"}, id=other)
        await shop.outcome(UPDATE_PET, body={"name": "Tom"}, id=pet)
        changed, cursor = await stream.cue()
        assert (changed, cursor != begun) == (uri, True)
        await shop.outcome(UPDATE_PET, body={"status": "NOT_AVAILABLE"}, id=other)
        assert (await stream.cue())[0] == INVENTORY


async def test_a_stream_resumes_at_a_cursor(node: Live) -> None:
    shop = Shop(node.store, SHARED_TENANT)
    pet = await add_pet(node)
    uri = f"petstore://pets/{pet}"
    async with listening(node, uri) as (_, begun):
        pass
    await eventually(lambda: not list(node.sessions))
    await shop.outcome(UPDATE_PET, body={"name": "Tom"}, id=pet)
    async with listening(node, uri, cursor=begun) as (stream, _):
        assert (await stream.cue())[0] == uri


async def test_nobody_listens_to_what_they_may_not_read(node: Live) -> None:
    pet_id = await add_pet(node)
    async with connected(node.port, token=node.token(node.member())) as client:
        order = (await client.call_tool("place_order", {"petId": pet_id})).structured_content
    uri, unknown = (
        f"petstore://orders/{order['id']}",
        "petstore://orders/0198d3c4-0000-7000-8000-000000000000",
    )
    for token, status in ((None, 401), (node.token(node.member()), 403)):
        async with connected(node.port, token=token) as client:
            refusals = []
            for one in (uri, unknown):
                with pytest.raises(MCPError) as refused:
                    async with client.listen(resource_subscriptions=[one]):
                        pass
                refusals.append(refused.value.data["status"])
            assert refusals == [status, status], "whether it exists does not show"
    async with connected(node.port) as client:
        for wrong in (["petstore://fish/1"], [f"petstore://pets/{number}" for number in range(101)]):
            with pytest.raises(MCPError) as refused:
                async with client.listen(resource_subscriptions=wrong):
                    pass
            assert refused.value.data["status"] in (400, 404)


@pytest.mark.parametrize("wrong", ["+", "#", "%2B", "{id}", "7", "0198d3c4-0000-7000-8000-00000000000+", "*"])
@pytest.mark.parametrize("kind", ["pets", "orders"])
async def test_what_can_never_change_is_not_listened_to(node: Live, kind: str, wrong: str) -> None:
    uri = f"petstore://{kind}/{wrong}"
    async with connected(node.port, token=node.staff_token()) as client:
        with pytest.raises(MCPError) as refused:
            async with client.listen(resource_subscriptions=[INVENTORY, uri]):
                pass
    assert (refused.value.code, refused.value.data["status"]) == (-32602, 400)
    assert uri in refused.value.message


async def test_lists_never_change_and_nobody_is_told_that_they_do(node: Live) -> None:
    async with connected(node.port) as client:
        assert client.server_capabilities is not None
        assert client.server_capabilities.tools is not None
        assert client.server_capabilities.resources is not None
        assert not client.server_capabilities.tools.list_changed
        assert client.server_capabilities.resources.subscribe
        async with client.listen(tools_list_changed=True) as heard:
            assert not heard.honored.tools_list_changed
    async with connected(node.port, "legacy") as client:
        assert client.server_capabilities is not None
        assert client.server_capabilities.resources is not None
        assert not client.server_capabilities.resources.subscribe


@pytest.mark.parametrize("why", ["revoked", "expired", "draining"])
async def test_a_stream_ends_with_its_rights_and_says_why(node: Live, why: str) -> None:
    caller = node.member(lasts=1.5 if why == "expired" else 3600)
    async with listening(node, INVENTORY, token=node.token(caller)) as (stream, begun):
        if why == "revoked":
            await node.store.revocations.revoke((caller.subjects[0],))
        elif why == "draining":
            await node.drain()
        ended = await stream.hear()
        meta = ended["result"]["_meta"]
        assert ended["id"] == 7
        assert meta["petstoreapi.com/closed"]["reason"] == why
        assert meta["petstoreapi.com/closed"]["resumable"] is (why == "draining")
        assert meta["petstoreapi.com/cursor"] == begun
        assert await stream.ended()


async def test_an_expired_cursor_is_refused_and_later_ends_the_stream(node: Live) -> None:
    async with listening(node, INVENTORY) as (_, begun):
        pass
    for _ in range(3):
        await add_pet(node)
    await node.store.storage.trim_log(None, 1)
    async with connected(node.port) as client:
        with pytest.raises(MCPError) as refused:
            await client.session.send_request(*_listen_request(begun))
        assert (refused.value.data["status"], "oldestCursor" in refused.value.data) == (410, True)


def _listen_request(cursor: str) -> Any:
    from mcp.types import (
        SubscriptionFilter,
        SubscriptionsListenRequest,
        SubscriptionsListenRequestParams,
        SubscriptionsListenResult,
    )

    params = SubscriptionsListenRequestParams.model_validate(
        {
            "notifications": SubscriptionFilter(resource_subscriptions=[INVENTORY]),
            "_meta": {"petstoreapi.com/cursor": cursor},
        }
    )
    return SubscriptionsListenRequest(params=params), SubscriptionsListenResult


async def test_a_caller_has_only_so_many_streams(tmp_path: Path) -> None:
    async with live(tmp_path, connections_per_caller=2) as node:
        async with listening(node, INVENTORY), listening(node, INVENTORY), connected(node.port) as client:
            with pytest.raises(MCPError) as refused:
                async with client.listen(resource_subscriptions=[INVENTORY]):
                    pass
            assert refused.value.data["status"] == 429
        await eventually(lambda: not list(node.sessions))
        async with listening(node, INVENTORY):
            pass


async def test_who_reads_nothing_holds_up_nobody_and_is_dropped(tmp_path: Path) -> None:
    async with live(tmp_path, stall_limit=1.0) as node:
        pet = await add_pet(node)
        uri = f"petstore://pets/{pet}"
        body = json.dumps(
            message("subscriptions/listen", {"notifications": {"resourceSubscriptions": [uri]}})
        )
        head = (
            "POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\naccept: */*\r\n"
            f"mcp-protocol-version: {NEW}\r\nmcp-method: subscriptions/listen\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        async with node.raw(receive_buffer=4096) as client, listening(node, uri) as (stream, _):
            client.writer.write((head + body).encode())
            await eventually(lambda: len(list(node.sessions)) == 2)
            shop = Shop(node.store, SHARED_TENANT)

            async def change() -> None:
                for number in range(100_000):
                    await shop.outcome(UPDATE_PET, body={"name": f"Name {number}"}, id=pet)

            changes = asyncio.create_task(change())
            try:
                await eventually(lambda: len(list(node.sessions)) == 1)
                assert (await stream.cue())[0] == uri
            finally:
                changes.cancel()
                await asyncio.wait([changes])
