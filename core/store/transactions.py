"""Runs work in a writing transaction, again when it lost against another one, and announces what it did."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

from core.kernel.backoff import backoff_seconds
from core.kernel.errors import Unavailable
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.ports.records import RecordStorage, Transaction, TransientFailure
from core.store.context import Context

T = TypeVar("T")

#: No attempt begins later than this after the first one.
_DEADLINE_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.64


async def transact(
    storage: RecordStorage, tenant: TenantId, work: Callable[[Transaction], Awaitable[T]]
) -> T:
    """Run ``work`` in a transaction that commits at its end. It may run several times, so it changes nothing else.

    Raises:
        Unavailable: it lost against others until the deadline, or the database is away; nothing has happened.
    """
    deadline = monotonic() + _DEADLINE_SECONDS
    failures = 0
    while True:
        try:
            async with storage.write(tenant) as tx:
                return await work(tx)
        except TransientFailure:
            failures += 1
        pause = backoff_seconds(failures, first=_FIRST_PAUSE_SECONDS, longest=_LONGEST_PAUSE_SECONDS)
        if monotonic() + pause > deadline:
            raise Unavailable("Too many writers at once.")
        await asyncio.sleep(pause)


async def commit(ctx: Context, work: Callable[[Context], Awaitable[T]]) -> T:
    """Run ``work`` in a transaction, each attempt with a new context of the same request; then hand its events on.

    Raises:
        Unavailable: see ``transact``; or nobody has used the tenant for long, and it is being removed.
    """
    # What the store does of its own accord is no use of a tenant.
    used = not ctx.caller.is_store

    store = ctx.store

    async def attempt(tx: Transaction) -> tuple[Context, T, list[Event]]:
        within = ctx.within(tx)
        value = await work(within)
        if within.keep is not None:
            await within.keep(tx, value, within.now)
        if used and store.activity.is_due(ctx.tenant, within.now):
            await store.activity.touch(tx, ctx.tenant, within.now)
        return within, value, await within.append()

    committed, value, events = await transact(store.storage, ctx.tenant, attempt)
    if used and store.activity.is_due(ctx.tenant, committed.now):
        store.activity.note(ctx.tenant, committed.now)
    if events:
        store.hub.publish(ctx.tenant, events)
    for subjects in committed.revoked:
        await store.revocations.revoke(subjects)
    for after in committed.afterwards:
        await after()
    return value
