"""What the head of a request must be for the server to read on: where requests begin and end, and whom they are for."""

import re
from collections.abc import Sequence
from functools import lru_cache

from httptools import HttpParserError, HttpParserInvalidMethodError

from core.kernel.errors import BadRequest, StoreError
from core.kernel.validation import MAX_VALUES
from protocols.http.headers import Header
from protocols.http.problems import (
    HEADER_FIELDS_TOO_LARGE,
    NOT_IMPLEMENTED,
    VERSION_NOT_SUPPORTED,
    HttpError,
)

#: Bytes of a request that come before, between or behind the parts of its body, with nothing to show for them.
MAX_HEAD_BYTES = 64 * 1024
MAX_HEADER_FIELDS = 256

#: The fields that say where a request ends and whom it is for.
FRAMING_FIELDS = frozenset((b"host", b"transfer-encoding", b"expect"))

# RFC 3986, section 3.2.2, and RFC 9112, section 3.2: it may be empty, but not have a user or a path.
_HOST = re.compile(rb"(?:\[[0-9A-Za-z:.%_~-]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
# RFC 9110, sections 5.6.2 and 9.1, and RFC 9112, section 3; empty lines before it do not matter (section 2.2).
_METHOD = re.compile(rb"[\r\n]*[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: ([\x21-\x7e]*)|$)")


def fault_of_head(
    method: str, version: str, target: bytes, fields: Sequence[Header], count: int
) -> StoreError | HttpError | None:
    """Why a request is refused, or None.

    ``fields`` are those of `FRAMING_FIELDS` alone, with their names in lower case; ``count`` is the number of all.
    """
    if version not in ("1.0", "1.1"):
        return HttpError(VERSION_NOT_SUPPORTED, "This server speaks HTTP/1.1 and HTTP/1.0.")
    if len(fields) != 1 or not _names_host(fields[0]):  # Most requests have nothing else.
        fault = _fault_of_host(version, fields) or _fault_of_codings(version, fields)
        if fault is not None:
            return fault
    if count > MAX_HEADER_FIELDS:
        return head_too_large()
    if len(target) > MAX_VALUES and target.count(b"&") >= MAX_VALUES:
        return BadRequest(f"The query of the URL has more than {MAX_VALUES} parts.")
    if method == "CONNECT":
        return HttpError(NOT_IMPLEMENTED, "This is not a proxy.")
    return BadRequest("The target * is for OPTIONS.") if target == b"*" and method != "OPTIONS" else None


@lru_cache(maxsize=64)
def _names_host(field: Header) -> bool:
    return field[0] == b"host" and _HOST.fullmatch(field[1]) is not None


def _fault_of_host(version: str, fields: Sequence[Header]) -> BadRequest | None:
    """RFC 9112, section 3.2; HTTP/1.0 does not have the field."""
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) != 1 and (hosts or version == "1.1"):
        return BadRequest("Host: every request has one, and only one.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        return BadRequest("Host: must be a name or an address, with or without a port.")
    return None


def _fault_of_codings(version: str, fields: Sequence[Header]) -> StoreError | HttpError | None:
    """RFC 9112, section 6.1: what is not decoded must not be taken for plain."""
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if not codings or (codings == [b"chunked"] and version == "1.1"):
        return None
    if version == "1.0":
        return BadRequest("Transfer-Encoding: is not a part of HTTP/1.0.")
    return HttpError(NOT_IMPLEMENTED, "Transfer-Encoding: only chunked is known here.")


def head_too_large() -> HttpError:
    """The error of a head, or of the trailers of a body, that is too long (RFC 6585, section 5)."""
    return HttpError(
        HEADER_FIELDS_TOO_LARGE,
        f"A request has at most {MAX_HEAD_BYTES} bytes beside its body, and {MAX_HEADER_FIELDS} header fields.",
    )


def fault_of_syntax(error: HttpParserError, data: bytes) -> StoreError | HttpError:
    """What a client is told of bytes that are not HTTP; ``data`` came with the fault in it."""
    # The parser knows the methods that are registered. What looks like a method and is none of them, nobody serves.
    if isinstance(error, HttpParserInvalidMethodError) and _METHOD.match(data):
        return HttpError(NOT_IMPLEMENTED, "The request's method is not known here.")
    return BadRequest("This is not HTTP/1.1, or breaks its rules.")


def target_of(data: bytes) -> bytes:
    """The target behind a method that the parser does not know; empty when none follows. ``data`` begins with it."""
    found = _METHOD.match(data)
    return (found[1] or b"") if found else b""
