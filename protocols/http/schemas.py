"""JSON Schemas of what goes in and out, made from the models of the operations."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.alias_generators import to_camel
from pydantic.json_schema import DefsRef, GenerateJsonSchema, JsonSchemaKeyT, JsonSchemaMode, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from core.kernel.model import Body
from core.ports.images import StoredImage
from core.store.operation import AnyOperation

Schema = dict[str, Any]
REF = "#/components/schemas/"


class StoreSchema(GenerateJsonSchema):
    """JSON Schema of what the store reads and of what it writes.

    It writes every member that has a value and leaves the others out, so those that may have none are optional there,
    and never null.
    """

    def generate_definitions(
        self, inputs: Sequence[tuple[JsonSchemaKeyT, JsonSchemaMode, CoreSchema]]
    ) -> tuple[dict[tuple[JsonSchemaKeyT, JsonSchemaMode], JsonSchemaValue], dict[DefsRef, JsonSchemaValue]]:
        """The schemas, and those that they refer to: of what is kept and never shown there is none."""
        by_use, named = super().generate_definitions(inputs)
        used: dict[DefsRef, JsonSchemaValue] = {}
        waiting: list[Any] = list(by_use.values())
        while waiting:
            part = waiting.pop()
            if isinstance(part, dict):
                name = DefsRef(str(part.get("$ref", "")).rpartition("/")[2])
                if name in named and name not in used:
                    used[name] = named[name]
                    waiting.append(named[name])
                waiting.extend(part.values())
            elif isinstance(part, list):
                waiting.extend(part)
        return by_use, {name: schema for name, schema in named.items() if name in used}

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        """Whether it is always present."""
        if self.mode == "validation":
            return bool(super().field_is_required(field, total))
        return not _may_be_none(field["schema"])

    def model_field_schema(self, schema: core_schema.ModelField) -> JsonSchemaValue:
        """A member."""
        made = super().model_field_schema(schema)
        if self.mode == "validation" or not _may_be_none(schema["schema"]):
            return made
        kept = {key: value for key, value in made.items() if (key, value) != ("default", None)}
        choices = [choice for choice in kept.pop("anyOf") if choice != {"type": "null"}]
        return {**kept, **choices[0]} if len(choices) == 1 else {**kept, "anyOf": choices}


def _may_be_none(schema: CoreSchema) -> bool:
    if schema["type"] == "default":
        return _may_be_none(schema["schema"])
    return bool(schema["type"] == "nullable")


class Schemas:
    """The schemas of some operations; ``components`` holds those with names, in alphabetical order."""

    def __init__(self, operations: Iterable[AnyOperation]) -> None:
        unique = {operation.name: operation for operation in operations}
        wanted: list[tuple[Any, Any, TypeAdapter[Any]]] = []
        for name, operation in unique.items():
            wanted.append(((name, "params"), "validation", TypeAdapter(operation.params)))
            if operation.body is not None:
                wanted.append(((name, "body"), "validation", TypeAdapter(operation.body)))
            if operation.result not in (None, StoredImage):
                wanted.append(((name, "result"), "serialization", TypeAdapter(operation.result)))
        by_use, made = TypeAdapter.json_schemas(
            wanted, ref_template=REF + "{model}", schema_generator=StoreSchema
        )
        named: dict[str, Schema] = made["$defs"]
        self.params = {
            name: named[_name_of(by_use[((name, "params"), "validation")])]["properties"]
            if operation.params.model_fields
            else {}
            for name, operation in unique.items()
        }
        for operation in unique.values():
            named.pop(operation.params.__name__, None)
        patched = {o.body for o in unique.values() if o.patch and o.body is not None}
        for body in sorted(patched, key=lambda body: body.__name__):
            named[patch_name(body.__name__)] = _patch_of(named[body.__name__], body)
            if not any(one.body is body and not one.patch for one in unique.values()):
                del named[body.__name__]
        self._by_use = {use: tidy(schema) for use, schema in by_use.items()}
        self.params = {name: tidy(properties) for name, properties in self.params.items()}
        self.components: dict[str, Schema] = {
            _plain_name(name): tidy(schema) for name, schema in sorted(named.items())
        }

    def body(self, operation: AnyOperation) -> Schema:
        """The schema of the body; of a merge patch when the operation takes one."""
        schema: Schema = self._by_use[((operation.name, "body"), "validation")]
        return {"$ref": REF + patch_name(_name_of(schema))} if operation.patch else schema

    def result(self, operation: AnyOperation) -> Schema:
        """The schema of the answer."""
        schema: Schema = self._by_use[((operation.name, "result"), "serialization")]
        return schema


def patch_name(name: str) -> str:
    """What the merge patch of a body is called: PetDraft is patched by a PetPatch."""
    return re.sub("(Draft|Change)$", "", name) + "Patch"


def _name_of(schema: Schema) -> str:
    return str(schema["$ref"]).removeprefix(REF)


def _plain_name(name: str) -> str:
    """``Page_Pet_``, as pydantic calls a page of pets, becomes ``PetPage``."""
    return re.sub(r"\bPage_(\w+)_$", r"\1Page", name)


def _patch_of(schema: Schema, body: type[BaseModel]) -> Schema:
    """A merge patch (RFC 7396) of a body: nothing is required, and null removes what can be left out."""
    required = {info.alias for info in body.model_fields.values() if info.is_required()}
    if issubclass(body, Body):
        required |= {old for old, new in body.OLDER_NAMES.items() if new in required}
    properties = {}
    for name, of_body in schema["properties"].items():
        kept = {key: value for key, value in of_body.items() if key != "default"}
        nullable = name in required or kept.get("readOnly") or {"type": "null"} in kept.get("anyOf", ())
        if not nullable:
            text = {"description": kept.pop("description")} if "description" in kept else {}
            kept = {"anyOf": [kept, {"type": "null"}], **text}
        properties[name] = kept
    return {
        "type": "object",
        "description": "A JSON merge patch (RFC 7396): absent members stay, null removes a member.",
        "properties": properties,
        "additionalProperties": False,
        # Without the only member that there is, a patch would mean nothing.
        **({"required": sorted(required)} if len(body.model_fields) == 1 else {}),
        **({"not": schema["not"]} if "not" in schema else {}),
    }


def tidy(schema: Any, *, names: bool = False) -> Any:
    """Without the titles that only repeat names, and with the words of docstrings as Markdown.

    ``names``: the keys are names of members, not keywords.
    """
    if isinstance(schema, list):
        return [tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidied: Schema = {}
    for key, value in schema.items():
        if names:
            tidied[key] = tidy(value)
        elif key in ("examples", "default", "enum", "const"):
            tidied[key] = value
        elif key == "description":
            tidied[key] = prose(value)
        elif key == "$ref":
            tidied[key] = REF + _plain_name(value.removeprefix(REF))
        elif key != "title":
            tidied[key] = tidy(value, names=key in ("properties", "$defs"))
    return tidied


def prose(docstring: str) -> str:
    """A docstring as Markdown; names of members as they are outside."""
    text = re.sub(r"``(.+?)``", lambda found: f"`{_outside(found[1])}`", docstring)
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)


def _outside(name: str) -> str:
    return to_camel(name) if re.fullmatch(r"[a-z]+(_[a-z]+)+", name) else name
