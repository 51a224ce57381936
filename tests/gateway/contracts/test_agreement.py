"""The documents agree with one another: what OpenAPI, AsyncAPI, GraphQL's schema and the .proto files call by one name
has the same members there, of the same kinds, as required, and the same values.

OpenAPI is what the others are held against. What differs on purpose is listed here, with its reason.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from graphql import GraphQLEnumType, GraphQLList, GraphQLNonNull, GraphQLObjectType, build_schema
from pydantic.alias_generators import to_camel

from gateway.contracts.asyncapi import asyncapi_document
from gateway.contracts.documents import http_document
from protocols.graphql.schema import schema_text
from protocols.grpc._generated.petstore import v1

OPENAPI: dict[str, Any] = http_document()["components"]["schemas"]
ASYNCAPI: dict[str, Any] = asyncapi_document()["components"]["schemas"]
GRAPHQL = build_schema(schema_text()).type_map


def _files() -> Iterator[Any]:
    for module in pkgutil.iter_modules(v1.__path__):
        if module.name.endswith("_pb2"):
            yield importlib.import_module(f"{v1.__name__}.{module.name}").DESCRIPTOR


#: In the .proto files a pet's status and the field of a search are called by their older names.
_RENAMED = {"Status": "PetStatus", "SortField": "SortKey"}
MESSAGES: dict[str, Descriptor] = {
    name: kind for file in _files() for name, kind in file.message_types_by_name.items()
}
ENUMS: dict[str, EnumDescriptor] = {
    _RENAMED.get(name, name): kind for file in _files() for name, kind in file.enum_types_by_name.items()
}

#: Those of OpenAI's shape: both spellings on HTTP, and text in parts.
_OPENAI = {"CompletionUsage", "Turn"}
#: Members that a document has alone. Everywhere: `etag`, which is a header on HTTP, and in GraphQL where a link leads.
MORE_IN_PROTO = {
    "Address": {"street"},  # the older name of `line1`
    "Pagination": {"next"},  # a `Link` header on HTTP
    "Payment": {"card", "bankAccount"},  # the two kinds of `source`
    "Pet": {"adoptionFee"},  # the older `price`
    "Receipt": {"card", "bankAccount"},
}
LESS_IN_PROTO = {"Payment": {"source"}, "Receipt": {"source"}}
MORE_IN_GRAPHQL = {"Message": {"cursor"}}
#: Text that is empty where it is absent elsewhere, since it was released before the other could be.
EMPTY_IN_PROTO = {("Event", "cursor"), ("Order", "petId")}
#: What is read and written by one message: a client may leave it out.
OPTIONAL_IN_PROTO = {("Preferences", "newsletter"), ("Preferences", "notifications")}
#: Values that the .proto files do without.
LESS_VALUES = {
    "Role": {"VISITOR", "DEVICE"},  # no account has them
    "SpeakerRole": {"DEVELOPER", "TOOL", "FUNCTION"},  # OpenAI's names
}

_OF_GRAPHQL = {
    **dict.fromkeys(("ID", "String", "Money", "DateTime"), "string"),
    **dict.fromkeys(("Int", "Long"), "integer"),
    "Float": "number",
    "Boolean": "boolean",
    "JSON": "object",
}
_OF_PROTO = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_ENUM: "string",
    FieldDescriptor.TYPE_BOOL: "boolean",
    FieldDescriptor.TYPE_DOUBLE: "number",
    **dict.fromkeys((FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64), "integer"),
}


def kind_of(schema: dict[str, Any]) -> str:
    """Of which kind a member is, by OpenAPI: a JSON type."""
    if "$ref" in schema:
        return kind_of(OPENAPI[schema["$ref"].rpartition("/")[2]])
    if "type" in schema:
        return str(schema["type"])
    kinds = {kind_of(choice) for name in ("oneOf", "anyOf", "allOf") for choice in schema.get(name, ())} - {
        "null"
    }
    return kinds.pop() if len(kinds) == 1 else str(sorted(kinds))


def upper(value: str) -> str:
    """A value as enums of GraphQL and protobuf spell it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|\W", "_", value).upper()


OBJECTS = [name for name, schema in OPENAPI.items() if "properties" in schema and name not in _OPENAI]
VALUES = [name for name, schema in OPENAPI.items() if "enum" in schema]


@pytest.mark.parametrize("name", sorted(OPENAPI.keys() & ASYNCAPI.keys()))
def test_asyncapi_has_the_same(name: str) -> None:
    assert _bare(ASYNCAPI[name]) == _bare(OPENAPI[name])


