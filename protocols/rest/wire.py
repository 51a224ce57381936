"""Reading requests: headers, pages; and links to other pages."""

import re
from urllib.parse import parse_qsl, urlencode

from core.kernel.model import Paged, Pagination
from core.kernel.validation import check_params

MERGE_PATCH = b"application/merge-patch+json"
#: Of these the query and the body may each name one: the query's counts.
_PLACES = frozenset({"page", "after"})


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


# --- Pages ---------------------------------------------------------------------------------------------------


def on_page(params: dict[str, object], body: object) -> object:
    """The body of a search, for the page that the query names; ``params`` are left without it.

    Raises:
        BadRequest: it names none.
    """
    named = {name: params.pop(name) for name in Paged.model_fields if name in params}
    if not named or not isinstance(body, dict) or not isinstance(body.get("pagination", {}), dict):
        return body
    place = check_params(Paged, named).model_dump(exclude_unset=True)
    given = body.get("pagination", {})
    if not _PLACES.isdisjoint(place):
        given = {name: value for name, value in given.items() if name not in _PLACES}
    return {**body, "pagination": {**given, **place}}


# --- Responses -----------------------------------------------------------------------------------------------


def link_header(path: str, query: bytes, pagination: Pagination) -> bytes:
    """Where the other pages of a collection are (RFC 8288); the other parameters of the query stay, each value once.

    The next one goes on behind this one. There is no last one where the totals count no further. The pages of a search
    are asked for as the first one was, with the same body.
    """
    values: dict[str, dict[str, None]] = {}
    own: int | str = pagination.page
    for name, value in parse_qsl(query.decode("ascii"), keep_blank_values=True):
        if name == "after":
            own = value
        elif name not in Paged.model_fields:
            values.setdefault(name, {}).update(dict.fromkeys(map(str.strip, value.split(","))))
    others = [(name, ",".join(found)) for name, found in values.items()]
    last = max(pagination.total_pages, 1)
    pages: dict[str, int | str] = {"self": own, "first": 1}
    if pagination.total_is_exact is not False:
        pages["last"] = last
    if pagination.page > 1:
        pages["prev"] = min(pagination.page - 1, last)
    if pagination.next is not None:
        pages["next"] = pagination.next

    def target(page: int | str) -> str:
        place = ("page" if isinstance(page, int) else "after", page)
        return f"{path}?{urlencode([*others, place, ('limit', pagination.limit)])}"

    order = ("self", "first", "prev", "next", "last")
    return ", ".join(f'<{target(pages[rel])}>; rel="{rel}"' for rel in order if rel in pages).encode()
