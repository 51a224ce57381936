"""Reading requests: headers, parameters, bodies; and links to other pages."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from urllib.parse import parse_qsl, urlencode

from pydantic_core import from_json
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from core.kernel.errors import (
    BadRequest,
    UnsupportedMediaType,
    ValidationFailed,
    Violation,
    ViolationCode,
)
from core.kernel.model import Paged, Pagination
from core.kernel.validation import MAX_VALUES, check_params
from protocols.http.content import check_charset, media_type_of
from protocols.http.exchange import Exchange, body_too_large
from protocols.http.json_text import MAX_PARTS, has_more_parts

JSON = b"application/json"
MERGE_PATCH = b"application/merge-patch+json"
_EMPTY = "The request has no body, and needs one."
#: No more query parameters than this are read.
_MAX_PARAMETERS = 200
#: What a multipart body may hold beside its file.
_MULTIPART_FRAME_BYTES = 64 * 1024


# --- Negotiation ---------------------------------------------------------------------------------------------


def entity_tags(header: bytes, *, weak: bool) -> frozenset[str]:
    """The opaque tags of ``If-Match`` or ``If-None-Match`` (RFC 9110, 13.1), or ``*`` alone.

    ``weak``: the comparison is the weak one, so weak tags count. A header without any tag matches nothing.
    """
    text = header.decode("latin-1").strip()
    if text == "*":
        return frozenset("*")
    return frozenset(tag for mark, tag in _ENTITY_TAG.findall(text) if weak or not mark)


_ENTITY_TAG = re.compile(r'(W/)?"([^"]*)"')


# --- Parameters ----------------------------------------------------------------------------------------------


def read_query(query: bytes, known: Mapping[str, bool]) -> dict[str, object]:
    """The query parameters, which must all be ``known``.

    ``known`` says of each name whether it is a list: several of it become one, apart by commas.

    Raises:
        BadRequest: broken encoding, too many, one that is unknown, or one that is no list is there twice.
    """
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS
        )
    except ValueError:
        raise BadRequest("The query of the URL is not URL-encoded UTF-8, or has too many parts.") from None
    found: dict[str, object] = {}
    for name, value in pairs:
        if name not in known:
            raise BadRequest(f"{name[:64]}: is no parameter of this request")
        if name in found and not known[name]:
            raise BadRequest(f"{name}: is given more than once")
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


# --- Bodies --------------------------------------------------------------------------------------------------


async def read_json(
    exchange: Exchange, limit: int, *, required: bool, accepted: Collection[bytes] | None = None
) -> object:
    """The JSON value of the body; one without a single byte counts as an empty object unless it is ``required``.

    ``accepted`` are the media types taken; without it those of JSON, also by suffix (RFC 6839).

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
            raise BadRequest(_EMPTY)
        return {}
    kind = media_type_of(exchange.headers)
    if not (kind in accepted if accepted else kind == JSON or kind.endswith(b"+json")):
        raise UnsupportedMediaType(f"The body must be {(MERGE_PATCH if accepted else JSON).decode()}.")
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


class _InMemory(MultiPartParser):
    """A parser that puts no file on the disk, for the whole body is bounded, and knows whether it saw the end."""

    spool_max_size = 1 << 30
    ended = False

    def on_end(self) -> None:
        """The last boundary has come."""
        self.ended = True


