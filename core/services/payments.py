"""Payments and receipts. Whole numbers of cards and accounts live only while a payment is tried."""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

from core.auth.authorization import may_read_order
from core.kernel.caller import Scope, operator
from core.kernel.errors import (
    Conflict,
    ErrorCode,
    NotFound,
    StillRunning,
    Unavailable,
    ValidationFailed,
    Violation,
    ViolationCode,
)
from core.kernel.events import EventKind
from core.kernel.ids import TenantId, new_id
from core.kernel.model import ById
from core.models import examples
from core.models.orders import Order, OrderStatus
from core.models.payments import (
    PAYMENT_FAILED,
    PAYMENT_PROCESSING,
    PAYMENT_SUCCEEDED,
    Address,
    BankAccountDraft,
    CardDraft,
    MaskedBankAccount,
    MaskedCard,
    Payment,
    PaymentDraft,
    PaymentEvent,
    PaymentStatus,
    Receipt,
    brand_of,
    mask,
)
from core.ports.payments import Charge
from core.ports.records import Between, Equal, Query
from core.services.orders import (
    STORE,
    audience_of,
    check_no_payment_runs,
    check_not_classic,
    check_readable,
    move_order,
    require_reading,
)
from core.services.paging import survey_pages
from core.store.context import Context
from core.store.operation import AnyOperation, Operation
from core.store.parts import StoreParts
from core.store.transactions import commit

log = logging.getLogger(__name__)

CHARGE_TIMEOUT_SECONDS = 10.0
#: A payment that has been PROCESSING for so long has nobody left who would settle it: the time-out of the charge, and
#: enough beside it for the second transaction and for clocks that differ.
_ABANDONED = timedelta(seconds=CHARGE_TIMEOUT_SECONDS + 20)
_PAGE_SIZE = 100


def _masked(source: CardDraft | BankAccountDraft) -> MaskedCard | MaskedBankAccount:
    if isinstance(source, CardDraft):
        address, number = source.billing_address, source.number.get_secret_value()
        return MaskedCard(
            name=source.name,
            number=mask(number),
            brand=brand_of(number),
            last4=number[-4:],
            exp_month=source.exp_month,
            exp_year=source.exp_year,
            billing_address=Address(**address.model_dump()) if address is not None else None,
        )
    return MaskedBankAccount(
        account_holder_name=source.account_holder_name,
        account_number=mask(source.account_number.get_secret_value()),
        routing_number=source.routing_number.get_secret_value(),
        account_type=source.account_type,
        bank_name=source.bank_name,
    )


def _violations(ctx: Context, order: Order, draft: PaymentDraft) -> tuple[Violation, ...]:
    violations = []
    if draft.amount != order.total_amount:
        message = f"must be the order's, {order.total_amount:.2f}"
        violations.append(Violation("amount", message, ViolationCode.OUT_OF_RANGE))
    if draft.currency is not order.currency:
        message = f"must be the order's, {order.currency}"
        violations.append(Violation("currency", message, ViolationCode.INVALID_ENUM_VALUE))
    source = draft.source
    # A card is good to the end of its month (ISO/IEC 7813).
    if isinstance(source, CardDraft) and (source.exp_year, source.exp_month) < (ctx.now.year, ctx.now.month):
        field = "source.expYear" if source.exp_year < ctx.now.year else "source.expMonth"
        violations.append(Violation(field, "the card has expired", ViolationCode.OUT_OF_RANGE))
    return tuple(violations)


