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
    storage: RecordStorage, kind: type[K], where: tuple[Condition, ...], page_size: int
) -> AsyncIterator[K]:
    """All records that the conditions select, in all tenants, by their ids: for chores, never for callers.

    Each page goes on behind the one before, so that what a chore cannot deal with keeps nothing else waiting.
    """
    behind: str | None = None
    while True:
        # The bound is one of the page.
        page = await storage.survey(Query(kind, (*where, Between("id", low=behind)), limit=page_size + 1))
        for record in page:
            if record.id != behind:
                yield record
        if len(page) <= page_size:
            return
        behind = page[-1].id
