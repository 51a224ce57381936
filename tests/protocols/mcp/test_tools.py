"""Tools, with the official client in both generations of the protocol."""

import asyncio
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from mcp.client.client import ConnectMode
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, TextContent

from core.services.catalogue import OPERATIONS
from protocols.mcp.bindings import TOOLS, Tool
from protocols.mcp.schemas import ToolSchemas
from tests.protocols.live import Live, live, new_tenant
from tests.protocols.mcp.clients import CARD, MODES, NEW, OLD, account, add_pet, connected

SCHEMAS = ToolSchemas(tool.operation for tool in TOOLS)


def problem_of(result: CallToolResult) -> dict[str, Any]:
    """The problem of a tool that could not do what it was asked."""
    assert result.is_error
    found: dict[str, Any] = result.structured_content
    return found


@pytest.mark.parametrize("mode", MODES)
async def test_an_assistant_finds_orders_pays_and_cancels(node: Live, mode: ConnectMode) -> None:
    pet_id = await add_pet(node, name="Bella", species="DOG")
    async with connected(node.port, mode, node.token(node.member())) as client:
        assert client.protocol_version == (OLD if mode == "legacy" else NEW)
        found = await client.call_tool("search_pets", {"criteria": {"species": ["DOG"], "text": "bella"}})
        assert [pet["id"] for pet in found.structured_content["data"]] == [pet_id]
        order = (await client.call_tool("place_order", {"petId": pet_id})).structured_content
        assert order["status"] == "PLACED"
        again = problem_of(await client.call_tool("place_order", {"petId": pet_id}))
        assert (again["status"], again["type"]) == (409, "https://petstoreapi.com/errors/conflict")
        due = {"id": order["id"], "amount": order["totalAmount"], "currency": order["currency"]}
        payment = (await client.call_tool("pay_order", {**due, "source": CARD})).structured_content
        assert (payment["status"], payment["source"]["last4"]) == ("SUCCEEDED", "4242")
        cancelled = await client.call_tool("cancel_order", {"id": order["id"]})
        assert cancelled.structured_content["status"] == "CANCELLED"
        orders = await client.call_tool("list_orders", {"status": ["CANCELLED"]})
        assert [one["id"] for one in orders.structured_content["data"]] == [order["id"]]
        read = await client.call_tool("get_order", {"id": order["id"]})
        assert isinstance(read.content[0], TextContent)
        assert order["id"] in read.content[0].text


async def test_an_assistant_applies_for_a_pet_and_withdraws(node: Live) -> None:
    pet_id = await add_pet(node)
    application = {
        "petId": pet_id,
        "applicant": {"name": "Sam", "email": "sam@example.com"},
        "householdType": "APARTMENT",
        "hasYard": False,
    }
    async with connected(node.port, token=await account(node)) as client:
        made = (await client.call_tool("apply_for_adoption", application)).structured_content
        assert made["status"] == "SUBMITTED"
        refused = problem_of(
            await client.call_tool("withdraw_adoption", {"id": made["id"], "status": "APPROVED"})
        )
        assert [error["code"] for error in refused["errors"]] == ["UNKNOWN_FIELD"]
        await client.call_tool("withdraw_adoption", {"id": made["id"]})
        listed = (await client.call_tool("list_adoptions", {})).structured_content["data"]
        read = (await client.call_tool("get_adoption", {"id": made["id"]})).structured_content
        assert [one["status"] for one in (*listed, read)] == ["WITHDRAWN", "WITHDRAWN"]


async def test_the_advisor_answers_and_tells_its_progress(node: Live) -> None:
    await add_pet(node, name="Rex", species="DOG", size="SMALL")
    told: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)

    question = {"messages": [{"role": "user", "content": "do you have a small dog?"}]}
    for mode in MODES:
        async with connected(node.port, mode, node.token(node.member())) as client:
            answer = await client.call_tool("ask_advisor", question, progress_callback=note)
            assert "Rex" in answer.structured_content["text"]
    assert told[:2] == [0.0, 0.0]


