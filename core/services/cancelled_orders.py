"""Orders that were cancelled without ever being paid are removed some day: anybody can make them, for nothing."""

import logging
from collections import defaultdict
from datetime import datetime, timedelta

from core.kernel.caller import operator
from core.kernel.ids import TenantId
from core.models.orders import Order, OrderStatus
from core.models.payments import Payment, PaymentStatus
from core.ports.records import Between, Equal, OneOf, Query
from core.services.paging import survey_pages
from core.services.quotas import uncount
from core.store.context import Context
from core.store.parts import StoreParts
from core.store.transactions import commit

log = logging.getLogger(__name__)

#: Orders that one transaction removes.
_BATCH_ORDERS = 200


class CancelledOrders:
    """Removes such orders, with the payments of them that failed. Every node may do it, at any time."""

    def __init__(self, store: StoreParts) -> None:
        self._store = store
        #: Those that were cancelled before this have been looked at: what is left of them was paid once.
        self._looked_up_to: datetime | None = None

    async def sweep(self, after: timedelta) -> int:
        """Remove those that were cancelled so long ago, in all tenants; says how many."""
        cancelled_before = self._store.clock() - after
        cancelled = (
            Between("updated_at", low=self._looked_up_to, high=cancelled_before),
            Equal("status", OrderStatus.CANCELLED),
        )
        removed, batch = 0, defaultdict[TenantId, list[str]](list)
        found = 0
        async for order in survey_pages(self._store.storage, Order, *cancelled, page_size=_BATCH_ORDERS):
            batch[TenantId(order.tenant_id)].append(order.id)
            found += 1
            if found % _BATCH_ORDERS == 0:
                removed += await self._remove(batch)
                batch.clear()
        removed += await self._remove(batch)
        self._looked_up_to = cancelled_before
        if removed:
            log.info("orders that were cancelled and never paid are removed", extra={"orders": removed})
        return removed

    async def _remove(self, batch: dict[TenantId, list[str]]) -> int:
        removed = 0
        for tenant, ids in batch.items():

            async def work(ctx: Context, ids: list[str] = ids) -> int:
                tx = await ctx.tx()
                payments = await tx.find(Query(Payment, (OneOf("order_id", tuple(ids)),)))
                paid = {
                    payment.order_id for payment in payments if payment.status is not PaymentStatus.FAILED
                }
                unpaid = tuple(order_id for order_id in ids if order_id not in paid)
                await tx.delete_all(Payment, (OneOf("order_id", unpaid),))
                # Nothing leads out of CANCELLED, so that they need not be locked and looked at again.
                gone = await tx.delete_all(Order, (OneOf("id", unpaid),))
                await uncount(ctx, Order, gone)
                return gone

            removed += await commit(Context(self._store, operator(tenant), writes=True), work)
        return removed
