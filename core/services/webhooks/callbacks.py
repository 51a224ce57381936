"""Callbacks of orders: asked for by whoever pays, and made once, when the payment has succeeded or failed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from core.kernel.caller import Scope, operator
from core.kernel.errors import Conflict, ErrorCode, ValidationFailed, Violation, ViolationCode
from core.kernel.events import Event
from core.kernel.ids import TenantId, new_id
from core.kernel.model import ById, encode
from core.models import examples
from core.models.callbacks import (
    CallbackBody,
    CallbackResult,
    CallbackStatus,
    OrderCallback,
    OrderCallbackAccepted,
    OrderCallbackDraft,
)
from core.models.orders import ORDER_STATUS_CHANGED, Order, OrderEvent, OrderStatus
from core.models.payments import PAYMENT_FAILED, PAYMENT_SUCCEEDED, Payment, PaymentEvent, PaymentStatus
from core.models.webhooks import DeliveryRecord, WebhookMaker, WebhookState
from core.ports.records import Equal, OneOf, Query
from core.ports.webhooks import TargetRefused
from core.services.orders import check_not_classic, check_readable
from core.services.webhooks.records import NAME
from core.services.webhooks.signing import new_secret
from core.store.context import Context
from core.store.operation import AnyOperation, Operation
from core.store.parts import StoreParts
from core.store.transactions import commit

#: Callbacks of one order that wait for its payment.
_MAX_OPEN = 5
#: How long one waits, and how long one that is being made is kept.
_WAITS, _KEPT = timedelta(days=30), timedelta(days=7)
_PAYMENTS = {PAYMENT_SUCCEEDED.event_type, PAYMENT_FAILED.event_type}


async def _prepare(ctx: Context, _: ById, body: OrderCallbackDraft) -> str:
    try:
        return await ctx.store.webhooks.admit(body.callback_url)
    except TargetRefused as error:
        raise ValidationFailed(
            (Violation("callbackUrl", str(error), ViolationCode.INVALID_FORMAT),)
        ) from None


async def _request(ctx: Context, params: ById, body: OrderCallbackDraft) -> OrderCallbackAccepted:
    order = await ctx.get(Order, params.id)
    check_readable(ctx.caller, order)
    check_not_classic(order)
    tx = await ctx.tx()
    violations = [
        Violation(field, f"must be the order's, {kept}", ViolationCode.OUT_OF_RANGE)
        for field, given, kept in (
            ("amount", body.amount, order.total_amount),
            ("currency", body.currency, order.currency),
        )
        if given != kept
    ]
    if violations:
        raise ValidationFailed(tuple(violations))
    waiting = (Equal("order_id", order.id), Equal("answered", False))
    if await tx.count(Query(OrderCallback, waiting)) >= _MAX_OPEN:
        raise Conflict(f"{_MAX_OPEN} callbacks wait for this order already.")
    callback = OrderCallback(
        id=new_id(),
        tenant_id=ctx.tenant,
        order_id=order.id,
        url=str(ctx.prepared),
        secret=new_secret(),
        since=await tx.follow(NAME),
        expires_at=ctx.now + _WAITS,
    )
    await tx.insert(callback)
    if order.status is not OrderStatus.PLACED:
        paid = (
            Equal("order_id", order.id),
            OneOf("status", (PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED)),
        )
        payments = await tx.find(Query(Payment, paid, limit=1))
        await _answer(ctx, callback, _result(order, payments[0] if payments else None), order.updated_at)
    return OrderCallbackAccepted(request_id=callback.id, secret=callback.secret)


def _result(order: Order, payment: Payment | None) -> CallbackResult:
    return CallbackResult(
        order_status=order.status,
        amount=order.total_amount,
        currency=order.currency,
        payment_id=None if payment is None else payment.id,
        receipt_id=None if payment is None else payment.receipt_id,
        failure_reason=None if payment is None else payment.failure_reason,
    )


async def _answer(ctx: Context, callback: OrderCallback, result: CallbackResult, at: datetime) -> None:
    """Make the delivery of a callback whose order is decided."""
    unpaid = result.order_status in (OrderStatus.PLACED, OrderStatus.CANCELLED)
    body = CallbackBody(
        request_id=callback.id,
        order_id=callback.order_id,
        status=CallbackStatus.FAILED if unpaid else CallbackStatus.COMPLETED,
        result=result,
        timestamp=at,
    )
    tx = await ctx.tx()
    await tx.insert(
        DeliveryRecord(
            id=new_id(),
            tenant_id=ctx.tenant,
            webhook_id=callback.id,
            event_id=callback.id,
            event_type="order.callback",
            topic=f"orders/{callback.order_id}/callback",
            audience="*",
            lane="callback",
            sequence=0,
            body=encode(body).decode(),
            next_attempt_at=ctx.now,
            created_at=ctx.now,
            updated_at=ctx.now,
        )
    )
    await tx.insert(
        WebhookState(
            id=callback.id,
            tenant_id=ctx.tenant,
            maker=WebhookMaker(key="callback", scopes=()),
            reach="callback",
            secret=callback.secret,
            since=callback.since,
            pending=1,
            due_at=ctx.now,
        )
    )
    await tx.update(callback.model_copy(update={"answered": True, "expires_at": ctx.now + _KEPT}))


async def answer_callbacks(store: StoreParts, tenant: TenantId, events: Sequence[Event]) -> int:
    """Make the deliveries of the callbacks that wait for what these events tell; says how many there may be."""
    outcomes = {event.topic.split("/")[1]: event for event in reversed(events) if _decides(event)}
    if not outcomes:
        return 0
    async with store.storage.read(tenant) as tx:
        waiting = (OneOf("order_id", tuple(outcomes)), Equal("answered", False))
        found = await tx.find(Query(OrderCallback, waiting))
    ctx = Context(store, operator(tenant), writes=True)
    for callback in found:
        # The first that comes after it was asked for.
        later = (
            event
            for event in events
            if _decides(event)
            and event.topic.split("/")[1] == callback.order_id
            and event.sequence > callback.since
        )
        if (event := next(later, None)) is not None:
            await commit(ctx, partial(_answer_one, callback_id=callback.id, event=event))
    return len(found)


async def _answer_one(ctx: Context, callback_id: str, event: Event) -> None:
    callback = await (await ctx.tx()).get(OrderCallback, callback_id, lock=True)
    if callback is None or callback.answered:
        return
    if event.event_type in _PAYMENTS:
        told = PaymentEvent.model_validate(event.payload)
        result = _result(told.order, told.payment)
    else:
        result = _result(OrderEvent.model_validate(event.payload).order, None)
    await _answer(ctx, callback, result, event.timestamp)


def _decides(event: Event) -> bool:
    """Whether an event decides a callback: a payment that ended, or an order that was cancelled."""
    if event.event_type in _PAYMENTS:
        return True
    if event.event_type != ORDER_STATUS_CHANGED.event_type:
        return False
    return bool(event.payload["newStatus"] == OrderStatus.CANCELLED.value)


REQUEST_ORDER_CALLBACK = Operation(
    name="requestOrderCallback",
    tag="Orders",
    summary="Be called back about the payment of an order",
    description="Once the payment has succeeded or failed, or the order is cancelled, `callbackUrl` gets one POST that "
    "says so, signed with the secret of this answer, attempted as a webhook's deliveries are. About an order that is "
    "paid or cancelled already it comes at once. Private, loopback and link-local addresses are refused.",
    params=ById,
    body=OrderCallbackDraft,
    result=OrderCallbackAccepted,
    prepare=_prepare,
    handler=_request,
    scope=Scope.WRITE_ORDERS,
    anonymous=True,
    writes=True,
    creates=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT}),
    body_example={
        "amount": examples.PAYMENT_DRAFT["amount"],
        "currency": examples.PAYMENT_DRAFT["currency"],
        "timestamp": "2026-03-02T09:30:00Z",
        "callbackUrl": "https://example.com/callbacks/orders",
    },
    result_example={"requestId": "019e2d16-5a2f-7b3c-9d4e-8f0a1b2c3d4e", "secret": "whsec_…"},
)

OPERATIONS: tuple[AnyOperation, ...] = (REQUEST_ORDER_CALLBACK,)
