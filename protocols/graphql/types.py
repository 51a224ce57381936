"""GraphQL types made of the core's models, so that nothing is written down twice."""

import re
import types
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum, StrEnum
from functools import partial
from typing import Annotated, Any, Literal, Optional, Union, get_args, get_origin

import strawberry
from pydantic import AwareDatetime, BaseModel, SecretStr
from pydantic.alias_generators import to_camel
from strawberry.schema.config import StrawberryConfig

from core.kernel.clock import rfc3339
from core.kernel.describing import member_text, texts_of
from core.kernel.model import Resource


class Base64(str):
    """Bytes as text."""

    __slots__ = ()


class Long(int):
    """A whole number that may need more than the 32 bits of an Int."""

    __slots__ = ()


def _name_for(python_name: str) -> str:
    return python_name if python_name.isupper() else to_camel(python_name)


#: What is no object, enumeration, text, number or truth value. Input passes as it is: the store checks it.
CONFIG = StrawberryConfig(
    auto_camel_case=True,
    scalar_map={
        Decimal: strawberry.scalar(
            name="Money",
            description='An amount of money: a decimal string with two places, such as "75.00". Input may be a number.',
            serialize=lambda amount: f"{amount:.2f}",
            parse_value=lambda value: value,
        ),
        datetime: strawberry.scalar(
            name="DateTime",
            description="A time in RFC 3339 form, in UTC, ending in Z.",
            specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
            serialize=rfc3339,
            parse_value=lambda value: value,
        ),
        Base64: strawberry.scalar(
            name="Base64",
            description="Bytes, in base64 (RFC 4648, section 4).",
            specified_by_url="https://www.rfc-editor.org/rfc/rfc4648",
            parse_value=lambda value: value,
        ),
        Long: strawberry.scalar(
            name="Long", description="A whole number of 64 bits.", parse_value=lambda value: value
        ),
    },
)

_PLAIN = {SecretStr: str, bytes: Base64, AwareDatetime: datetime}
#: Members whose numbers clients of another door may choose.
_LONG = frozenset({"number", "pet_number"})
#: Members that end like ids but are texts of the client's.
_NO_IDS = frozenset({"client_message_id"})


