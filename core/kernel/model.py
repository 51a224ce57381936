"""What all models share: names in camelCase, closed bodies, money, text, time."""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, to_json

from core.kernel.clock import rfc3339
from core.kernel.describing import Described, DescribedEnum
from core.kernel.ids import is_id

T = TypeVar("T")
U = TypeVar("U")


def encode(value: object) -> bytes:
    """A value as the store writes it in JSON: members are camelCase, and one without a value is left out."""
    return to_json(value, by_alias=True, exclude_none=True)


class Model(Described):
    """A frozen value whose members are camelCase outside."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        frozen=True,
    )


class Resource(Model):
    """A resource that a client can get by its id. Its encodings, and its entity tag, are made once and kept with it.

    ``collection`` is the first level of the topics of its events; a resource that has one may be cached, since every
    change of it is announced there.
    """

    collection: ClassVar[str | None] = None

    id: str
    """A UUID of version 7, made by the store."""
    tenant_id: str
    """The tenant it belongs to."""

    @cached_property
    def encoded(self) -> bytes:
        """The resource as JSON."""
        return encode(self)

    @cached_property
    def etag(self) -> str:
        """A strong validator (RFC 9110, section 8.8.3), without the quotes: a hash of the JSON."""
        return hashlib.blake2b(self.encoded, digest_size=12).hexdigest()

    @cached_property
    def forms(self) -> dict[object, bytes]:
        """The encodings of doors that do not use JSON, each under a key of its own."""
        return {}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, changed without validation. It does not take over the encodings of the original."""
        copy = super().model_copy(update=update, deep=deep)
        for made in ("encoded", "etag", "forms"):
            copy.__dict__.pop(made, None)
        return copy


class Numbered(Resource):
    """A resource that can be found by a number too, which it keeps as long as it is there."""

    number: int
    """Unique in the tenant; counted by the store, unless a classic client has chosen it."""


class Body(Described):
    """What a client sends: closed, camelCase only.

    Members of the resource that a client may not write (``READ_ONLY``) are dropped, not refused, so that reading,
    changing and writing back works; a body that has a member of that name of its own keeps it.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=False, validate_by_alias=True, frozen=True, extra="forbid"
    )

    READ_ONLY: ClassVar[frozenset[str]] = frozenset({"id", "number", "createdAt", "updatedAt", "tenantId"})
    #: Older names of members: one of them may stand in the place of the present name.
    OLDER_NAMES: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _as_declared(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = cls.with_present_names(data)
        if cls.READ_ONLY.isdisjoint(data):
            return data
        own = {field.alias for field in cls.model_fields.values()}
        return {name: value for name, value in data.items() if name in own or name not in cls.READ_ONLY}

    @classmethod
    def with_present_names(cls, data: dict[str, Any]) -> dict[str, Any]:
        """The members, those with an older name under the present one, unless that is there too."""
        found = {old: new for old, new in cls.OLDER_NAMES.items() if old in data and new not in data}
        return {found.get(name, name): value for name, value in data.items()} if found else data

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema says which names may be there too: older ones, and those of what only the store writes."""
        made = super().__get_pydantic_json_schema__(schema, handler)
        described = handler.resolve_ref_schema(made)
        properties = described["properties"]
        for name in sorted(cls.READ_ONLY):
            properties.setdefault(name, {"readOnly": True, "description": "Ignored."})
        for old, new in cls.OLDER_NAMES.items():
            properties[old] = {
                **properties[new], "deprecated": True, "description": f"An older name of `{new}`."
            }  # fmt: skip
            described["not"] = {"required": [old, new]}
            if new in described.get("required", ()):
                described["required"].remove(new)
                described |= {"if": {"not": {"required": [old]}}, "then": {"required": [new]}}
        return made


class Part(Body):
    """An object inside a body: closed too, with nothing read-only."""

    READ_ONLY: ClassVar[frozenset[str]] = frozenset()


