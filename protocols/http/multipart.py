"""Uploads: the parts of a multipart form (RFC 7578), read as they come and kept in memory, within bounds."""

from collections.abc import AsyncGenerator, AsyncIterator

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from core.kernel.errors import BadRequest, UnsupportedMediaType
from protocols.http.content import check_charset, media_type_of
from protocols.http.exchange import EMPTY_BODY, Exchange, body_too_large

#: What a multipart body may hold beside its file.
_MULTIPART_FRAME_BYTES = 64 * 1024


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
        raise BadRequest(EMPTY_BODY)
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
