"""Header fields that every door on HTTP reads and writes."""

import re
import secrets
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import count

from core.ports.coordination import Allowance

Header = tuple[bytes, bytes]

#: The request ids made here: random for the process, counted within it.
_PROCESS = secrets.token_hex(8).encode()
_NUMBERS = count(1)
_SANE_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")


def read_headers(raw: Iterable[Header]) -> dict[bytes, bytes]:
    """Header fields by lower-case name; lines of one name are one list (RFC 9110, section 5.2)."""
    pairs = list(raw)
    headers = dict(pairs)
    if len(headers) != len(pairs):
        headers.clear()
        for name, value in pairs:
            headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def request_id_of(headers: Mapping[bytes, bytes]) -> bytes:
    """The client's own id for its request when it is sane, else a new one."""
    given = headers.get(b"x-request-id")
    if given is not None and _SANE_REQUEST_ID.fullmatch(given):
        return given
    return b"%b-%x" % (_PROCESS, next(_NUMBERS))


def rate_limit_headers(allowance: Allowance, window: int = 60) -> list[Header]:
    """The budget: the fields that are in use, and those of draft-ietf-httpapi-ratelimit-headers-10."""
    limit, remaining, reset = b"%d" % allowance.limit, b"%d" % allowance.remaining, b"%d" % allowance.reset
    return [
        (b"ratelimit-limit", limit),
        (b"ratelimit-remaining", remaining),
        (b"ratelimit-reset", reset),
        (b"ratelimit-policy", b'"default";q=%b;w=%d' % (limit, window)),
        (b"ratelimit", b'"default";r=%b;t=%b' % (remaining, reset)),
    ]


def accepts(accept: bytes, media_type: bytes) -> bool:
    """Whether an ``Accept`` header lets a media type through."""
    return quality_of(accept, media_type) > 0


@lru_cache(maxsize=512)
def quality_of(accept: bytes, media_type: bytes) -> float:
    """How much an ``Accept`` header wants a media type; the most specific range counts (RFC 9110, 12.5.1)."""
    wanted = media_type.decode()
    kind = wanted.partition("/")[0]
    best = (-1, 0.0)
    for part in accept.decode("latin-1").split(","):
        name, *parameters = (piece.strip() for piece in part.lower().split(";"))
        ranks = {"*/*": 0, f"{kind}/*": 1, wanted: 2}
        if name in ranks:
            best = max(best, (ranks[name], _quality(parameters)))
    return best[1]


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if re.fullmatch(r"[01](\.\d{0,3})?", value.strip()) else 1.0
    return 1.0
