"""JSON Schemas of what tools take and give, made of those of the operations.

They are part of what an assistant reads before it can do anything, so that they are short: what a client may send and
the store ignores is left out, and a long enumeration is told by its description. The store checks what is sent itself.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from core.store.operation import AnyOperation
from protocols.http.schemas import REF, Schema, Schemas

#: An enumeration of more values, such as all countries, is left out.
_MOST_VALUES = 30
#: Keywords that say how members depend on one another, which some assistants do not know, and one that is OpenAPI's.
_LEFT_OUT = frozenset({"if", "then", "else", "not", "discriminator"})
#: Any text: only the character that no database keeps is no part of it.
_ANY_TEXT = "^[^\\u0000]*$"
_PROBLEM: Schema = {
    "type": "object",
    "description": "Why it could not be done (RFC 9457).",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}


class ToolSchemas:
    """The schemas of the tools that are operations."""

    def __init__(self, operations: Iterable[AnyOperation]) -> None:
        self._schemas = Schemas(operations)

    def arguments(self, operation: AnyOperation, hidden: Iterable[str]) -> Schema:
        """What a tool takes: the operation's parameters and the members of its body, beside one another."""
        properties: dict[str, Any] = dict(self._schemas.params[operation.name])
        required = [
            name
            for info, name in (
                (info, info.alias or name) for name, info in operation.params.model_fields.items()
            )
            if info.is_required()
        ]
        if operation.body is not None:
            body = self._resolved(self._schemas.body(operation))
            # What the body ignores may be a parameter, as the id of a resource is.
            properties |= {name: of for name, of in body["properties"].items() if name not in properties}
            required += body.get("required", [])
        for name in hidden:
            properties.pop(name, None)
        schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if wanted := [name for name in required if name in properties]:
            schema["required"] = wanted
        return self._whole(schema)

    def answer(self, operation: AnyOperation) -> Schema:
        """What a tool gives: the operation's result, or the problem.

        A client that validates every answer, errors among them, has to find either in the schema.
        """
        result = self._resolved(self._schemas.result(operation))
        return self._whole({"type": "object", "anyOf": [result, _PROBLEM]})

    def _resolved(self, schema: Schema) -> Schema:
        reference = schema.get("$ref")
        if reference is None:
            return schema
        found: Schema = self._schemas.components[reference.removeprefix(REF)]
        return found

    def _whole(self, schema: Schema) -> Schema:
        """The schema with those that it refers to."""
        whole: Schema = _shortened(schema)
        definitions: dict[str, Schema] = {}
        waiting = list(_references(whole))
        while waiting:
            name = waiting.pop()
            if name not in definitions:
                definitions[name] = _shortened(self._schemas.components[name])
                waiting += _references(definitions[name])
        return {**whole, "$defs": dict(sorted(definitions.items()))} if definitions else whole


def _shortened(schema: Any) -> Any:
    """The schema without what assistants need not know."""
    if isinstance(schema, list):
        return [_shortened(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    short: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            short[key] = {
                name: _shortened(member)
                for name, member in value.items()
                if not (member.get("readOnly") or member.get("deprecated"))
            }
        elif key == "$ref":
            short[key] = "#/$defs/" + value.removeprefix(REF)
        elif key in ("default", "examples", "const"):
            # The default of an object is that of its members, which they tell themselves.
            if value is not None and not isinstance(value, dict):
                short[key] = value
        elif key == "anyOf" and {"type": "null"} in value:
            short |= _present(value)
        elif (
            key not in _LEFT_OUT and value != _ANY_TEXT and not (key == "enum" and len(value) > _MOST_VALUES)
        ):
            short[key] = _shortened(value)
    if "then" in schema and "required" in schema["then"] and "not" in schema["if"]:
        # It takes one of two names, of which the older one is left out.
        short["required"] = [*short.get("required", []), *schema["then"]["required"]]
    return short


def _present(choices: list[Schema]) -> Schema:
    """A member that may be null, which means that it is absent: what it is when it is there."""
    kept = [_shortened(choice) for choice in choices if choice != {"type": "null"}]
    return dict(kept[0]) if len(kept) == 1 else {"anyOf": kept}


def _references(schema: Any) -> Iterable[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _references(item)
    elif isinstance(schema, Mapping):
        for key, value in schema.items():
            if key == "$ref":
                yield value.removeprefix("#/$defs/")
            else:
                yield from _references(value)