async def begin_payment(ctx: Context, order: Order, draft: PaymentDraft) -> Payment:
    """Record that a locked order is being paid: until that is settled it can neither be paid again nor cancelled.

    Raises:
        Conflict: the order is not PLACED, is being paid already, is a classic client's, or too many payments of it have
            failed.
        ValidationFailed: the amount or currency is not the order's, or the card has expired.
    """
    check_not_classic(order)
    if order.status is not OrderStatus.PLACED:
        raise Conflict(f"An order that is {order.status} cannot be paid.")
    await check_no_payment_runs(ctx, order)
    tx, most = await ctx.tx(), ctx.store.limits.payments_per_order
    if await tx.count(Query(Payment, (Equal("order_id", order.id),))) >= most:
        raise Conflict(f"{most} payments of the order have failed: cancel it, and place another one.")
    if violations := _violations(ctx, order, draft):
        raise ValidationFailed(violations)
    payment = Payment(
        id=new_id(),
        tenant_id=ctx.tenant,
        order_id=order.id,
        amount=draft.amount,
        currency=draft.currency,
        status=PaymentStatus.PROCESSING,
        source=_masked(draft.source),
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    await tx.insert(payment)
    _announce(ctx, PAYMENT_PROCESSING, payment, order, None)
    return payment


async def settle_payment(ctx: Context, begun: Payment, charge: Charge) -> tuple[Payment, Order]:
    """Write down how a payment ended; one that was settled before stays as it is. Gives it and its order.

    Raises:
        NotFound: they were removed meanwhile, with all of their tenant.
    """
    order = await ctx.get(Order, begun.order_id)
    payment = await ctx.get(Payment, begun.id)
    if payment.status is not PaymentStatus.PROCESSING:
        return payment, order
    tx = await ctx.tx()
    payment = payment.model_copy(update={"updated_at": ctx.now})
    if charge.failure_reason is not None:
        failure = {"status": PaymentStatus.FAILED, "failure_reason": charge.failure_reason}
        failed = payment.model_copy(update=failure)
        await tx.update(failed)
        _announce(ctx, PAYMENT_FAILED, failed, order, None)
        return failed, order
    receipt_id = new_id()
    receipt = Receipt(
        id=receipt_id,
        tenant_id=ctx.tenant,
        number=await tx.next_number("receipts"),
        order_id=order.id,
        payment_id=payment.id,
        user_id=order.user_id,
        items=order.items,
        amount=payment.amount,
        currency=payment.currency,
        source=payment.source,
        issued_at=ctx.now,
        url=ctx.address_of(f"receipts/{receipt_id}"),
    )
    succeeded = payment.model_copy(update={"status": PaymentStatus.SUCCEEDED, "receipt_id": receipt.id})
    await tx.update(succeeded)
    await tx.insert(receipt)
    approved = order.model_copy(update={"status": OrderStatus.APPROVED, "updated_at": ctx.now})
    _announce(ctx, PAYMENT_SUCCEEDED, succeeded, approved, receipt)
    return succeeded, await move_order(ctx, order, OrderStatus.APPROVED, STORE)


def _announce(ctx: Context, kind: EventKind, payment: Payment, order: Order, receipt: Receipt | None) -> None:
    data = PaymentEvent(payment=payment, order=order, receipt=receipt)
    ctx.emit(kind, data, audience_of(order), order_id=order.id, payment_id=payment.id)


async def settle_abandoned(store: StoreParts) -> None:
    """Settle the payments whose node died, or learned nothing from the processor in time.

    Every node may do it, at any time: a payment that is still running is too young for it, and each is settled once.
    """
    stale = Between("updated_at", high=store.clock() - _ABANDONED)
    processing = Equal("status", PaymentStatus.PROCESSING)
    failed = 0
    example: tuple[str, Exception] | None = None
    async for payment in survey_pages(store.storage, Payment, stale, processing, page_size=_PAGE_SIZE):
        try:
            await _settle_abandoned(store, payment)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one payment, the others are settled
            failed += 1
            example = example or (payment.tenant_id, error)
        else:
            log.warning("a payment that was interrupted is settled", extra={"tenant": payment.tenant_id})
    if example is not None:
        # One line for all: thousands may wait for a processor that is away.
        tenant, cause = example
        log.error(
            "%d interrupted payments cannot be settled yet, one of tenant %s among them",
            failed,
            tenant,
            exc_info=cause,
        )


async def _settle_abandoned(store: StoreParts, payment: Payment) -> None:
    async with asyncio.timeout(CHARGE_TIMEOUT_SECONDS):
        charge = await store.processor.resolve(payment.id)
    with suppress(NotFound):
        await _settle(Context(store, operator(TenantId(payment.tenant_id)), writes=True), payment, charge)


async def _settle(ctx: Context, payment: Payment, charge: Charge) -> Payment:
    async def work(ctx: Context) -> Payment:
        settled, _ = await settle_payment(ctx, payment, charge)
        return settled

    return await commit(ctx, work)


async def _begin(ctx: Context, params: ById, body: PaymentDraft) -> Payment:
    order = await ctx.get(Order, params.id)
    check_readable(ctx.caller, order)
    return await begin_payment(ctx, order, body)


async def _finish(ctx: Context, params: ById, body: PaymentDraft, payment: Payment) -> Payment:  # noqa: ARG001
    """Charge outside any transaction, so that a slow processor stops nobody else, then settle."""
    if ctx.replays:
        return await _as_it_ended(ctx, payment)
    try:
        async with asyncio.timeout(CHARGE_TIMEOUT_SECONDS):
            charge = await ctx.store.processor.charge(
                payment.id, payment.amount, payment.currency, body.source
            )
    except TimeoutError:
        raise Unavailable(
            "The payment processor did not answer in time; the payment is settled soon."
        ) from None
    return await _settle(ctx, payment, charge)


async def _as_it_ended(ctx: Context, payment: Payment) -> Payment:
    """The payment of an earlier request with the same key, which may have been interrupted before it was settled."""
    if payment.status is not PaymentStatus.PROCESSING:
        return payment
    async with ctx.store.storage.read(ctx.tenant) as tx:
        found = await tx.get(Payment, payment.id)
    if found is None or found.status is PaymentStatus.PROCESSING:
        raise StillRunning
    return found


async def _get_receipt(ctx: Context, params: ById, body: None) -> Receipt:  # noqa: ARG001
    require_reading(ctx.caller)
    receipt = await ctx.get(Receipt, params.id)
    if not may_read_order(ctx.caller, receipt.order_id, receipt.user_id):
        raise NotFound(f"There is no receipt '{params.id}'.")
    return receipt


PAY_ORDER = Operation(
    name="payOrder",
    tag="Orders",
    summary="Pay an order",
    description=(
        "With a card or from a bank account. A payment that succeeds makes the order APPROVED; one that fails says why "
        "in `failureReason` and leaves it PLACED. Of the number of a card or an account responses show only the last "
        "four digits, and never the card's `cvc`. The processor is simulated: 4000000000000002 is declined, "
        "4000000000000119 fails for a technical reason."
    ),
    params=ById,
    body=PaymentDraft,
    handler=_begin,
    finish=_finish,
    result=Payment,
    scope=Scope.WRITE_ORDERS,
    anonymous=True,
    writes=True,
    creates=True,
    idempotent=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT}),
    body_example=examples.PAYMENT_DRAFT,
    result_example=examples.PAYMENT,
)

GET_RECEIPT = Operation(
    name="getReceipt",
    tag="Orders",
    summary="Get a receipt",
    description=(
        "Whoever may read an order may read its receipt: its owner, STAFF, a device that was provisioned with it, and "
        "of an order without an owner anybody who knows the receipt's id. Users and API keys need the scope "
        "read:orders."
    ),
    params=ById,
    handler=_get_receipt,
    result=Receipt,
    anonymous=True,
    errors=frozenset({ErrorCode.NOT_FOUND}),
    result_example=examples.RECEIPT,
)

OPERATIONS: tuple[AnyOperation, ...] = (PAY_ORDER, GET_RECEIPT)
