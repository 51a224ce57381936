"""Pages of collections."""

from collections.abc import Sequence
from typing import TypeVar

from core.kernel.model import Page, Paged, Resource
from core.ports.records import Condition, Query
from core.store.context import Context

R = TypeVar("R", bound=Resource)


async def page_of(
    ctx: Context, kind: type[R], where: Sequence[Condition], paged: Paged, order: str = "id"
) -> Page[R]:
    """The requested page of the resources that the conditions select, in the order of a field."""
    tx = await ctx.tx()
    query = Query(kind, tuple(where), order, paged.limit, (paged.page - 1) * paged.limit)
    return Page.of(await tx.find(query), paged, await tx.count(query))