def _bare(schema: Any, *, names: bool = False) -> Any:
    """A schema without what only tells people, and without what only one side says: in AsyncAPI objects are closed."""
    if isinstance(schema, list):
        return [_bare(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if not names and "$ref" in schema:
        return {"$ref": schema["$ref"]}
    told = () if names else ("description", "examples", "additionalProperties", "default", "discriminator")
    return {
        key: sorted(value) if key == "required" else _bare(value, names=key == "properties")
        for key, value in schema.items()
        if key not in told
    }


@pytest.mark.parametrize(
    "name", [name for name in OBJECTS if isinstance(GRAPHQL.get(name), GraphQLObjectType)]
)
def test_graphql_has_the_same_members(name: str) -> None:
    kind = GRAPHQL[name]
    assert isinstance(kind, GraphQLObjectType)
    described = OPENAPI[name]["properties"]
    linked = {member.removesuffix("Id") for member in described if member.endswith("Id")}
    links = linked & kind.fields.keys()
    assert kind.fields.keys() - {"etag"} - links - MORE_IN_GRAPHQL.get(name, set()) == described.keys()
    for member, schema in described.items():
        wanted: Any = kind.fields[member].type
        required = isinstance(wanted, GraphQLNonNull)
        if required:
            wanted = wanted.of_type
        assert required == (member in OPENAPI[name].get("required", ())), member
        if isinstance(wanted, GraphQLList):
            found = "array"
        elif isinstance(wanted, GraphQLEnumType):
            found = "string"
        else:
            found = _OF_GRAPHQL.get(wanted.name, "object")
        assert found == kind_of(schema), member


@pytest.mark.parametrize("name", [name for name in OBJECTS if name in MESSAGES])
def test_proto_has_the_same_members(name: str) -> None:
    fields = {to_camel(field.name): field for field in MESSAGES[name].fields}
    described = OPENAPI[name]["properties"]
    more = MORE_IN_PROTO.get(name, set()) | {"etag"}
    assert fields.keys() - more == described.keys() - LESS_IN_PROTO.get(name, set())
    for member, field in fields.items():
        if member in more:
            continue
        required = member in OPENAPI[name].get("required", ())
        if field.is_repeated:
            found = "object" if field.message_type and field.message_type.GetOptions().map_entry else "array"
        elif field.message_type is not None:
            found = "string" if field.message_type.full_name == "google.protobuf.Timestamp" else "object"
        else:
            found = _OF_PROTO[field.type]
            # What is no message says by `optional` that it may be absent; an enum by its value 0.
            absent = field.has_presence or field.enum_type is not None
            if required:
                assert not field.has_presence or (name, member) in OPTIONAL_IN_PROTO, member
            else:
                assert absent or (name, member) in EMPTY_IN_PROTO, member
        assert found == kind_of(described[member]), member


@pytest.mark.parametrize("name", VALUES)
def test_enums_have_the_same_values(name: str) -> None:
    values = {upper(value) for value in OPENAPI[name]["enum"]}
    kind = GRAPHQL.get(name)
    if isinstance(kind, GraphQLEnumType):
        assert kind.values.keys() == values
    if name in ENUMS:
        prefix = upper(ENUMS[name].name) + "_"
        found = {value.name.removeprefix(prefix) for value in ENUMS[name].values if value.number}
        assert found == values - LESS_VALUES.get(name, set())
        assert ENUMS[name].values_by_number[0].name.endswith("UNSPECIFIED")


def test_what_matters_is_compared() -> None:
    """By the names that clients know; so that no renaming takes a type out of the comparison."""
    shared = {
        "Pet",
        "Order",
        "Payment",
        "Receipt",
        "Adoption",
        "User",
        "Chat",
        "Event",
        "Webhook",
        "Inventory",
    }
    assert shared <= OPENAPI.keys() & GRAPHQL.keys() & MESSAGES.keys()
    assert {
        "Pet",
        "Order",
        "Payment",
        "Receipt",
        "Adoption",
        "Chat",
        "Message",
    } <= OPENAPI.keys() & ASYNCAPI.keys()
    assert {"Species", "PetStatus", "OrderStatus", "PaymentStatus"} <= {
        *VALUES
    } & GRAPHQL.keys() & ENUMS.keys()
    known = {name for kinds in (MORE_IN_PROTO, LESS_IN_PROTO, MORE_IN_GRAPHQL) for name in kinds}
    assert known | {name for name, _ in EMPTY_IN_PROTO | OPTIONAL_IN_PROTO} <= {*OBJECTS}


def test_the_envelope_of_events_is_one_everywhere() -> None:
    """Of each event by the same name in both documents, and as `Event` for all."""
    members = OPENAPI["Event"]["properties"].keys()
    events = {name for name, schema in ASYNCAPI.items() if "eventType" in schema.get("properties", {})}
    assert events
    for name in events:
        assert ASYNCAPI[name]["properties"].keys() | {"cursor"} == members
        assert ASYNCAPI[name]["properties"]["eventType"]["const"] == name
