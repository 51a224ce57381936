"""What is kept of webhooks, and how deliveries move on. Who changes a webhook's deliveries holds the lock of its state.

Locks are taken in this order: the webhook, its state, its deliveries.
"""

import hashlib
import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core.auth.makers import viewer_of_maker
from core.kernel.events import STAFF_ONLY, Audience, Event, aggregate_of
from core.kernel.ids import TenantId, new_id
from core.models.callbacks import OrderCallback
from core.models.webhooks import (
    WEBHOOK_DISABLED,
    DeliveryAttempt,
    DeliveryRecord,
    DeliveryStatus,
    DisabledReason,
    Webhook,
    WebhookDisabledEvent,
    WebhookRevision,
    WebhookState,
    WebhookStatus,
)
from core.ports.records import Between, Equal, OneOf, Query, Transaction
from core.ports.webhooks import Answer
from core.store.context import Context

#: The name of the consumer and the lease: stored state is found by it.
NAME = "webhooks"
#: The pauses before the second attempt and those after it.
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 60))
#: By so much a pause is longer at most, at random.
_JITTER = 0.1
#: How long it may fail without a success in between.
_FAILING_LIMIT = timedelta(days=3)
#: Deliveries that have not ended, of one webhook.
MAX_PENDING = 100_000
#: How long a delivery is shown, and can be sent again, after it has ended.
_HISTORY = timedelta(days=3)
#: Attempts shown of one delivery.
_MAX_ATTEMPTS = 10
_GONE = 410
#: Later than any attempt.
_FAR = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt that was made of a delivery: as it was before, and what came of it."""

    delivery: DeliveryRecord
    attempt: DeliveryAttempt
    answer: Answer


async def revise(tx: Transaction, tenant: TenantId) -> None:
    """Say that the tenant's webhooks are other ones now, or will be at the end of the transaction."""
    revision = WebhookRevision(id=tenant, tenant_id=tenant, revision=new_id())
    if await tx.get(WebhookRevision, tenant, lock=True) is None:
        await tx.insert(revision)
    else:
        await tx.update(revision)


def delivery_id(webhook_id: str, event_id: str) -> str:
    """The same for the same event and webhook, so that none is made twice: a UUID of version 7, of the event's time."""
    digits = hashlib.sha256(f"{webhook_id} {event_id}".encode()).hexdigest()
    text = f"{event_id[:13].replace('-', '')}7{digits[:3]}{'89ab'[int(digits[3], 16) % 4]}{digits[4:19]}"
    return str(uuid.UUID(text))


def delivery_of(webhook_id: str, event: Event, now: datetime) -> DeliveryRecord:
    """A delivery of an event, which is not due yet."""
    return DeliveryRecord(
        id=delivery_id(webhook_id, event.id),
        tenant_id=event.tenant,
        webhook_id=webhook_id,
        event_id=event.id,
        event_type=event.event_type,
        topic=event.topic,
        aliases=event.aliases,
        audience=event.audience.encode(),
        lane="/".join(next(iter(aggregate_of(event.topics)))),
        sequence=event.sequence,
        body=event.envelope.decode(),
        created_at=now,
        updated_at=now,
    )


def event_of(record: DeliveryRecord) -> Event:
    """The delivery's event without its data, to find out who may see it."""
    return Event(
        id=record.event_id,
        event_type=record.event_type,
        tenant=TenantId(record.tenant_id),
        topic=record.topic,
        timestamp=record.created_at,
        audience=Audience.decode(record.audience),
        data=b"null",
        aliases=record.aliases,
    )


async def settle(ctx: Context, webhook_id: str, tried: list[Tried], forbidden: list[DeliveryRecord]) -> None:
    """Write down what came of some attempts, and which deliveries its maker may no longer see.

    What somebody else has changed meanwhile stays as it is.
    """
    tx = await ctx.tx()
    webhook = await tx.get(Webhook, webhook_id, lock=True)
    state = await tx.get(WebhookState, webhook_id, lock=True)
    callback = None if webhook is not None else await tx.get(OrderCallback, webhook_id, lock=True)
    if state is None or (webhook is None and callback is None):
        return
    ids = tuple(one.delivery.id for one in tried) + tuple(refused.id for refused in forbidden)
    pending = (OneOf("id", ids), Equal("status", DeliveryStatus.PENDING))
    records = {record.id: record for record in await tx.find(Query(DeliveryRecord, pending), lock=True)}
    changed: list[DeliveryRecord] = []
    reason: DisabledReason | None = None
    for one in tried:
        record = records.get(one.delivery.id)
        if record is None or record.tries != one.delivery.tries:
            continue
        changed.append(_after(record, one, ctx.now))
        reason = _given_up(state, one.answer, ctx.now) or reason
        if one.answer.is_success or state.failing_since is None:
            failing_since = None if one.answer.is_success else one.attempt.at
            state = state.model_copy(update={"failing_since": failing_since})
    for refused in forbidden:
        if (record := records.get(refused.id)) is not None:
            attempt = DeliveryAttempt(
                at=ctx.now, duration_ms=0, error="whoever made the webhook may not see this"
            )
            changed.append(_ended(record, DeliveryStatus.FAILED, attempt, ctx.now))
    await tx.update_many(changed)
    ended = [record for record in changed if record.status is not DeliveryStatus.PENDING]
    state = await _go_on(tx, state, ended, ctx.now)
    if webhook is None and not state.pending:
        # A callback is made once; its secret is kept no longer.
        await tx.delete(WebhookState, state.id)
        await tx.delete(OrderCallback, state.id)
        return
    if webhook is not None and reason is not None and webhook.status is WebhookStatus.ENABLED:
        await disable(ctx, webhook, reason)
        state = state.model_copy(update={"due_at": None})
    else:
        enabled = webhook is None or webhook.status is WebhookStatus.ENABLED
        state = await with_due(tx, state, ctx.now, enabled=enabled)
    await tx.update(state)


