"""What was delivered to a webhook; deliveries sent again, and events that only test it."""

from core.kernel.caller import Scope
from core.kernel.errors import Conflict, ErrorCode, NotFound
from core.kernel.events import STAFF_ONLY, Event
from core.kernel.ids import new_id
from core.kernel.model import ById, Page, encode
from core.models import examples
from core.models.webhooks import (
    WEBHOOK_TEST,
    DeliveriesOf,
    DeliveryRecord,
    DeliveryStatus,
    OneDelivery,
    WebhookDelivery,
    WebhookState,
    WebhookStatus,
    WebhookTestEvent,
)
from core.ports.records import Equal
from core.services.paging import page_of
from core.services.webhooks.access import webhook_for
from core.services.webhooks.records import delivery_of, with_due
from core.store.context import Context
from core.store.operation import AnyOperation, Operation


async def _list(ctx: Context, params: DeliveriesOf, _: None) -> Page[WebhookDelivery]:
    await webhook_for(ctx, params.id)
    page = await page_of(ctx, DeliveryRecord, (Equal("webhook_id", params.id),), params, "-id")
    return page.of(WebhookDelivery.of)


async def _enabled(ctx: Context, webhook_id: str) -> WebhookState:
    """The locked state of a webhook that is enabled."""
    webhook, state = await webhook_for(ctx, webhook_id)
    if webhook.status is not WebhookStatus.ENABLED:
        raise Conflict("The webhook is disabled.")
    return state


async def _test(ctx: Context, params: ById, _: None) -> WebhookDelivery:
    state = await _enabled(ctx, params.id)
    event = Event(
        id=new_id(),
        event_type=WEBHOOK_TEST.event_type,
        tenant=ctx.tenant,
        topic=WEBHOOK_TEST.topics[0].format(webhook_id=params.id),
        timestamp=ctx.now,
        audience=STAFF_ONLY,
        data=encode(WebhookTestEvent(webhook_id=params.id)),
    )
    record = delivery_of(params.id, event, ctx.now)
    # Its own lane, and for the webhook's maker whatever they may see.
    record = record.model_copy(
        update={"lane": f"tests/{record.id}", "audience": "*", "next_attempt_at": ctx.now}
    )
    tx = await ctx.tx()
    await tx.insert(record)
    state = state.model_copy(update={"pending": state.pending + 1})
    await tx.update(await with_due(tx, state, ctx.now, enabled=True))
    return WebhookDelivery.of(record)


async def _redeliver(ctx: Context, params: OneDelivery, _: None) -> WebhookDelivery:
    state = await _enabled(ctx, params.id)
    tx = await ctx.tx()
    record = await tx.get(DeliveryRecord, params.delivery_id, lock=True)
    if record is None or record.webhook_id != params.id:
        raise NotFound(f"There is no delivery '{params.delivery_id}'.")
    if record.status is DeliveryStatus.PENDING:
        raise Conflict("The delivery is pending: it has attempts left.")
    again = record.model_copy(
        update={
            "status": DeliveryStatus.PENDING,
            "tries": 0,
            "next_attempt_at": ctx.now,
            "updated_at": ctx.now,
            "expires_at": None,
        }
    )
    await tx.update(again)
    state = state.model_copy(update={"pending": state.pending + 1})
    await tx.update(await with_due(tx, state, ctx.now, enabled=True))
    return WebhookDelivery.of(again)


_EXAMPLE = {
    "id": "019e2d16-3b7d-7a25-8f40-6d8e0a2c4f37",
    "tenantId": examples.TENANT_ID,
    "webhookId": examples.WEBHOOK["id"],
    "eventId": "019e2d16-3b7d-7a24-b35f-1c2d3e4f5a6b",
    "eventType": "order.created",
    "topic": f"orders/{examples.ORDER_ID}/status",
    "status": "SUCCEEDED",
    "attempts": [{"at": "2026-03-02T09:30:00.150Z", "durationMs": 84, "responseStatus": 204}],
    "createdAt": "2026-03-02T09:30:00.125Z",
    "updatedAt": "2026-03-02T09:30:00.240Z",
}
_PENDING = {
    **{name: value for name, value in _EXAMPLE.items() if name != "attempts"},
    "status": "PENDING",
    "attempts": [],
    "nextAttemptAt": "2026-03-02T09:30:00.240Z",
}

LIST_DELIVERIES = Operation(
    name="listWebhookDeliveries",
    tag="Webhooks",
    summary="List the deliveries of a webhook",
    description="Newest first, with their attempts. Those that have ended are kept for three days.",
    params=DeliveriesOf,
    result=Page[WebhookDelivery],
    handler=_list,
    scope=Scope.WRITE_WEBHOOKS,
    staff=True,
    errors=frozenset({ErrorCode.NOT_FOUND}),
    result_example=examples.page(_EXAMPLE),
)
TEST_WEBHOOK = Operation(
    name="testWebhook",
    tag="Webhooks",
    summary="Send a webhook a test event",
    description=f"An event of the type `{WEBHOOK_TEST.event_type}`, signed and tried again as others are.",
    params=ById,
    result=WebhookDelivery,
    handler=_test,
    scope=Scope.WRITE_WEBHOOKS,
    staff=True,
    writes=True,
    creates=True,
    idempotent=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT}),
    result_example={
        **_PENDING,
        "eventType": WEBHOOK_TEST.event_type,
        "topic": WEBHOOK_TEST.topics[0].format(**examples.PLACES),
    },
)
REDELIVER = Operation(
    name="redeliverWebhook",
    tag="Webhooks",
    summary="Deliver an event again",
    description="A delivery that has ended is attempted again, five times at most, with the same `webhook-id` and the "
    "same body; not when whoever answers for the webhook may no longer see the event.",
    params=OneDelivery,
    result=WebhookDelivery,
    handler=_redeliver,
    scope=Scope.WRITE_WEBHOOKS,
    staff=True,
    writes=True,
    creates=True,
    idempotent=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT}),
    result_example=_PENDING,
)

OPERATIONS: tuple[AnyOperation, ...] = (LIST_DELIVERIES, TEST_WEBHOOK, REDELIVER)