async def test_recent_events_go_on_where_the_last_answer_ended(node: Live) -> None:
    async with connected(node.port) as client:

        async def ask(**more: Any) -> tuple[list[int], dict[str, Any]]:
            found = await client.call_tool("recent_events", {"topics": ["pets/#"], **more})
            page: dict[str, Any] = found.structured_content
            return [event["data"]["number"] for event in page["events"]], page

        await node.happen(*range(5))
        latest, page = await ask(limit=2)
        assert (latest, page["more"]) == ([3, 4], False)
        assert (await ask(after=page["cursor"]))[0] == []
        await node.happen(5, 6, 7)
        first, cut = await ask(after=page["cursor"], limit=2)
        rest, last = await ask(after=cut["cursor"])
        assert (first, cut["more"], rest, last["more"]) == ([5, 6], True, [7], False)
        assert (await ask(after="earliest"))[0] == list(range(8))
        await node.store.storage.trim_log(None, 2)
        expired = problem_of(
            await client.call_tool("recent_events", {"topics": ["pets/#"], "after": page["cursor"]})
        )
        assert (expired["status"], "oldestCursor" in expired) == (410, True)
        assert (await ask())[0] == [6, 7]


async def test_recent_events_are_those_that_the_caller_may_see(node: Live) -> None:
    owner = node.member()
    await node.happen_to(owner, 1)
    await node.happen_to(None, 2)
    seen = {}
    for name, caller in {"owner": owner, "other": node.member(), "staff": None}.items():
        token = node.staff_token() if caller is None else node.token(caller)
        async with connected(node.port, token=token) as client:
            page = await client.call_tool("recent_events", {"topics": ["orders/#"]})
            seen[name] = [event["data"]["number"] for event in page.structured_content["events"]]
    assert seen == {"owner": [1], "other": [], "staff": [1, 2]}
    async with connected(node.port) as client:
        assert problem_of(await client.call_tool("recent_events", {"topics": ["orders/#"]}))["status"] == 401


@pytest.mark.parametrize("mode", MODES)
async def test_every_error_is_a_problem_that_the_assistant_sees(node: Live, mode: ConnectMode) -> None:
    async with connected(node.port, mode) as client:
        for name, arguments, status in (
            ("get_pet", {"id": "7"}, 400),
            ("get_pet", {}, 400),
            ("get_pet", {"id": "0198d3c4-0000-7000-8000-000000000000"}, 404),
            ("get_pet", {"id": "0198d3c4-0000-7000-8000-000000000000", "colour": "red"}, 422),
            ("place_order", {}, 422),
            ("place_order", {"petId": 7, "colour": "red"}, 422),
            ("search_pets", {"criteria": "dogs"}, 422),
            ("list_orders", {}, 401),
            ("ask_advisor", {"messages": [{"role": "USER", "content": "hi"}]}, 401),
            ("recent_events", {"topics": ["pets/#/x"]}, 400),
            ("recent_events", {"topics": ["pets/#"], "after": "nonsense"}, 400),
        ):
            problem = problem_of(await client.call_tool(name, arguments))
            assert (problem["status"], problem["instance"]) == (status, "/mcp"), name
        with pytest.raises(MCPError, match="There is no tool 'fly'") as refused:
            await client.call_tool("fly", {})
        assert refused.value.code == -32602


async def test_every_violation_of_the_arguments_is_told(node: Live) -> None:
    async with connected(node.port, token=node.token(node.member())) as client:
        problem = problem_of(await client.call_tool("apply_for_adoption", {"petId": "x", "applicant": {}}))
    fields = {error["field"] for error in problem["errors"]}
    assert fields == {"petId", "applicant.name", "applicant.email", "householdType", "hasYard"}


async def test_a_key_makes_a_second_attempt_harmless(node: Live) -> None:
    pet_id = await add_pet(node)
    meta: Any = {"petstoreapi.com/idempotencyKey": "once"}
    async with connected(node.port, token=node.token(node.member())) as client:
        first = await client.call_tool("place_order", {"petId": pet_id}, meta=meta)
        second = await client.call_tool("place_order", {"petId": pet_id}, meta=meta)
    assert first.structured_content == second.structured_content
    assert (second.meta or {})["petstoreapi.com/idempotentReplayed"] is True


async def test_a_key_may_be_a_header_field(node: Live) -> None:
    pet_id, token = await add_pet(node), node.token(node.member())
    async with connected(node.port, token=token, **{"idempotency-key": "once"}) as client:
        meta: Any = {"petstoreapi.com/idempotencyKey": "once"}
        first = await client.call_tool("place_order", {"petId": pet_id})
        second = await client.call_tool("place_order", {"petId": pet_id}, meta=meta)
        assert first.structured_content == second.structured_content
        assert (second.meta or {})["petstoreapi.com/idempotentReplayed"] is True
        other = problem_of(await client.call_tool("place_order", {"petId": await add_pet(node)}))
        assert [error["field"] for error in other["errors"]] == ["Idempotency-Key"]
        meta = {"petstoreapi.com/idempotencyKey": "twice"}
        both = problem_of(await client.call_tool("place_order", {"petId": pet_id}, meta=meta))
        assert both["status"] == 422


