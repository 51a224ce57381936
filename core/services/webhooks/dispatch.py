"""Deliveries that are due, attempted: several at a time of each webhook, and of many webhooks at once."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from core.auth.makers import viewer_of_maker
from core.hub.tasks import Tasks
from core.kernel.caller import operator
from core.kernel.errors import StorageDown, Unavailable
from core.kernel.ids import TenantId
from core.models.callbacks import OrderCallback
from core.models.webhooks import DeliveryAttempt, DeliveryRecord, DeliveryStatus, Webhook, WebhookState
from core.ports.records import Between, Equal, NoneOf, Query, TransientFailure
from core.services.webhooks.records import Tried, disable_unauthorized, event_of, settle
from core.services.webhooks.signing import signed_headers
from core.store.context import Context
from core.store.parts import StoreParts
from core.store.transactions import commit

log = logging.getLogger(__name__)

#: Places: webhooks that are served at a time, of those that failed the last time and of the others.
PLACES = {False: 32, True: 32}
#: Attempts at a time of one webhook, and of one that failed the last time.
_ATTEMPTS, _ATTEMPTS_FAILING = 8, 2
#: Transactions at a time, so that neither clients nor the lease wait behind those of all webhooks that are served.
_TRANSACTIONS = 2


@dataclass(slots=True)
class DispatchCounters:
    """Attempts since the process began."""

    succeeded: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Served:
    """A webhook that has a place."""

    tenant: str
    failing: bool


class Dispatch:
    """Attempts what is due. One that is dead takes its time from no other: those that fail have places of their own.

    Of either kind of place no tenant takes more than it leaves free, so that there is one for the next tenant.
    """

    def __init__(self, store: StoreParts, *, poll: float = 1.0) -> None:
        self.counters = DispatchCounters()
        self._store = store
        self._poll = poll
        self._woken = asyncio.Event()
        self._serving: dict[str, Served] = {}
        self._turn = asyncio.Semaphore(_TRANSACTIONS)

    def wake(self) -> None:
        """There is something new to deliver."""
        self._woken.set()

    async def run(self) -> None:
        """Attempt what is due until cancelled."""
        tasks = Tasks()
        try:
            while True:
                self._woken.clear()
                try:
                    await self._begin(tasks)
                except (StorageDown, TransientFailure) as error:
                    log.warning("webhooks: what is due cannot be read, trying again: %s", error)
                try:
                    async with asyncio.timeout(self._poll):
                        await self._woken.wait()
                except TimeoutError:
                    pass
        finally:
            await tasks.cancel()
            self._serving.clear()

    async def _begin(self, tasks: Tasks) -> None:
        """Serve the webhooks that have waited longest, as far as there is room."""
        now = self._store.clock()
        for failing, places in PLACES.items():
            held = Counter(one.tenant for one in self._serving.values() if one.failing is failing)
            free = places - held.total()
            # Each round is without at least one tenant more.
            while free > 0:
                full = tuple(tenant for tenant, count in held.items() if count >= free)
                limit = free + len(self._serving)
                found = await self.due(now, failing=failing, limit=limit, without=full)
                passed_over = False
                for state in found:
                    if state.id in self._serving:
                        continue
                    if held[state.tenant_id] >= free:
                        passed_over = True
                        continue
                    free -= 1
                    held[state.tenant_id] += 1
                    self._serving[state.id] = Served(state.tenant_id, failing)
                    _ = tasks.spawn(self._serve(state.id, TenantId(state.tenant_id)))
                if not passed_over or len(found) < limit:
                    break

    async def due(
        self, now: datetime, *, failing: bool, limit: int, without: tuple[str, ...] = ()
    ) -> list[WebhookState]:
        """Those that have waited longest, of the ones that failed the last time or of the others.

        ``without``: tenants of which none is asked for.
        """
        of_kind = Between("failing_since", high=now) if failing else Equal("failing_since", None)
        others = (NoneOf("tenant_id", without),) if without else ()
        return await self._store.storage.survey(
            Query(WebhookState, (Between("due_at", high=now), of_kind, *others), "due_at", limit)
        )

    async def _serve(self, webhook_id: str, tenant: TenantId) -> None:
        try:
            await self._attempt_due(webhook_id, tenant)
        except (StorageDown, TransientFailure, Unavailable) as error:
            log.warning("webhooks: attempts cannot be written down, and will be repeated: %s", error)
            await asyncio.sleep(self._poll)
        finally:
            self._serving.pop(webhook_id, None)
            self._woken.set()

    async def _attempt_due(self, webhook_id: str, tenant: TenantId) -> None:
        store, now = self._store, self._store.clock()
        async with self._turn, store.storage.read(tenant) as tx:
            target = await tx.get(Webhook, webhook_id) or await tx.get(OrderCallback, webhook_id)
            state = await tx.get(WebhookState, webhook_id)
            if state is None:
                return
            due = (
                Equal("webhook_id", webhook_id),
                Equal("status", DeliveryStatus.PENDING),
                Between("next_attempt_at", high=now),
            )
            most = _ATTEMPTS if state.failing_since is None else _ATTEMPTS_FAILING
            found = await tx.find(Query(DeliveryRecord, due, "next_attempt_at", most))
            viewer = await viewer_of_maker(tx, tenant, state.maker, now)
        if target is None:
            await self._forget(state)
            return
        ctx = Context(store, operator(tenant), writes=True)
        if viewer is None and isinstance(target, Webhook):
            async with self._turn:
                await commit(ctx, lambda within: disable_unauthorized(within, webhook_id))
            return
        allowed = [
            one
            for one in found
            if isinstance(target, OrderCallback) or (viewer is not None and viewer.sees(event_of(one), ()))
        ]
        forbidden = [one for one in found if one not in allowed]
        keys = [state.secret]
        if (
            state.previous_secret is not None
            and state.previous_until is not None
            and now < state.previous_until
        ):
            keys.append(state.previous_secret)
        tried = await asyncio.gather(*(self._attempt(target.url, keys, one) for one in allowed))
        async with self._turn:
            await commit(ctx, lambda within: settle(within, webhook_id, tried, forbidden))

    async def _forget(self, state: WebhookState) -> None:
        """The target is gone, with its tenant or since it has expired."""

        async def work(ctx: Context) -> None:
            await (await ctx.tx()).delete(WebhookState, state.id)

        await commit(Context(self._store, operator(TenantId(state.tenant_id)), writes=True), work)

    async def _attempt(self, url: str, keys: list[str], delivery: DeliveryRecord) -> Tried:
        loop = asyncio.get_running_loop()
        at, began = self._store.clock(), loop.time()
        body = delivery.body.encode()
        answer = await self._store.webhooks.post(url, signed_headers(delivery.event_id, body, at, keys), body)
        if answer.is_success:
            self.counters.succeeded += 1
        else:
            self.counters.failed += 1
        attempt = DeliveryAttempt(
            at=at,
            duration_ms=round((loop.time() - began) * 1000),
            response_status=answer.status,
            error=answer.error,
        )
        return Tried(delivery, attempt, answer)
