"""Bodies of requests in JSON."""

from collections.abc import Sequence

from pydantic_core import from_json

from core.kernel.errors import (
    BadRequest,
    UnsupportedMediaType,
    ValidationFailed,
    Violation,
    ViolationCode,
)
from core.kernel.validation import MAX_VALUES
from protocols.http.content import check_charset, media_type_of
from protocols.http.exchange import EMPTY_BODY, Exchange
from protocols.http.json_text import MAX_PARTS, has_more_parts

JSON = b"application/json"


async def read_json(
    exchange: Exchange, limit: int, *, required: bool, accepted: Sequence[bytes] | None = None
) -> object:
    """The JSON value of the body; one without a single byte counts as an empty object unless it is ``required``.

    ``accepted`` are the media types taken, the usual one first; without it those of JSON, also by suffix (RFC 6839).

    Raises:
        UnsupportedMediaType: the body is said to be something else, or not in UTF-8.
        PayloadTooLarge: it has more than ``limit`` bytes.
        BadRequest: it is not JSON, nested too deeply, or required and empty.
        ValidationFailed: it is ``null``, or has very many members and items.
        ClientGone: it did not come to its end.
    """
    body = await exchange.body(limit)
    if not body:
        if required:
            raise BadRequest(EMPTY_BODY)
        return {}
    kind = media_type_of(exchange.headers)
    if not (kind in accepted if accepted else kind == JSON or kind.endswith(b"+json")):
        raise UnsupportedMediaType(f"The body must be {next(iter(accepted or (JSON,))).decode()}.")
    check_charset(exchange.headers)
    if has_more_parts(body, MAX_PARTS):
        # To read it would hold up everybody else, only for the store to say the same.
        message = f"has more than {MAX_VALUES} members and items"
        raise ValidationFailed((Violation("", message, ViolationCode.INVALID_LENGTH),))
    try:
        value = from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None
    if value is None:  # To the store it would mean that there was no body.
        raise ValidationFailed((Violation("", "must be a JSON object", ViolationCode.INVALID_TYPE),))
    return value
