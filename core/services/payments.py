"""Payments and receipts. Whole numbers of cards and accounts live only while a payment is tried."""

from core.kernel.caller import Scope
from core.kernel.errors import Conflict, ErrorCode, NotFound, ValidationFailed, Violation, ViolationCode
from core.kernel.events import EventKind
from core.kernel.ids import new_id
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
)
from core.services.orders import STORE, audience_of, check_readable, move_order
from core.store.context import Context
from core.store.operation import AnyOperation, Operation


def mask(number: str) -> str:
    """A number with all but its last four digits hidden."""
    return "*" * (len(number) - 4) + number[-4:]


def _masked(source: CardDraft | BankAccountDraft) -> MaskedCard | MaskedBankAccount:
    if isinstance(source, CardDraft):
        address = source.billing_address
        return MaskedCard(
            name=source.name,
            number=mask(source.number.get_secret_value()),
            exp_month=source.exp_month,
            exp_year=source.exp_year,
            billing_address=Address(**address.model_dump()) if address is not None else None,
        )
    return MaskedBankAccount(
        account_holder_name=source.account_holder_name,
        account_number=mask(source.account_number.get_secret_value()),
        routing_number=mask(source.routing_number.get_secret_value()),
        account_type=source.account_type,
        bank_name=source.bank_name,
    )


def _faults(ctx: Context, order: Order, draft: PaymentDraft) -> tuple[Violation, ...]:
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


async def pay(ctx: Context, order: Order, draft: PaymentDraft, payment_id: str) -> tuple[Payment, Order]:
    """Try to pay a locked order; gives the payment in its final status, and the order as it is then.

    The processor is asked under the order's lock, so that an order is paid once and cannot be cancelled meanwhile.

    Raises:
        Conflict: the order is not PLACED.
        ValidationFailed: the amount or currency is not the order's, or the card has expired.
    """
    if order.status is not OrderStatus.PLACED:
        raise Conflict(f"An order that is {order.status} cannot be paid.")
    if violations := _faults(ctx, order, draft):
        raise ValidationFailed(violations)
    payment = Payment(
        id=payment_id,
        tenant_id=ctx.tenant,
        order_id=order.id,
        amount=draft.amount,
        currency=draft.currency,
        status=PaymentStatus.PROCESSING,
        source=_masked(draft.source),
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    _announce(ctx, PAYMENT_PROCESSING, payment, order, None)
    charge = await ctx.store.processor.charge(payment.id, draft.amount, draft.currency, draft.source)
    tx = await ctx.tx()
    if charge.failure_reason is not None:
        failure = {"status": PaymentStatus.FAILED, "failure_reason": charge.failure_reason}
        failed = payment.model_copy(update=failure)
        await tx.insert(failed)
        _announce(ctx, PAYMENT_FAILED, failed, order, None)
        return failed, order
    receipt = Receipt(
        id=new_id(),
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
    )
    succeeded = payment.model_copy(update={"status": PaymentStatus.SUCCEEDED, "receipt_id": receipt.id})
    await tx.insert(succeeded)
    await tx.insert(receipt)
    approved = order.model_copy(update={"status": OrderStatus.APPROVED, "updated_at": ctx.now})
    _announce(ctx, PAYMENT_SUCCEEDED, succeeded, approved, receipt)
    return succeeded, await move_order(ctx, order, OrderStatus.APPROVED, STORE)


def _announce(ctx: Context, kind: EventKind, payment: Payment, order: Order, receipt: Receipt | None) -> None:
    data = PaymentEvent(payment=payment, order=order, receipt=receipt)
    ctx.emit(kind, data, audience_of(order), order_id=order.id, payment_id=payment.id)


async def _name_payment(ctx: Context, params: ById, body: PaymentDraft) -> str:  # noqa: ARG001
    """Name the payment before the transaction: when that has to run again, it is the same charge."""
    return new_id()


async def _pay_order(ctx: Context, params: ById, body: PaymentDraft) -> Payment:
    order = await ctx.get(Order, params.id)
    check_readable(ctx.caller, order)
    payment, _ = await pay(ctx, order, body, str(ctx.prepared))
    return payment


async def _get_receipt(ctx: Context, params: ById, body: None) -> Receipt:  # noqa: ARG001
    receipt = await ctx.get(Receipt, params.id)
    if receipt.user_id not in (None, ctx.caller.user_id) and not ctx.caller.is_staff:
        raise NotFound(f"There is no receipt '{params.id}'.")
    return receipt


PAY_ORDER = Operation(
    name="payOrder",
    tag="Orders",
    summary="Pay an order",
    description=(
        "With a card or from a bank account. A payment that succeeds makes the order APPROVED; one that fails says why "
        "in `failureReason` and leaves it PLACED. Responses show only the last four digits of numbers, and never the "
        "card's `cvc`. The processor is simulated: 4000000000000002 is declined, 4000000000000119 fails for a "
        "technical reason."
    ),
    params=ById,
    body=PaymentDraft,
    prepare=_name_payment,
    handler=_pay_order,
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
    description="The caller's own receipt, or any receipt for STAFF. The receipt of an order without an "
    "owner may be read by anybody who knows its id.",
    params=ById,
    handler=_get_receipt,
    result=Receipt,
    scope=Scope.READ_ORDERS,
    anonymous=True,
    errors=frozenset({ErrorCode.NOT_FOUND}),
    result_example=examples.RECEIPT,
)

OPERATIONS: tuple[AnyOperation, ...] = (PAY_ORDER, GET_RECEIPT)