class TypeBook:
    """Makes a GraphQL type of each model once, when it is first asked for.

    ``names`` are the names of types whose model is called something else; ``more`` are members that a type has
    beside those of its model, filled in before the type is asked for.
    """

    def __init__(self, names: Mapping[type[BaseModel], str]) -> None:
        self._names = dict(names)
        self.more: dict[type[BaseModel], dict[str, Any]] = {}
        self._made: dict[tuple[object, ...], Any] = {}
        self._members: set[type[BaseModel]] = set()
        #: The enumerations of the members that tell kinds of objects apart, by their values.
        self._kinds: dict[object, Any] = {}

    def output(self, annotation: Any, name: str = "") -> Any:
        """What an annotation of a model is in answers. ``name`` is the member's."""
        return self._of(annotation, name, "output")

    def input(self, annotation: Any, name: str = "") -> Any:
        """What an annotation of a model is in arguments."""
        return self._of(annotation, name, "input")

    def patch(self, model: type[BaseModel]) -> Any:
        """A JSON merge patch of a body: absent members stay, null removes a member."""
        return self._object(model, "patch")

    def choice(self, model: type[BaseModel], members: Sequence[str]) -> Any:
        """An input of members of a body of which exactly one is given."""
        return self._once(
            (model, "choice"),
            lambda: _make(
                partial(strawberry.input, one_of=True),
                self._name_of(model, "Input"),
                _doc_of(model),
                {member: self._input_field(model, member, required=False) for member in members},
            ),
        )

    def argument(self, model: type[BaseModel], name: str) -> tuple[Any, Any, str]:
        """The type, the default and the description of the argument for a member of a model."""
        field = model.model_fields[name]
        made, text = self.input(field.annotation, name), prose(member_text(model, name))
        if field.is_required():
            return made, strawberry.UNSET, text
        default = field.default if isinstance(field.default, int) else strawberry.UNSET
        return optional(made), default, text

    # --- by kind ---

    def _of(self, annotation: Any, name: str, use: str) -> Any:
        origin = get_origin(annotation)
        if origin is Annotated:
            return self._of(get_args(annotation)[0], name, use)
        if origin in (Union, types.UnionType):
            return self._union(annotation, name, use)
        if origin in (tuple, list, frozenset):
            return list[self._of(get_args(annotation)[0], name, use)]  # type: ignore[misc] # made at run time
        if origin is dict:
            key, value = get_args(annotation)
            return self._counted(key, value, name, use)
        if origin is Literal:
            return self._kinds.get(get_args(annotation)[0], str)
        return self._plain(annotation, name, use)

    def _plain(self, annotation: Any, name: str, use: str) -> Any:
        if annotation is str:
            is_id = re.search(r"(^|_)ids?$", name) and name not in _NO_IDS
            return strawberry.ID if is_id else str
        if annotation is int and name in _LONG:
            return Long
        if annotation in _PLAIN:
            return _PLAIN[annotation]
        if isinstance(annotation, type) and issubclass(annotation, Enum):
            return self._once(
                (annotation,), lambda: _enum(annotation, _doc_of(annotation), texts_of(annotation))
            )
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return self._object(annotation, use)
        return annotation

    def _union(self, annotation: Any, name: str, use: str) -> Any:
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) < len(get_args(annotation)):
            inner = members[0] if len(members) == 1 else Union[tuple(members)]  # noqa: UP007 - made at run time
            return optional(self._of(inner, name, use))
        self._tell_apart(members, name)
        if use == "output":
            made = tuple(self._one_of(member) for member in members)
            union = strawberry.union(_upper(name), description=_any_doc_of(members))
            return self._once((annotation, use), lambda: Annotated[Union[made], union])  # noqa: UP007
        return self._once((annotation, use), lambda: self._any_of(members, name))

    def _tell_apart(self, models: list[type[BaseModel]], name: str) -> None:
        """Make an enumeration of the member by which a kind of object is known, as its JSON has a constant text."""
        constants = [
            (member, get_args(field.annotation)[0])
            for model in models
            for member, field in model.model_fields.items()
            if get_origin(field.annotation) is Literal
        ]
        values = tuple(value for _, value in constants)
        if values and values[0] not in self._kinds:
            made_of: Any = StrEnum  # its members are known at run time only
            kind = made_of(_upper(f"{name}_{constants[0][0]}"), {value.upper(): value for value in values})
            texts = {value.upper(): f"A {value.replace('_', ' ')}." for value in values}
            made = _enum(kind, f"What kind of {name} it is.", texts)
            self._kinds |= dict.fromkeys(values, made)

    def _one_of(self, model: type[BaseModel]) -> Any:
        """A member of a union: it knows its own."""
        self._members.add(model)
        return self._object(model, "output")

    def _any_of(self, models: list[type[BaseModel]], name: str) -> Any:
        """One input for kinds of objects that a member of theirs tells apart: what not all need is optional."""
        needed = [frozenset(n for n, f in model.model_fields.items() if f.is_required()) for model in models]
        shared = frozenset.intersection(*needed)
        fields = {member: model for model in models for member in model.model_fields}
        return _make(
            strawberry.input,
            f"{_upper(name)}Input",
            _any_doc_of(models),
            {
                member: self._input_field(model, member, required=member in shared)
                for member, model in fields.items()
            },
        )

    def _counted(self, key: type[Enum], value: Any, name: str, use: str) -> Any:
        """A value for each member of an enumeration: an object with a member for each, as it is in JSON."""
        made = self._of(value, name, use)

        def field(member: Enum) -> Any:
            def look_up(root: strawberry.Parent[dict[Enum, Any]]) -> Any:
                return root.get(member)

            look_up.__annotations__["return"] = optional(made)
            text = texts_of(key)[member.name]
            return optional(made), strawberry.field(resolver=look_up, name=member.name, description=text)

        return self._once(
            (key, value, use),
            lambda: _make(
                strawberry.type,
                f"{_upper(name.removeprefix('by_'))}{getattr(made, '__name__', '') if name.startswith('by_') else ''}",
                f"One value for each: {_doc_of(key)}",
                {member.name: field(member) for member in key},
            ),
        )

    def _object(self, model: type[BaseModel], use: str) -> Any:
        return self._once((model, use), lambda: self._make_object(model, use))

    def _make_object(self, model: type[BaseModel], use: str) -> Any:
        if use == "output":
            fields = {
                name: (
                    self.output(field.annotation, name),
                    strawberry.field(default=strawberry.UNSET, description=prose(member_text(model, name))),
                )
                for name, field in model.model_fields.items()
                if not field.exclude
            }
            if issubclass(model, Resource):
                fields["etag"] = (str, strawberry.field(description="Changes whenever the resource does."))
            fields |= {name: (None, field) for name, field in self.more.get(model, {}).items()}
            if model in self._members:
                fields["is_type_of"] = (None, classmethod(lambda _, value, __: isinstance(value, model)))
            return _make(strawberry.type, self._name_of(model), _doc_of(model), fields)
        required = use == "input"
        return _make(
            strawberry.input,
            self._name_of(model, use.capitalize()),
            "Absent members stay as they are, and null removes a member."
            if use == "patch"
            else _doc_of(model),
            {
                name: self._input_field(model, name, required=required and field.is_required())
                for name, field in model.model_fields.items()
            },
        )

    def _input_field(self, model: type[BaseModel], name: str, *, required: bool) -> tuple[Any, Any]:
        field, text = model.model_fields[name], prose(member_text(model, name))
        made = self.input(field.annotation, name)
        alias = field.alias or to_camel(name)
        if required:
            return made, strawberry.field(name=alias, description=text)
        return optional(made), strawberry.field(name=alias, default=strawberry.UNSET, description=text)

    def _name_of(self, model: type[BaseModel], suffix: str = "") -> str:
        name = self._names.get(model, model.__name__)
        name = re.sub(r"^Page\[(\w+)\]$", r"\1Page", name)
        if suffix:
            name = re.sub("(Draft|Request)$", "", name)
        if suffix == "Patch":
            name = name.removesuffix("Change")
        return name + suffix

    def _once(self, key: tuple[object, ...], make: Any) -> Any:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def optional(made: Any) -> Any:
    """The type, or null."""
    return Optional[made]  # noqa: UP045 - made at run time, of things that know no `|`