@pytest.mark.parametrize("key", [5, 1.5, True, {"a": 1}, ["once"], "", "x" * 256, "\n"])
async def test_a_key_of_no_use_is_refused(node: Live, key: Any) -> None:
    pet_id = await add_pet(node)
    async with connected(node.port, token=node.token(node.member())) as client:
        meta: Any = {"petstoreapi.com/idempotencyKey": key}
        problem = problem_of(await client.call_tool("place_order", {"petId": pet_id}, meta=meta))
        fields = [error["field"] for error in problem["errors"]]
        assert (problem["status"], fields) == (422, ['_meta["petstoreapi.com/idempotencyKey"]'])
        assert not (await client.call_tool("place_order", {"petId": pet_id})).is_error, "nothing had happened"


async def test_a_tenant_is_named_by_the_header_or_the_token(node: Live) -> None:
    tenant = new_tenant()
    pet_id = await add_pet(node, tenant)
    token = node.token(node.member(tenant=tenant))
    for more in ({"tenant": tenant}, {"token": token}, {"token": token, "tenant": tenant}):
        async with connected(node.port, **more) as client:
            assert not (await client.call_tool("get_pet", {"id": pet_id})).is_error
    async with connected(node.port) as client:
        assert problem_of(await client.call_tool("get_pet", {"id": pet_id}))["status"] == 404


async def test_who_calls_too_often_is_told_so_by_the_tool(tmp_path: Any) -> None:
    async with live(tmp_path, requests_per_minute=3) as node, connected(node.port) as client:
        results = [await client.call_tool("get_inventory", {}) for _ in range(3)]
        problem = problem_of(results[-1])
        assert (problem["status"], problem["retryAfter"] > 0) == (429, True)
        with pytest.raises(MCPError) as refused:
            await client.list_tools()
        assert refused.value.data["status"] == 429


async def test_one_pet_goes_to_one_of_many_assistants(node: Live) -> None:
    pet_id = await add_pet(node)
    async with connected(node.port) as client:
        tries = [client.call_tool("place_order", {"petId": pet_id}) for _ in range(8)]
        assert sorted(result.is_error for result in await asyncio.gather(*tries)) == [False] + [True] * 7


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_tool_takes_what_its_operation_takes(tool: Any) -> None:
    schema = SCHEMAS.arguments(tool.operation, (*tool.fixed, *tool.hidden))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator.check_schema(SCHEMAS.answer(tool.operation))
    assert not {"anyOf", "oneOf", "allOf"} & schema.keys(), "some assistants refuse those at the top"
    assert tool.params <= schema["properties"].keys()
    assert set(schema.get("required", ())) <= schema["properties"].keys()
    examples = dict.fromkeys(tool.params & {"id"}, "0198d3c4-0000-7000-8000-000000000000")
    if tool.operation.body_example and not tool.fixed:
        jsonschema.validate({**tool.operation.body_example, **examples}, schema)
    if tool.operation.result_example:
        jsonschema.validate(tool.operation.result_example, SCHEMAS.answer(tool.operation))


def test_hints_follow_from_what_the_operations_do() -> None:
    hints = {tool.name: {name for name, held in tool.annotations.items() if held} for tool in TOOLS}
    assert hints["get_pet"] == hints["recent_events"] == {"readOnlyHint", "idempotentHint"}
    assert hints["place_order"] == hints["pay_order"] == set()
    assert hints["cancel_order"] == {"destructiveHint", "idempotentHint"}


def test_names_are_unique_and_operations_are_the_catalogues() -> None:
    assert len({tool.name for tool in TOOLS}) == len(TOOLS)
    beside = {tool.name for tool in TOOLS if tool.operation not in OPERATIONS}
    assert beside == {"ask_advisor", "recent_events"}


def test_the_table_of_the_document_is_the_code_s() -> None:
    document = (Path(__file__).parents[3] / "docs" / "mcp.md").read_text(encoding="utf-8")

    def hints(tool: Tool) -> str:
        held = tool.annotations
        if held["readOnlyHint"]:
            return "reads"
        return "changes; idempotent" if held["destructiveHint"] else "adds"

    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", document, re.MULTILINE)
    assert rows == [(tool.name, tool.title, hints(tool)) for tool in TOOLS]


async def test_what_is_listed_is_what_can_be_called(node: Live) -> None:
    async with connected(node.port) as client:
        listed = (await client.list_tools()).tools
    assert [tool.name for tool in listed] == [tool.name for tool in TOOLS]
    assert all(tool.description and tool.title and tool.output_schema for tool in listed)
