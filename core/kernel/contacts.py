"""How people are reached: e-mail addresses, phone numbers, countries."""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from core.kernel.countries import COUNTRIES
from core.kernel.validation import PHONE_CHECK

_EMAIL_PATTERN = re.compile(
    r"[^@\s\u0000-\u001f]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\.[A-Za-z]{2,63}"
)
_PHONE_PATTERN = re.compile(r"\+[1-9][0-9]{6,14}")


def _matching(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise PydanticCustomError("INVALID_FORMAT", f"must be {what}")
        return text

    return AfterValidator(check)


#: An e-mail address.
Email = Annotated[
    str,
    Field(max_length=254),
    _matching(_EMAIL_PATTERN, "an e-mail address"),
    WithJsonSchema(
        {"type": "string", "format": "email", "maxLength": 254, "pattern": f"^{_EMAIL_PATTERN.pattern}$"}
    ),
]


def _possible(text: str, info: ValidationInfo) -> str:
    check: Callable[[str], bool] | None = (info.context or {}).get(PHONE_CHECK)
    if check is not None and not check(text):
        raise PydanticCustomError("INVALID_FORMAT", "is not a possible phone number")
    return text


#: A phone number in E.164. Whether it is possible is checked of what clients send, where the store says how.
Phone = Annotated[
    str,
    _matching(_PHONE_PATTERN, "a phone number in E.164, such as +4930901820"),
    AfterValidator(_possible),
    WithJsonSchema({"type": "string", "pattern": "^\\+[1-9][0-9]{6,14}$", "examples": ["+4930901820"]}),
]


def _country(text: str) -> str:
    if text.upper() not in COUNTRIES:
        raise PydanticCustomError("INVALID_ENUM_VALUE", "must be an ISO 3166-1 alpha-2 country code")
    return text.upper()


#: A country; read without regard to case, like every enumeration.
Country = Annotated[
    str,
    AfterValidator(_country),
    WithJsonSchema({"type": "string", "enum": sorted(COUNTRIES), "description": "ISO 3166-1 alpha-2."}),
]