def _given_up(state: WebhookState, answer: Answer, now: datetime) -> DisabledReason | None:
    """Why an endpoint gets nothing any more after an answer; None when it does."""
    if answer.status == _GONE:
        return DisabledReason.GONE
    since = state.failing_since
    failing = not answer.is_success and since is not None and now - since >= _FAILING_LIMIT
    return DisabledReason.FAILING if failing else None


async def disable(ctx: Context, webhook: Webhook, reason: DisabledReason) -> None:
    """Switch a locked webhook off, and tell."""
    tx = await ctx.tx()
    disabled = webhook.model_copy(update={"status": WebhookStatus.DISABLED, "updated_at": ctx.now})
    await tx.update(disabled)
    await revise(tx, ctx.tenant)
    event = WebhookDisabledEvent(webhook=disabled, reason=reason)
    ctx.emit(WEBHOOK_DISABLED, event, STAFF_ONLY, webhook_id=webhook.id)


async def disable_unauthorized(ctx: Context, webhook_id: str) -> None:
    """Switch a webhook off if whoever answers for it may have none any more."""
    tx = await ctx.tx()
    webhook = await tx.get(Webhook, webhook_id, lock=True)
    state = await tx.get(WebhookState, webhook_id, lock=True)
    if webhook is None or state is None or webhook.status is not WebhookStatus.ENABLED:
        return
    if await viewer_of_maker(tx, ctx.tenant, state.maker, ctx.now) is None:
        await disable(ctx, webhook, DisabledReason.UNAUTHORIZED)
        await tx.update(state.model_copy(update={"due_at": None}))


async def with_due(tx: Transaction, state: WebhookState, now: datetime, *, enabled: bool) -> WebhookState:
    """The state with the time of the next attempt of all its deliveries; none where it is disabled.

    What is due already is due now: it comes behind all that is due at other webhooks, so that they take turns.
    """
    due_at = None
    if enabled:
        pending = (
            Equal("webhook_id", state.id),
            Equal("status", DeliveryStatus.PENDING),
            Between("next_attempt_at", high=_FAR),
        )
        first = await tx.find(Query(DeliveryRecord, pending, "next_attempt_at", limit=1))
        due_at = max(first[0].next_attempt_at or now, now) if first else None
    return state.model_copy(update={"due_at": due_at})


def _after(record: DeliveryRecord, tried: Tried, now: datetime) -> DeliveryRecord:
    if tried.answer.is_success:
        return _ended(record, DeliveryStatus.SUCCEEDED, tried.attempt, now)
    if record.tries >= len(PAUSES):
        return _ended(record, DeliveryStatus.FAILED, tried.attempt, now)
    pause = PAUSES[record.tries] * random.uniform(1, 1 + _JITTER)  # noqa: S311 - jitter, not a secret
    return record.model_copy(
        update={
            "tries": record.tries + 1,
            "attempts": (*record.attempts, tried.attempt)[-_MAX_ATTEMPTS:],
            "next_attempt_at": now + pause,
            "updated_at": now,
        }
    )


def _ended(
    record: DeliveryRecord, status: DeliveryStatus, attempt: DeliveryAttempt, now: datetime
) -> DeliveryRecord:
    return record.model_copy(
        update={
            "status": status,
            "tries": record.tries + 1,
            "attempts": (*record.attempts, attempt)[-_MAX_ATTEMPTS:],
            "next_attempt_at": None,
            "updated_at": now,
            "expires_at": now + _HISTORY,
        }
    )


async def _go_on(
    tx: Transaction, state: WebhookState, ended: list[DeliveryRecord], now: datetime
) -> WebhookState:
    """Deliveries have ended: what waited for them is due."""
    pending = (Equal("webhook_id", state.id), Equal("status", DeliveryStatus.PENDING))
    lanes = OneOf("lane", tuple({record.lane for record in ended}))
    # Most often nothing waits in any of them.
    for (lane,) in await tx.tally(DeliveryRecord, ("lane",), (*pending, lanes)) if ended else ():
        waiting = (*pending, Equal("lane", lane))
        [following] = await tx.find(Query(DeliveryRecord, waiting, "sequence", limit=1))
        if following.next_attempt_at is None:
            await tx.update(following.model_copy(update={"next_attempt_at": now}))
    return state.model_copy(update={"pending": max(0, state.pending - len(ended))})