async def read_upload(exchange: Exchange, limit: int) -> dict[str, object]:
    """The parts of a multipart form (RFC 7578), with the file parts as bytes.

    The name of a file part named ``file`` comes along as ``filename``, unless there is a part of that name.

    Raises:
        UnsupportedMediaType: the body is not multipart/form-data, or not in UTF-8.
        PayloadTooLarge: a file has more than ``limit`` bytes.
        BadRequest: it is empty, broken, or has a part twice.
        ClientGone: it did not come to its end.
    """
    if exchange.headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in exchange.headers:
        raise BadRequest(_EMPTY)
    if media_type_of(exchange.headers) != b"multipart/form-data":
        raise UnsupportedMediaType("The body must be multipart/form-data.")
    check_charset(exchange.headers)
    boundary = parse_options_header(exchange.headers[b"content-type"])[1].get(b"boundary")
    if not boundary:
        raise BadRequest("The Content-Type names no boundary.")
    chunks = exchange.chunks(limit + _MULTIPART_FRAME_BYTES)
    stream = _without_preamble(chunks, b"--" + boundary)
    parser = _InMemory(
        Headers({"content-type": exchange.headers[b"content-type"].decode("latin-1")}),
        stream,
        max_files=4,
        max_fields=16,
        max_part_size=_MULTIPART_FRAME_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BadRequest(f"The body is not a multipart form: {error.message}") from None
    finally:
        await stream.aclose()
        await chunks.aclose()
    try:
        if not parser.ended:
            raise BadRequest("The multipart form ends before its last boundary.")
        return await _parts_of(form, limit)
    finally:
        await form.close()


async def _parts_of(form: FormData, limit: int) -> dict[str, object]:
    parts: dict[str, object] = {}
    name_of_file: str | None = None
    for name, value in form.multi_items():
        if name in parts:
            raise BadRequest(f"The part '{name[:64]}' is there twice.")
        if not isinstance(value, UploadFile):
            parts[name] = value
            continue
        if (value.size or 0) > limit:
            raise body_too_large(limit)
        parts[name] = await value.read()
        if name == "file":
            name_of_file = value.filename
    if name_of_file:
        parts.setdefault("filename", name_of_file)
    return parts


async def _without_preamble(chunks: AsyncIterator[bytes], delimiter: bytes) -> AsyncGenerator[bytes, None]:
    """A multipart body from its first delimiter on: what stands before that is for nobody (RFC 2046, 5.1.1)."""
    kept = b"\r\n"  # The delimiter begins a line.
    async for chunk in chunks:
        kept += chunk
        place = kept.find(b"\r\n" + delimiter)
        if place >= 0:
            yield kept[place + 2 :]
            break
        kept = kept[-len(delimiter) - 1 :]
    async for chunk in chunks:
        yield chunk


def on_page(params: dict[str, object], body: object) -> object:
    """The body of a search, for the page that the query names; ``params`` are left without it.

    Raises:
        BadRequest: it names none.
    """
    named = {name: params.pop(name) for name in Paged.model_fields if name in params}
    if not named or not isinstance(body, dict) or not isinstance(body.get("pagination", {}), dict):
        return body
    page = check_params(Paged, named).model_dump(exclude_unset=True)
    return {**body, "pagination": {**body.get("pagination", {}), **page}}


# --- Responses -----------------------------------------------------------------------------------------------


def link_header(path: str, query: bytes, pagination: Pagination) -> bytes:
    """Where the other pages of a collection are (RFC 8288); the other parameters of the query stay, each value once.

    The pages of a search are asked for as the first one was, with the same body.
    """
    values: dict[str, dict[str, None]] = {}
    for name, value in parse_qsl(query.decode("ascii"), keep_blank_values=True):
        if name not in Paged.model_fields:
            values.setdefault(name, {}).update(dict.fromkeys(map(str.strip, value.split(","))))
    others = [(name, ",".join(found)) for name, found in values.items()]
    last = max(pagination.total_pages, 1)
    pages = {"self": pagination.page, "first": 1, "last": last}
    if pagination.page > 1:
        pages["prev"] = min(pagination.page - 1, last)
    if pagination.page < last:
        pages["next"] = pagination.page + 1

    def target(page: int) -> str:
        return f"{path}?{urlencode([*others, ('page', page), ('limit', pagination.limit)])}"

    order = ("self", "first", "prev", "next", "last")
    return ", ".join(f'<{target(pages[rel])}>; rel="{rel}"' for rel in order if rel in pages).encode()
