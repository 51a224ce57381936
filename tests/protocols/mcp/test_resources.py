"""Resources, prompts and completion."""

import contextlib
import json
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.client import ConnectMode
from mcp.shared.exceptions import MCPError
from mcp.types import PromptReference, ResourceTemplateReference, TextContent, TextResourceContents

from core.kernel.ids import SHARED_TENANT
from core.models.pets import Species
from core.services.orders import PLACE_ORDER
from core.services.pets import UPDATE_PET
from protocols.mcp.prompts import PROMPTS
from tests.core.stores import Shop
from tests.protocols.live import Live
from tests.protocols.mcp.clients import MODES, add_pet, connected


async def read(client: Client, uri: str) -> tuple[dict[str, Any], str]:
    """What a resource holds, and the cursor that came with it."""
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert (content.uri, content.mime_type) == (uri, "application/json")
    return json.loads(content.text), str((content.meta or {})["petstoreapi.com/cursor"])


@pytest.mark.parametrize("mode", MODES)
async def test_resources_are_listed_and_read(node: Live, mode: ConnectMode) -> None:
    pet_id = await add_pet(node, name="Bella")
    async with connected(node.port, mode) as client:
        assert [one.uri for one in (await client.list_resources()).resources] == ["petstore://inventory"]
        templates = (await client.list_resource_templates()).resource_templates
        assert [one.uri_template for one in templates] == ["petstore://pets/{id}", "petstore://orders/{id}"]
        assert (await read(client, f"petstore://pets/{pet_id}"))[0]["name"] == "Bella"
        assert (await read(client, "petstore://inventory"))[0]["available"] == 1
        order = (await Shop(node.store, SHARED_TENANT).outcome(PLACE_ORDER, body={"petId": pet_id})).value
        with pytest.raises(MCPError) as refused:
            await read(client, f"petstore://orders/{order.id}")
        assert refused.value.data["status"] == 404, "somebody else's order does not exist"


@pytest.mark.parametrize(("mode", "code"), [("auto", -32602), ("legacy", -32002)])
async def test_what_is_no_resource_is_not_found(node: Live, mode: ConnectMode, code: int) -> None:
    async with connected(node.port, mode) as client:
        for uri in (
            "petstore://pets/0198d3c4-0000-7000-8000-000000000000",
            "petstore://pets/",
            "petstore://pets/1/status",
            "petstore://inventory/DOG",
            "file:///etc/passwd",
        ):
            with pytest.raises(MCPError) as refused:
                await client.read_resource(uri)
            assert (refused.value.code, refused.value.data["status"]) == (code, 404)
        with pytest.raises(MCPError) as refused:
            await client.read_resource("petstore://pets/7")
        assert (refused.value.code, refused.value.data["status"]) == (-32602, 400)


@pytest.mark.parametrize("listens", [True, False])
async def test_what_follows_the_cursor_of_a_resource_is_not_in_it(node: Live, listens: bool) -> None:
    """The cursor is never ahead of what was read, whether or not anybody listens or the resource was in memory."""
    shop = Shop(node.store, SHARED_TENANT)
    pet_id = await add_pet(node, name="Name 0")
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(connected(node.port))
        if listens:
            await stack.enter_async_context(node.stream("pets/#"))
        for number in range(1, 4):
            pet, cursor = await read(client, f"petstore://pets/{pet_id}")
            await shop.outcome(UPDATE_PET, body={"name": f"Name {number}"}, id=pet_id)
            page = await client.call_tool("recent_events", {"topics": [f"pets/{pet_id}"], "after": cursor})
            names = [event["data"]["pet"]["name"] for event in page.structured_content["events"]]
            assert (pet["name"], names[-1:]) == (f"Name {number - 1}", [f"Name {number}"])


@pytest.mark.parametrize("mode", MODES)
async def test_prompts_ask_with_their_arguments(node: Live, mode: ConnectMode) -> None:
    async with connected(node.port, mode) as client:
        listed = (await client.list_prompts()).prompts
        assert [prompt.name for prompt in listed] == [prompt.name for prompt in PROMPTS]
        for prompt in PROMPTS:
            given = {name: f"<{name}>" for name in (*prompt.arguments, *prompt.choices)}
            (said,) = (await client.get_prompt(prompt.name, given)).messages
            assert isinstance(said.content, TextContent)
            assert all(value in said.content.text for value in given.values())
            assert "{" not in said.content.text
        with pytest.raises(MCPError, match="home"):
            await client.get_prompt("find_a_pet", {"species": "DOG"})
        with pytest.raises(MCPError, match="no prompt 'fly'"):
            await client.get_prompt("fly")


async def test_braces_of_an_argument_are_text(node: Live) -> None:
    async with connected(node.port) as client:
        (said,) = (await client.get_prompt("find_a_pet", {"home": "{species} {0} %s"})).messages
        assert isinstance(said.content, TextContent)
        assert "{species} {0} %s" in said.content.text


async def test_ids_and_names_are_completed(node: Live) -> None:
    ids = {name: await add_pet(node, name=name, description="") for name in ("Bella", "Beno", "Rex")}
    token = node.token(node.member())
    async with connected(node.port, token=token) as client:
        order = (await client.call_tool("place_order", {"petId": ids["Rex"]})).structured_content["id"]

        async def complete(ref: Any, name: str, value: str) -> list[str]:
            found = await client.complete(ref, {"name": name, "value": value})
            return found.completion.values

        pet = ResourceTemplateReference(uri="petstore://pets/{id}")
        orders = ResourceTemplateReference(uri="petstore://orders/{id}")
        assert set(await complete(pet, "id", "")) == {ids["Bella"], ids["Beno"]}
        assert await complete(pet, "id", ids["Beno"][:-1]) == [ids["Beno"]]
        assert await complete(pet, "id", "bella") == [ids["Bella"]]
        assert await complete(orders, "id", order[:6]) == [order]
        assert await complete(orders, "id", "ffff") == []
        assert await complete(PromptReference(name="adopt_a_pet"), "pet", "Be") == ["Bella", "Beno"]
        assert await complete(PromptReference(name="find_a_pet"), "species", "r") == ["RABBIT", "REPTILE"]
        assert await complete(PromptReference(name="find_a_pet"), "species", "") == [
            one.value for one in Species
        ]
        topics = await complete(PromptReference(name="what_changed"), "topics", "pets/#,orders/")
        assert topics == ["pets/#,orders/+/payment", "pets/#,orders/+/status"]
        assert await complete(PromptReference(name="find_a_pet"), "home", "x") == []
        with pytest.raises(MCPError):
            await complete(PromptReference(name="fly"), "home", "x")
    async with connected(node.port) as client:
        found = await client.complete(orders, {"name": "id", "value": ""})
        assert found.completion.values == [], "a visitor has no orders"
