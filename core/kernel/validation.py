"""Checking input against models, every violation at once, and JSON merge patches."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from core.kernel.errors import BadRequest, ValidationFailed, Violation, ViolationCode

M = TypeVar("M", bound=BaseModel)

#: What a check asks of the world outside, by name: whether a number in E.164 is a possible one, and what the store's
#: addresses are under.
Context = Mapping[str, Any]
PHONE_CHECK = "is_possible_phone"
PUBLIC_URL = "public_url"
NO_CONTEXT: Context = MappingProxyType({})
#: Members and items of a body in all: the largest that makes sense has some hundreds. To check very many, and to say
#: what is wrong with each, would hold up everybody else.
MAX_VALUES = 2000
#: Violations of a body that are told one by one.
_MAX_TOLD = 100

_CODES: dict[str, ViolationCode] = {
    "missing": ViolationCode.REQUIRED_FIELD,
    "extra_forbidden": ViolationCode.UNKNOWN_FIELD,
    "enum": ViolationCode.INVALID_ENUM_VALUE,
    "literal_error": ViolationCode.INVALID_ENUM_VALUE,
    "union_tag_invalid": ViolationCode.INVALID_ENUM_VALUE,
    "union_tag_not_found": ViolationCode.REQUIRED_FIELD,
    "greater_than": ViolationCode.OUT_OF_RANGE,
    "greater_than_equal": ViolationCode.OUT_OF_RANGE,
    "less_than": ViolationCode.OUT_OF_RANGE,
    "less_than_equal": ViolationCode.OUT_OF_RANGE,
    "finite_number": ViolationCode.OUT_OF_RANGE,
    "string_too_short": ViolationCode.INVALID_LENGTH,
    "string_too_long": ViolationCode.INVALID_LENGTH,
    "too_short": ViolationCode.INVALID_LENGTH,
    "too_long": ViolationCode.INVALID_LENGTH,
}


def _code_of(error: ErrorDetails) -> ViolationCode:
    kind = error["type"]
    if kind in ViolationCode.__members__:
        return ViolationCode(kind)
    if kind in ("enum", "literal_error") and not isinstance(error["input"], str):
        return ViolationCode.INVALID_TYPE
    if kind in _CODES:
        return _CODES[kind]
    if kind.endswith(("_type", "_attributes_type")):
        return ViolationCode.INVALID_TYPE
    return ViolationCode.INVALID_FORMAT


#: What a violation says to people, by pydantic's type of error; what pydantic tells of it is in the places. Total
#: over what the store's models can find.
_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is unknown",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": "must be a string",
    "string_unicode": "must be valid Unicode",
    "string_pattern_mismatch": "must match {pattern}",
    "bytes_type": "must be bytes",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_parsing_size": "must be an integer of fewer digits",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "decimal_type": "must be a number",
    "decimal_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "enum": "must be one of {expected}",
    "literal_error": "must be one of {expected}",
    "union_tag_invalid": "must be one of {expected_tags}",
    "union_tag_not_found": "is required",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "datetime_type": "must be a time",
    "datetime_parsing": "must be a time in RFC 3339, such as 2026-01-31T08:15:00Z",
    "datetime_from_date_parsing": "must be a time in RFC 3339, such as 2026-01-31T08:15:00Z",
    "datetime_object_invalid": "must be a time in RFC 3339, such as 2026-01-31T08:15:00Z",
    "timezone_aware": "must have an offset from UTC",
}


def _message_of(error: ErrorDetails) -> str:
    """The message for people: the store's own words, never pydantic's."""
    kind, told = error["type"], error.get("ctx", {})
    if kind in ViolationCode.__members__:
        # One that the store's own checks have found.
        return error["msg"]
    if kind in ("string_too_short", "too_short"):
        return f"must have at least {_counted(told['min_length'], error)}"
    if kind in ("string_too_long", "too_long"):
        return f"must have at most {_counted(told['max_length'], error)}"
    return _MESSAGES.get(kind, "is not valid").format(**told)


def _counted(count: int, error: ErrorDetails) -> str:
    """So many characters of a text, or items of a list: pydantic calls the former of a secret items too."""
    thing = "character" if isinstance(error["input"], (str, SecretStr)) else "item"
    return f"1 {thing}" if count == 1 else f"{count} {thing}s"


def _path_of(location: tuple[int | str, ...], data: object) -> str:
    """The path of a violation; what pydantic adds of its own (tags of unions) is left out."""
    path = ""
    value: Any = data
    for place, step in enumerate(location):
        last = place == len(location) - 1
        if isinstance(step, int):
            path += f"[{step}]"
            value = value[step] if isinstance(value, list) and step < len(value) else None
        elif (isinstance(value, Mapping) and step in value) or (
            last and not isinstance(value, (str, int, float))
        ):
            path += f".{step}" if path else step
            value = value.get(step) if isinstance(value, Mapping) else None
    return path


def violations_of(error: ValidationError, data: object) -> tuple[Violation, ...]:
    """Every violation that pydantic found, in the store's terms; of very many a last one says how many more."""
    found = [item for item in error.errors(include_url=False) if not _is_untrue(item)]
    told = [
        Violation(_path_of(item["loc"], data) + _tag_of(item), _message_of(item), _code_of(item))
        for item in found[:_MAX_TOLD]
    ]
    if more := len(found) - len(told):
        told.append(Violation("", f"and {more} more", _code_of(found[_MAX_TOLD])))
    return tuple(told)


