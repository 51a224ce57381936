"""Private tenants that nobody uses any more are removed, with all that is theirs."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from core.kernel.caller import operator
from core.kernel.ids import TenantId
from core.models.activity import TenantActivity
from core.models.users import User
from core.ports.records import Between, Query, Transaction
from core.services.paging import survey_pages
from core.services.tenant import EMPTYING, empty
from core.store.context import Context
from core.store.parts import StoreParts
from core.store.transactions import commit, transact

log = logging.getLogger(__name__)

_PAGE_SIZE = 200
#: Tenants of which one round writes down that they were seen.
_MAX_SEEN = 500
#: How far the clocks of two nodes may differ.
_MAX_CLOCK_DIFFERENCE = timedelta(minutes=10)


class _NotOurs(Exception):
    """Somebody else has removed the tenant meanwhile, and it may have begun anew."""


async def note_seen(store: StoreParts) -> None:
    """Write down which tenants were used without a write. Of a tenant that holds nothing there is nothing to note."""
    store.activity.see(*store.hub.tenants())
    for tenant in store.activity.take_seen(_MAX_SEEN):
        now = store.clock()
        async with store.storage.read(tenant) as reading:
            known = await reading.get(TenantActivity, tenant)
            # Users whom another issuer vouches for come without a write of their own.
            if known is None and not await reading.find(Query(User, limit=1)):
                continue  # Whoever writes there first has yet to note it.

        async def work(tx: Transaction, tenant: TenantId = tenant, now: datetime = now) -> None:
            found = await tx.get(TenantActivity, tenant, lock=True)
            if found is None or not found.sweeping:
                await store.activity.touch(tx, tenant, now)

        await transact(store.storage, tenant, work)
        store.activity.note(tenant, now)


async def sweep_idle(store: StoreParts, idle: timedelta) -> int:
    """Remove the tenants that nobody has used for so long; says how many.

    A tenant is first marked as idle, and removed when it still is a day later: a clock that is wrong for less than
    that removes nothing. Every node may do it, at any time, and goes on where another one has stopped.
    """
    removed, now = 0, store.clock()
    # A mark of times to come was made by a clock that was wrong, and counts for nothing.
    to_come = Between("idle_since", low=now + _MAX_CLOCK_DIFFERENCE)
    async for found in survey_pages(store.storage, TenantActivity, to_come, page_size=_PAGE_SIZE):
        await _unmark(store, TenantId(found.tenant_id))
    unused = Between("touched_at", high=now - idle)
    async for found in survey_pages(store.storage, TenantActivity, unused, page_size=_PAGE_SIZE):
        if await _claim(store, TenantId(found.tenant_id), now, idle):
            removed += await _remove(store, TenantId(found.tenant_id))
    if removed:
        log.info("tenants that nobody used are removed", extra={"tenants": removed})
    return removed


async def _unmark(store: StoreParts, tenant: TenantId) -> None:
    async def work(tx: Transaction) -> None:
        found = await tx.get(TenantActivity, tenant, lock=True)
        if found is not None and not found.sweeping:
            await tx.update(found.model_copy(update={"idle_since": None}))

    await transact(store.storage, tenant, work)


async def _claim(store: StoreParts, tenant: TenantId, now: datetime, idle: timedelta) -> bool:
    """Whether a tenant is to be removed now; from then on nobody writes there until that is done."""

    async def work(tx: Transaction) -> bool:
        found = await tx.get(TenantActivity, tenant, lock=True)
        if found is None or found.sweeping:
            return found is not None
        if found.touched_at > now - idle:
            return False
        if found.idle_since is None or not found.touched_at <= found.idle_since <= now:
            await tx.update(found.model_copy(update={"idle_since": now}))
            return False
        due = found.idle_since <= now - store.activity.period
        if due:
            await tx.update(found.model_copy(update={"sweeping": True}))
        return due

    return await transact(store.storage, tenant, work)


async def _remove(store: StoreParts, tenant: TenantId) -> bool:
    ctx = Context(store, operator(tenant), writes=True)

    async def check(within: Context) -> None:
        # Under its lock, so that nobody begins anew before this batch is gone.
        found = await (await within.tx()).get(TenantActivity, tenant, lock=True)
        if found is None or not found.sweeping:
            raise _NotOurs

    def checked(step: Callable[[Context], Awaitable[int]]) -> Callable[[Context], Awaitable[int]]:
        async def work(within: Context) -> int:
            await check(within)
            return await step(within)

        return work

    async def forget(within: Context) -> None:
        await check(within)
        tx = await within.tx()
        await tx.forget_log()
        await tx.delete(TenantActivity, tenant)

    try:
        await empty(ctx, [checked(step) for step in EMPTYING])
        await commit(ctx, forget)
    except _NotOurs:
        return False
    store.cache.on_lost(tenant)
    return True
