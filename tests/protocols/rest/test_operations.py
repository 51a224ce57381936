"""Every operation over HTTP, from the table of bindings and the examples of the operations."""

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from core.services.catalogue import OPERATIONS
from protocols.rest.bindings import BINDINGS, Binding
from protocols.rest.openapi import openapi_document
from tests.core.stores import PUBLIC_URL
from tests.protocols.rest.shop import Door, caller_for, request_for

DOCUMENT = openapi_document()

#: What only live connections do.
LIVE_ONLY = {"assignWaitingChats"}
#: What only the classic door does, by the rules of its API.
CLASSIC_ONLY = {operation.name for operation in OPERATIONS if operation.classic}

WAYS = [(binding, path) for binding in BINDINGS for path in binding.paths]


def described(binding: Binding, path: str) -> dict[str, Any]:
    """What the document says of an operation."""
    found: dict[str, Any] = DOCUMENT["paths"][path][binding.method.lower()]
    return found


def closed(schema: Any) -> Any:
    """The schema as a client reads it that wants to know every member: no object has others."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"unevaluatedProperties": False} if isinstance(schema.get("properties"), dict) else {}
    return {**{key: closed(value) for key, value in schema.items()}, **more}


CLOSED = {"schemas": {name: closed(schema) for name, schema in DOCUMENT["components"]["schemas"].items()}}


def check_schema(schema: dict[str, Any], value: object, components: Any = None) -> None:
    checked = {**schema, "components": components or DOCUMENT["components"]}
    Draft202012Validator(checked, format_checker=FormatChecker()).validate(value)


@pytest.mark.parametrize(("binding", "path"), WAYS, ids=[f"{b.method} {path}" for b, path in WAYS])
async def test_an_operation_answers_as_the_document_says(door: Door, binding: Binding, path: str) -> None:
    shop = await door.open_full_shop()
    says = described(binding, path)
    request = request_for(binding, shop, path)
    if "json" in request:
        check_schema(next(iter(says["requestBody"]["content"].values()))["schema"], request["json"])

    caller = caller_for(binding, shop)
    answer = await caller.request(**request)

    assert answer.status_code == binding.status, answer.text
    response = says["responses"][str(binding.status)]
    if binding.status == 204:
        assert answer.content == b""
    else:
        media_type = answer.headers["content-type"]
        if media_type == "application/json":
            check_schema(response["content"][media_type]["schema"], answer.json(), CLOSED)
        else:
            assert media_type in response["content"]
    promised = {name.lower() for name in response["headers"]}
    assert {"etag", "location", "link"} & promised == {"etag", "location", "link"} & set(answer.headers)
    if "location" in answer.headers and binding.operation.name != "createApiKey":
        there = await shop.staff.get(answer.headers["location"].removeprefix(PUBLIC_URL))
        assert there.status_code == 200, there.text


def test_every_operation_has_its_place_or_is_for_live_connections_or_for_classic_clients() -> None:
    bound = {binding.operation.name for binding in BINDINGS}
    assert bound | LIVE_ONLY | CLASSIC_ONLY == {operation.name for operation in OPERATIONS}
    assert not bound & (LIVE_ONLY | CLASSIC_ONLY)


@pytest.mark.parametrize("binding", BINDINGS, ids=lambda binding: f"{binding.method} {binding.path}")
def test_the_examples_of_the_document_are_valid(binding: Binding) -> None:
    says = described(binding, binding.path)
    contents = [
        *says.get("requestBody", {}).get("content", {}).values(),
        *says["responses"][str(binding.status)].get("content", {}).values(),
    ]
    for content in contents:
        if "example" in content:
            check_schema(content["schema"], content["example"])


def test_a_link_names_an_operation_and_gives_it_all_that_its_path_wants() -> None:
    operations = {
        operation["operationId"]: (path, operation)
        for path, item in DOCUMENT["paths"].items()
        for operation in item.values()
    }
    linked = 0
    for _, operation in operations.values():
        for response in operation["responses"].values():
            for link in response.get("links", {}).values():
                target, _ = operations[link["operationId"]]
                assert set(link["parameters"]) == set(re.findall(r"{(\w+)}", target))
                schema = response["content"]["application/json"]["schema"]
                shown = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
                for value in link["parameters"].values():
                    assert value.removeprefix("$response.body#/") in shown
                linked += 1
    assert linked > 100


def test_everything_in_the_document_says_what_it_is() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    members = {
        f"{name}.{member}": one
        for name, schema in schemas.items()
        for member, one in schema.get("properties", {}).items()
    }
    parameters = {
        f"{method} {path} {one['name']}": {**one["schema"], **one}
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict)
        for one in operation.get("parameters", ())
        if "$ref" not in one
    }
    operations = {
        f"{method} {path}": operation
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
    }
    tags = {tag["name"]: tag for tag in DOCUMENT["tags"]}
    everything = {**members, **parameters, **operations, **tags}
    assert [name for name, one in everything.items() if not one.get("description")] == []