def _is_untrue(error: ErrorDetails) -> bool:
    """Whether a list has items enough: pydantic does not count those that it tells of as bad."""
    items = error["input"]
    return (
        error["type"] == "too_short" and isinstance(items, list) and len(items) >= error["ctx"]["min_length"]
    )


def _tag_of(error: ErrorDetails) -> str:
    """The discriminator of a union, when the violation is about it."""
    return (
        f".{error['ctx']['discriminator']}".replace("'", "") if error["type"].startswith("union_tag") else ""
    )


def check_body(model: type[M], data: object, context: Context = NO_CONTEXT) -> M:
    """Read a body. The ``context`` has what the check asks of the world outside.

    Raises:
        ValidationFailed: with every violation of it.
    """
    if has_more_values(data, MAX_VALUES):
        message = f"has more than {MAX_VALUES} members and items"
        raise ValidationFailed((Violation("", message, ViolationCode.INVALID_LENGTH),))
    try:
        return model.model_validate(data, context=context)
    except ValidationError as error:
        raise ValidationFailed(violations_of(error, data)) from None


def has_more_values(value: object, most: int) -> bool:
    """Whether more members and items are in a value, in all, than there may be; looks at no more than that."""
    waiting, count = [value], 0
    while waiting:
        found = waiting.pop()
        inner = found.values() if isinstance(found, Mapping) else found if isinstance(found, list) else ()
        count += len(inner)
        if count > most:
            return True
        waiting.extend(inner)
    return False


def check_params(model: type[M], data: Mapping[str, object]) -> M:
    """Read parameters.

    Raises:
        BadRequest: naming every bad one.
    """
    try:
        # What model_validate itself calls, without its overhead: every request of every door passes here.
        checked: M = model.__pydantic_validator__.validate_python(data)
        return checked
    except ValidationError as error:
        violations = violations_of(error, data)
        raise BadRequest(
            "; ".join(f"{violation.field}: {violation.message}" for violation in violations), violations
        ) from None


def merge_patch(target: object, patch: object) -> object:
    """Apply a JSON merge patch (RFC 7396, section 2).

    A null for an absent member is kept, not dropped: optional members accept it, and an unknown name is found when
    the result is checked.
    """
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None and name in result:
            del result[name]
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


class MergePatch(Generic[M]):
    """The body of a PATCH: it can be checked only with the resource it changes."""

    def __init__(self, patch: Mapping[str, object], context: Context = NO_CONTEXT) -> None:
        self.patch = patch
        self.context = context

    def apply(self, model: type[M], current: M) -> M:
        """The current body with the patch applied, checked like a whole body.

        Raises:
            ValidationFailed: with every violation of the result.
        """
        dumped = current.model_dump(mode="json", by_alias=True, exclude_none=True)
        return check_body(model, merge_patch(dumped, self.patch), self.context)
