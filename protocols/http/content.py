"""What a request says of its body."""

import re
from collections.abc import Mapping

from core.kernel.errors import ErrorCode, UnsupportedMediaType
from protocols.http.problems import HttpError, problem_type

_CHARSET = re.compile(rb';\s*charset\s*=\s*"?([^\s";]*)')


def media_type_of(headers: Mapping[bytes, bytes]) -> bytes:
    """The media type, in lower case and without parameters; empty when there is none."""
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def check_charset(headers: Mapping[bytes, bytes]) -> None:
    """Pass text in UTF-8, which JSON is always in (RFC 8259, section 8.1).

    Raises:
        UnsupportedMediaType: it is said to be in something else.
    """
    found = _CHARSET.search(headers.get(b"content-type", b"").lower())
    if found is not None and found[1] not in (b"utf-8", b"utf8", b"us-ascii"):
        raise UnsupportedMediaType("The body must be in UTF-8.")


def check_coding(headers: Mapping[bytes, bytes]) -> None:
    """Pass a body that is sent as it is (RFC 9110, section 8.4).

    Raises:
        HttpError: it is compressed.
    """
    coding = headers.get(b"content-encoding")
    if coding is not None and coding.strip().lower() not in (b"", b"identity"):
        # RFC 9110, section 12.5.3: in a response it says what a request may be sent in.
        raise HttpError(
            problem_type(ErrorCode.UNSUPPORTED_MEDIA_TYPE),
            "The body must not be compressed.",
            [(b"accept-encoding", b"identity")],
        )
