"""Orders that nobody pays are cancelled, so that visitors cannot empty the shelves."""

import logging
from contextlib import suppress
from datetime import datetime, timedelta

from core.kernel.caller import operator
from core.kernel.errors import Conflict, NotFound
from core.kernel.ids import TenantId
from core.models.orders import Order, OrderStatus
from core.ports.records import Between, Equal
from core.services.orders import cancel
from core.services.paging import survey_pages
from core.store.context import Context
from core.store.parts import StoreParts
from core.store.transactions import commit

log = logging.getLogger(__name__)

_PAGE_SIZE = 100


async def cancel_unpaid(store: StoreParts, after: timedelta) -> int:
    """Cancel the orders of all tenants that were placed so long ago and are not paid yet; says how many.

    Every node may do it, at any time: each order is looked at again under its lock.
    """
    placed_before = store.clock() - after
    unpaid = (
        Between("created_at", high=placed_before),
        Equal("status", OrderStatus.PLACED),
        Equal("classic", None),  # They hold no pet, and are never paid.
    )
    cancelled = 0
    async for order in survey_pages(store.storage, Order, *unpaid, page_size=_PAGE_SIZE):
        cancelled += await _cancel(store, order, placed_before)
    if cancelled:
        log.info("orders that were not paid are cancelled", extra={"orders": cancelled})
    return cancelled


async def _cancel(store: StoreParts, order: Order, placed_before: datetime) -> bool:
    async def work(ctx: Context) -> bool:
        found = await ctx.get(Order, order.id)
        if found.status is not OrderStatus.PLACED or found.created_at > placed_before:
            return False
        await cancel(ctx, found)
        return True

    # One that is being paid is left alone: its payment settles it, or the next round does.
    with suppress(Conflict, NotFound):
        return await commit(Context(store, operator(TenantId(order.tenant_id)), writes=True), work)
    return False