def _make(kind: Any, name: str, description: str | None, fields: Mapping[str, tuple[Any, Any]]) -> Any:
    annotations = {member: made for member, (made, _) in fields.items() if made is not None}
    members = {member: field for member, (_, field) in fields.items()}
    return kind(
        type(name, (), {"__annotations__": annotations, **members}), name=name, description=description
    )


def _upper(name: str) -> str:
    camel = to_camel(name)
    return camel[:1].upper() + camel[1:]


def _enum(kind: type[Enum], description: str, texts: Mapping[str, str]) -> Any:
    made = strawberry.enum(kind, description=description)
    for value in made.__strawberry_definition__.values:  # type: ignore[attr-defined] # it is what was just made
        value.description = prose(texts[value.name])
    return made


def _doc_of(model: type) -> str:
    """The docstring; that of a page of something is its origin's."""
    return prose(next(kind.__doc__ for kind in model.__mro__ if kind.__doc__))


def _any_doc_of(models: Sequence[type]) -> str:
    return " Or: ".join(_doc_of(model) for model in models)


def prose(text: str) -> str:
    """What a text of the code says, with names of members as they are outside."""
    text = re.sub(r"``(.+?)``", lambda found: f"`{_outside(found[1])}`", text)
    return re.sub(r"\s+", " ", text).strip()


def _outside(name: str) -> str:
    return to_camel(name) if re.fullmatch(r"[a-z]+(_[a-z]+)+", name) else name


def plain(value: Any) -> Any:
    """An argument as the JSON that another door would have read: only what the client gave."""
    definition = getattr(value, "__strawberry_definition__", None)
    if definition is not None and not isinstance(value, Enum):
        return {
            field.graphql_name or to_camel(field.python_name): plain(member)
            for field in definition.fields
            if (member := getattr(value, field.python_name)) is not strawberry.UNSET
        }
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
