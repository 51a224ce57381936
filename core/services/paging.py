"""Pages of collections, and records of all tenants page by page."""

from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

from core.kernel.model import Page, Paged, Resource
from core.ports.records import Between, Condition, Query, Record, RecordStorage
from core.store.context import Context

R = TypeVar("R", bound=Resource)
K = TypeVar("K", bound=Record)


async def page_of(
    ctx: Context, kind: type[R], where: Sequence[Condition], paged: Paged, order: str = "id"
) -> Page[R]:
    """The requested page of the resources that the conditions select, in the order of a field."""
    tx = await ctx.tx()
    query = Query(kind, tuple(where), order, paged.limit, (paged.page - 1) * paged.limit)
    return Page.of(await tx.find(query), paged, await tx.count(query))


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
