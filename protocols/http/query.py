"""Query parameters of requests."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from core.kernel.errors import BadRequest

#: No more query parameters than this are read.
_MAX_PARAMETERS = 200


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
            raise BadRequest(f"unknown parameter '{name[:64]}'")
        if name in found and not known[name]:
            raise BadRequest(f"{name}: is given more than once")
        found[name] = f"{found[name]},{value}" if name in found else value
    return found
