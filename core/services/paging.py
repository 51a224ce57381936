"""Pages of collections, and records of all tenants page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json, to_json

from core.kernel.errors import BadRequest, Violation, ViolationCode
from core.kernel.model import Page, Paged, Pagination
from core.ports.records import Between, Condition, Query, Record, RecordStorage
from core.services.sealing import seal, unseal
from core.store.context import Context

K = TypeVar("K", bound=Record)

#: Items that totals count to, and that pages before one may hold in all: one further on is reached by going on.
MAX_COUNTED = 10_000
MAX_SKIPPED = 100_000
_PURPOSE = "page"


async def page_of(
    ctx: Context,
    kind: type[K],
    where: Sequence[Condition],
    paged: Paged,
    order: str = "id",
    *,
    known: Callable[[], Awaitable[int | None]] | None = None,
) -> "Page[K]":
    """The requested page of the records that the conditions select, in the order of a field that none lacks.

    ``known`` tells how many there are, where that is known without counting them.

    Raises:
        BadRequest: there are too many items before the page, or what it is to go on behind is of no such list.
    """
    before, behind = (paged.page - 1) * paged.limit, None
    if paged.after is not None:
        before, behind = _read(ctx, paged.after, kind, order)
    tx = await ctx.tx()
    skipped = before if behind is None else 0
    counted = min(skipped, MAX_SKIPPED) + MAX_COUNTED
    chosen = tuple(where)
    total = None if known is None else await known()
    is_exact = total is not None
    if total is None:
        total = await tx.count(Query(kind, chosen), counted + 1)
        is_exact = total <= counted
    if skipped > MAX_SKIPPED and (skipped < total or not is_exact):
        raise _bad("page", f"there are more than {MAX_SKIPPED} items before it: go on behind a page instead")
    found: list[K] = []
    if skipped < total:
        # One more tells whether there is another page.
        found = await tx.find(Query(kind, chosen, order, paged.limit + 1, skipped, behind, total))
    shown = found[: paged.limit]
    if not is_exact:
        total = max(counted, before + len(found))
    return Page(
        data=shown,
        pagination=Pagination(
            page=before // paged.limit + 1,
            limit=paged.limit,
            total_items=total,
            total_pages=-(-total // paged.limit),
            total_is_exact=None if is_exact else False,
            next=None if len(found) == len(shown) else _write(ctx, shown[-1], order, before + len(shown)),
        ),
    )


def _write(ctx: Context, last: Record, order: str, before: int) -> str:
    """What a client gives to go on behind an item, so many being before what comes then; good in this tenant alone."""
    value = getattr(last, order.removeprefix("-"))
    place = [ctx.tenant, type(last).__name__, order, before, value, last.id]
    return seal(ctx.store, _PURPOSE, to_json(place))


def _read(ctx: Context, text: str, kind: type[Record], order: str) -> tuple[int, tuple[object, str]]:
    body = unseal(ctx.store, _PURPOSE, text)
    place: list[Any] = [] if body is None else from_json(body)
    if place[:3] != [ctx.tenant, kind.__name__, order]:
        raise _bad("after", "is not where a page of this list, in this order, ended")
    before, value, record_id = place[3:]
    return before, (_reader(kind, order.removeprefix("-")).validate_python(value), record_id)


@cache
def _reader(kind: type[Record], field: str) -> TypeAdapter[Any]:
    assert issubclass(kind, BaseModel)
    return TypeAdapter(kind.model_fields[field].annotation or Any)


def _bad(field: str, message: str) -> BadRequest:
    return BadRequest(f"{field}: {message}", (Violation(field, message, ViolationCode.OUT_OF_RANGE),))


async def survey_pages(
    storage: RecordStorage, kind: type[K], span: Between, *where: Condition, page_size: int
) -> AsyncIterator[K]:
    """All records in a span of a field that the conditions select, in all tenants: for chores, never for callers.

    They come in the order of the field, which never gets lower meanwhile. Where an index has them in that order, no
    page looks at what was before it. Each page goes on behind the one before, so that what a chore cannot deal with
    keeps nothing else waiting.
    """
    field, low = span.field, span.low
    at_low: set[str] = set()
    while True:
        # The bound is one of the page.
        limit = page_size + len(at_low)
        page = await storage.survey(Query(kind, (*where, Between(field, low, span.high)), field, limit))
        for record in page:
            if record.id not in at_low:
                yield record
        if len(page) < limit:
            return
        low = getattr(page[-1], field)
        at_low = {record.id for record in page if getattr(record, field) == low}