class Params(Described):
    """The parameters of an operation: they name its resource or select from a collection, from path and query, as
    text or typed."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True, extra="ignore"
    )


class NoParams(Params):
    """An operation that takes no parameter."""


def _canonical(text: str) -> str:
    if not is_id(text):
        raise PydanticCustomError("INVALID_FORMAT", "must be a UUID")
    return text.lower()


#: The id of a resource: a UUID, in lower case inside.
Identifier = Annotated[str, AfterValidator(_canonical), WithJsonSchema({"type": "string", "format": "uuid"})]


class ById(Params):
    """An operation on one resource."""

    id: Identifier
    """The id of the resource."""


class Paged(Params):
    """Which part of a collection: pages count from 1."""

    page: int = Field(default=1, ge=1, le=1_000_000_000)
    """The page, counted from 1."""
    limit: int = Field(default=20, ge=1, le=100)
    """Items on a page, at most."""
    after: Annotated[str, Field(max_length=1000)] | None = None
    """Where to go on, instead of a page: what the page before named as its next. It costs the same on every page. The
    number of the page counts what has been gone through, by the limit asked for now."""

    @field_validator("after")
    @classmethod
    def _instead_of_page(cls, value: str | None, info: ValidationInfo) -> str | None:
        return instead_of_page(value, info)


def instead_of_page(after: str | None, info: ValidationInfo) -> str | None:
    """Where to go on, when no page is named as well."""
    if after is not None and info.data.get("page", 1) != 1:
        raise PydanticCustomError("INVALID_FORMAT", "takes the place of page: give one of them")
    return after


class Pagination(Model):
    """The position of a page in its collection."""

    page: int
    """The page, counted from 1."""
    limit: int
    """Items on a page, at most."""
    total_items: int
    """Items in the whole collection."""
    total_pages: int
    """Pages in the whole collection."""
    total_is_exact: bool | None = None
    """False: there are more items, and more pages, than the totals say, which count no further."""
    next: SkipJsonSchema[Annotated[str | None, Field(exclude=True)]] = None
    """What to give as `after` for the next page, if there is one."""


class Page(Model, Generic[T]):
    """One page of a collection."""

    data: list[T]
    """The items of this page."""
    pagination: Pagination
    """Where the page lies in its collection."""

    def of(self, form: Callable[[T], U]) -> "Page[U]":
        """The page with its items in another form."""
        return Page(data=[form(item) for item in self.data], pagination=self.pagination)


class Choice(DescribedEnum):
    """An enumeration that is read without regard to case and always written UPPER_SNAKE."""

    @classmethod
    def _missing_(cls, value: object) -> "Choice | None":
        return cls.__members__.get(value.upper()) if isinstance(value, str) else None


#: What no database keeps, and UTF-8 does not hold. Looked for by a pattern: texts may be long.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def _no_null(text: str) -> str:
    if _UNSTORABLE.search(text):
        raise PydanticCustomError("INVALID_FORMAT", "must not contain null characters or lone surrogates")
    return text


#: Free text, kept as given.
Text = Annotated[str, AfterValidator(_no_null), Field(json_schema_extra={"pattern": "^[^\\u0000]*$"})]
_STRIPPED = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_no_null)]
#: A short text on one line, surrounding white space stripped.
Line = Annotated[_STRIPPED, Field(json_schema_extra={"pattern": "^[^\\u0000]*$"})]
#: One that is there: blanks do not count.
FilledLine = Annotated[
    _STRIPPED,
    Field(min_length=1, json_schema_extra={"pattern": "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$"}),
]


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


#: ``3.0`` and ``1e1`` are integers (JSON Schema, 6.1.1). It stands behind the bounds of a type of its own: in front of
#: them pydantic would not write them as JSON Schema does.
WHOLE = BeforeValidator(_whole)
#: In bodies, numbers and booleans are not read from text.
Int = Annotated[StrictInt, WHOLE]
Bool = StrictBool

_MONEY_LIMIT = Decimal("1000000000")


def _parse_money(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise PydanticCustomError("INVALID_TYPE", 'must be a decimal string such as "75.00"')
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,2})?", value):
        raise PydanticCustomError("INVALID_FORMAT", 'must be a decimal string such as "75.00"')
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise PydanticCustomError("INVALID_FORMAT", 'must be a decimal string such as "75.00"') from None
    negative = amount.is_signed() and not (amount.is_zero() and not isinstance(value, str))
    if not amount.is_finite() or negative or amount >= _MONEY_LIMIT:
        raise PydanticCustomError("OUT_OF_RANGE", "must be at least 0 and below 1000000000")
    if amount != amount.quantize(Decimal("0.01")):
        raise PydanticCustomError("INVALID_FORMAT", "must have at most two decimal places")
    return abs(amount).quantize(Decimal("0.01"))


#: An amount of money: a decimal string with two places outside (input also takes a number), a Decimal inside.
Money = Annotated[
    Decimal,
    BeforeValidator(_parse_money),
    PlainSerializer(lambda amount: f"{amount:.2f}", return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^[0-9]{1,9}(\\.[0-9]{1,2})?$"},
                {"type": "number", "minimum": 0, "exclusiveMaximum": int(_MONEY_LIMIT)},
            ],
            "description": "At most two decimal places.",
            "examples": ["75.00"],
        },
        mode="validation",
    ),
    WithJsonSchema(
        {"type": "string", "pattern": "^[0-9]+\\.[0-9]{2}$", "examples": ["75.00"]}, mode="serialization"
    ),
]
_TIME_PATTERN = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _rfc3339_text(value: object) -> object:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("INVALID_TYPE", "must be a string with a time")
    if not re.fullmatch(_TIME_PATTERN, value):
        raise PydanticCustomError(
            "INVALID_FORMAT", "must be a time in RFC 3339, such as 2026-01-31T08:15:00Z"
        )
    return value


#: A time as clients write it: RFC 3339, with any offset from UTC.
Time = Annotated[
    AwareDatetime,
    BeforeValidator(_rfc3339_text),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": f"^{_TIME_PATTERN}$",
            "examples": ["2026-01-31T08:15:00Z"],
        }
    ),
]
#: A time: RFC 3339 in UTC, ending in Z.
Timestamp = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-31T08:15:00.250Z"]}),
]


class Currency(Choice):
    """The currencies that the store accepts (ISO 4217)."""

    USD = "USD"
    """US dollar."""
    EUR = "EUR"
    """Euro."""
    GBP = "GBP"
    """Pound sterling."""
    CAD = "CAD"
    """Canadian dollar."""
    AUD = "AUD"
    """Australian dollar."""
