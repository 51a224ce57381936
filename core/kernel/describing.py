"""What members of models and values of enumerations mean: the text under each of them, once for all doors.

It is read from the code when a document or a schema is made, so that nothing waits for it when the store starts.
"""

import ast
import inspect
import sys
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from itertools import pairwise
from typing import ClassVar

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Described(BaseModel):
    """A model whose members are described by the texts under them.

    A member without one means what the member of its name means in ``LIKE``, as those of a body mean what those of the
    resource mean.
    """

    LIKE: ClassVar["type[Described] | None"] = None

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema with the descriptions."""
        made = handler(schema)
        properties = handler.resolve_ref_schema(made).get("properties", {})
        for name, field in cls.model_fields.items():
            shown = properties.get(field.alias or name)
            if shown is not None and (text := member_text(cls, name)):
                of_type = shown.get("description")
                shown["description"] = f"{text} {of_type}" if of_type else text
        return made


class DescribedEnum(StrEnum):
    """An enumeration whose values are described by the texts under them."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema with the descriptions, which JSON Schema has no place for but in that of the whole."""
        made = handler(schema)
        shown, texts = handler.resolve_ref_schema(made), texts_of(cls)
        items = [
            f"- `{value.value}`: {texts[name]}" for name, value in cls.__members__.items() if name in texts
        ]
        shown["description"] = "\n\n".join([shown.get("description", ""), *items]).strip()
        return made


def member_text(model: type[BaseModel], name: str) -> str:
    """What a member of a model means; nothing where nobody says so."""
    for kind in model.__mro__:
        if text := texts_of(kind).get(name):
            return text
        like = vars(kind).get("LIKE")
        if like is not None and (text := member_text(like, name)):
            return text
    return ""


def texts_of(kind: type) -> Mapping[str, str]:
    """The texts under the members of a class, by their names."""
    return _texts_in(kind.__module__).get(kind.__qualname__, {})


@cache
def _texts_in(module: str) -> Mapping[str, Mapping[str, str]]:
    try:
        source = inspect.getsource(sys.modules[module])
    except (OSError, TypeError):  # It is not written in Python, or its source is not there.
        return {}
    return {
        definition.name: dict(_texts_under(definition.body))
        for definition in ast.parse(source).body
        if isinstance(definition, ast.ClassDef)
    }


def _texts_under(body: list[ast.stmt]) -> list[tuple[str, str]]:
    found = []
    for statement, below in pairwise(body):
        match statement, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str() as text)),
            ):
                found.append((name, " ".join(text.split())))
    return found
