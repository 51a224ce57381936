"""From the log to deliveries: each event becomes a delivery of every webhook that wants it, once."""

from collections.abc import Sequence
from functools import partial

from core.kernel.caller import operator
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.models.webhooks import (
    DeliveryRecord,
    DeliveryStatus,
    DisabledReason,
    Webhook,
    WebhookState,
    WebhookStatus,
)
from core.ports.records import Equal, OneOf, Query
from core.services.webhooks.callbacks import answer_callbacks
from core.services.webhooks.records import MAX_PENDING, delivery_of, disable, disable_unauthorized
from core.services.webhooks.wanted import WantedOfTenants
from core.store.context import Context
from core.store.parts import StoreParts
from core.store.transactions import commit

#: Deliveries that one transaction adds.
_BATCH_DELIVERIES = 200


class FanOut:
    """Makes deliveries of events; what was made before a crash is not made again."""

    def __init__(self, store: StoreParts) -> None:
        self._store = store
        self._wanted = WantedOfTenants(store.storage)

    async def take(self, tenant: TenantId, events: Sequence[Event]) -> int:
        """Make the deliveries of consecutive events durable; says how many there are."""
        answered = await answer_callbacks(self._store, tenant, events)
        wanted = await self._wanted.of(tenant, self._store.clock())
        if wanted is None:
            return answered
        ctx = Context(self._store, operator(tenant), writes=True)
        while wanted.unauthorized:
            await commit(ctx, partial(disable_unauthorized, webhook_id=wanted.unauthorized[-1]))
            wanted.unauthorized.pop()
        pairs = [(event, webhook_id) for event in events for webhook_id in wanted.find(event)]
        for start in range(0, len(pairs), _BATCH_DELIVERIES):
            batch = pairs[start : start + _BATCH_DELIVERIES]
            await commit(ctx, partial(_add, pairs=batch))
        return answered + len(pairs)


async def _add(ctx: Context, pairs: Sequence[tuple[Event, str]]) -> None:
    tx = await ctx.tx()
    wanted = OneOf("id", tuple({webhook_id for _, webhook_id in pairs}))
    # In the order of their ids, so that two who do this never wait for each other.
    enabled = (wanted, Equal("status", WebhookStatus.ENABLED))
    webhooks = {one.id: one for one in await tx.find(Query(Webhook, enabled), lock=True)}
    found = await tx.find(Query(WebhookState, (OneOf("id", tuple(webhooks)),)), lock=True)
    states = {state.id: state for state in found}
    made = [delivery_of(webhook_id, event, ctx.now) for event, webhook_id in pairs if webhook_id in states]
    there = await tx.tally(DeliveryRecord, ("id",), (OneOf("id", tuple(record.id for record in made)),))
    made = [record for record in made if (record.id,) not in there]
    busy = set(
        await tx.tally(
            DeliveryRecord,
            ("webhook_id", "lane"),
            (
                OneOf("webhook_id", tuple(states)),
                Equal("status", DeliveryStatus.PENDING),
                OneOf("lane", tuple({record.lane for record in made})),
            ),
        )
    )
    added: list[DeliveryRecord] = []
    for record in made:
        state = states[record.webhook_id]
        news: dict[str, object] = {"pending": state.pending + 1}
        lane = (record.webhook_id, record.lane)
        due_at = None
        if lane not in busy:
            busy.add(lane)
            due_at = ctx.now
            news["due_at"] = ctx.now if state.due_at is None else min(ctx.now, state.due_at)
        added.append(record.model_copy(update={"next_attempt_at": due_at}))
        states[record.webhook_id] = state.model_copy(update=news)
    await tx.insert_many(added)
    for state in states.values():
        if state.pending > MAX_PENDING:
            await disable(ctx, webhooks[state.id], DisabledReason.BEHIND)
            states[state.id] = state.model_copy(update={"due_at": None})
    await tx.update_many(list(states.values()))
