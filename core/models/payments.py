"""Payments and receipts: what is kept and shown, what clients send, and the events that payments cause."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema, field_validator, model_validator
from pydantic_core import PydanticCustomError

from core.kernel.contacts import Country
from core.kernel.describing import Described
from core.kernel.events import EventKind
from core.kernel.model import (
    Body,
    Choice,
    Currency,
    FilledLine,
    Int,
    Line,
    Model,
    Money,
    Part,
    Resource,
    Timestamp,
)
from core.models.orders import Order, OrderItem


class PaymentStatus(Choice):
    """The state of a payment."""

    PROCESSING = "PROCESSING"
    """It is being processed."""
    SUCCEEDED = "SUCCEEDED"
    """The money was taken."""
    FAILED = "FAILED"
    """No money was taken."""
    REFUNDED = "REFUNDED"
    """The money was returned."""


class AccountType(Choice):
    """What kind of account a bank account is."""

    CHECKING = "CHECKING"
    """A checking account."""
    SAVINGS = "SAVINGS"
    """A savings account."""


class CardBrand(Choice):
    """The network that a card belongs to."""

    VISA = "VISA"
    """Visa."""
    MASTERCARD = "MASTERCARD"
    """Mastercard."""
    AMEX = "AMEX"
    """American Express."""
    DISCOVER = "DISCOVER"
    """Discover."""
    DINERS = "DINERS"
    """Diners Club."""
    JCB = "JCB"
    """JCB."""
    UNIONPAY = "UNIONPAY"
    """UnionPay."""


#: Beginnings of card numbers (issuer identification numbers, ISO/IEC 7812-1) by brand: from, to, both included.
_BRANDS: tuple[tuple[str, str, CardBrand], ...] = (
    ("2221", "2720", CardBrand.MASTERCARD),
    ("300", "305", CardBrand.DINERS),
    ("3095", "3095", CardBrand.DINERS),
    ("34", "34", CardBrand.AMEX),
    ("3528", "3589", CardBrand.JCB),
    ("36", "36", CardBrand.DINERS),
    ("37", "37", CardBrand.AMEX),
    ("38", "39", CardBrand.DINERS),
    ("4", "4", CardBrand.VISA),
    ("51", "55", CardBrand.MASTERCARD),
    ("6011", "6011", CardBrand.DISCOVER),
    ("62", "62", CardBrand.UNIONPAY),
    ("644", "649", CardBrand.DISCOVER),
    ("65", "65", CardBrand.DISCOVER),
    ("81", "81", CardBrand.UNIONPAY),
)


def brand_of(number: str) -> CardBrand | None:
    """The brand of a card by its number; None when its issuer belongs to none of them."""
    return next((brand for low, high, brand in _BRANDS if low <= number[: len(low)] <= high), None)


def mask(number: str) -> str:
    """A number with all but its last four digits hidden; one that has no more than four is hidden whole."""
    shown = number[-4:] if len(number) > 4 else ""
    return "*" * (len(number) - len(shown)) + shown


class Address(Model):
    """A postal address."""

    line1: str | None = None
    """Street and number."""
    line2: str | None = None
    """Flat, floor or building."""
    city: str | None = None
    """City or town."""
    state: str | None = None
    """The state, province or region."""
    postal_code: str | None = None
    """The postal code."""
    country: str | None = None
    """The country (ISO 3166-1 alpha-2)."""

    @model_validator(mode="before")
    @classmethod
    def _as_kept_before(cls, data: Any) -> Any:
        return AddressDraft.with_present_names(data) if isinstance(data, dict) else data


class MaskedCard(Model):
    """A card that was charged: of its number only the last four digits are kept."""

    object: Literal["card"] = "card"
    """What kind of source it is."""
    name: str
    """The name on the card."""
    number: str
    """The number, of which only the last four digits are shown."""
    brand: CardBrand | None = None
    """The network that it belongs to, where that is known."""
    last4: str | None = None
    """The last four digits of the number."""
    exp_month: int
    """The month in which it expires, from 1 to 12."""
    exp_year: int
    """The year in which it expires."""
    billing_address: Address | None = None
    """Where bills are sent to."""


class MaskedBankAccount(Model):
    """A bank account that was charged: of its number only the last four digits are kept."""

    object: Literal["bank_account"] = "bank_account"
    """What kind of source it is."""
    account_holder_name: str
    """Whose account it is."""
    account_number: str
    """The number, of which only the last four digits are shown."""
    routing_number: str
    """The routing number of the bank."""
    account_type: AccountType
    """What kind of account it is."""
    bank_name: str | None = None
    """The name of the bank."""


MaskedSource = Annotated[MaskedCard | MaskedBankAccount, Field(discriminator="object")]


class Payment(Resource):
    """An attempt to pay for an order."""

    order_id: str
    """The order that is paid."""
    amount: Money
    """How much."""
    currency: Currency
    """The currency of the amount."""
    status: PaymentStatus
    """How it went."""
    failure_reason: str | None = None
    """Why it failed."""
    source: MaskedSource
    """What is charged."""
    receipt_id: str | None = None
    """The receipt, once it has succeeded."""
    created_at: Timestamp
    """When it was made."""
    updated_at: Timestamp
    """When it last changed."""


class Receipt(Resource):
    """The receipt of a paid order."""

    number: int
    """Counts the receipts of a tenant from 1."""
    order_id: str
    """The order that was paid."""
    payment_id: str
    """The payment."""
    user_id: str | None = None
    """The user who placed the order; a visitor's has none."""
    items: tuple[OrderItem, ...]
    """What was paid for."""
    amount: Money
    """How much was paid."""
    currency: Currency
    """The currency of its amounts."""
    source: MaskedSource
    """What was charged."""
    issued_at: Timestamp
    """When it was issued."""
    refunded_at: Timestamp | None = None
    """When the money was returned."""
    url: str | None = None
    """Where it can be read; receipts of older versions of the store do not say so."""


def _digits(low: int, high: int) -> AfterValidator:
    size = str(low) if low == high else f"{low} to {high}"

    def check(secret: SecretStr) -> SecretStr:
        if not re.fullmatch(f"[0-9]{{{low},{high}}}", secret.get_secret_value()):
            raise PydanticCustomError("INVALID_FORMAT", f"must have {size} digits")
        return secret

    return AfterValidator(check)


def _check_digit(secret: SecretStr) -> SecretStr:
    """Luhn's algorithm (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(map(int, reversed(secret.get_secret_value()))):
        total += digit if place % 2 == 0 else sum(divmod(2 * digit, 10))
    if total % 10:
        raise PydanticCustomError("INVALID_FORMAT", "is not a card number: its check digit is wrong")
    return secret


def _number_schema(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example], "writeOnly": True})


CardNumber = Annotated[
    SecretStr,
    _digits(13, 19),
    AfterValidator(_check_digit),
    _number_schema("^[0-9]{13,19}$", "4242424242424242"),
]
Cvc = Annotated[SecretStr, _digits(3, 4), _number_schema("^[0-9]{3,4}$", "123")]
AccountNumber = Annotated[SecretStr, _digits(4, 17), _number_schema("^[0-9]{4,17}$", "000123456789")]
RoutingNumber = Annotated[SecretStr, _digits(9, 9), _number_schema("^[0-9]{9}$", "110000000")]
Name = Annotated[FilledLine, Field(max_length=100)]


class AddressDraft(Part):
    """A postal address as a client writes it."""

    LIKE: ClassVar[type[Described] | None] = Address
    OLDER_NAMES: ClassVar[Mapping[str, str]] = {"street": "line1"}

    line1: Annotated[FilledLine, Field(max_length=200)]
    line2: Annotated[Line, Field(max_length=200)] | None = None
    city: Annotated[Line, Field(max_length=100)] | None = None
    state: Annotated[Line, Field(max_length=100)] | None = None
    postal_code: Annotated[Line, Field(max_length=20)] | None = None
    country: Country | None = None


class _SourceDraft(Body):
    """A source; what the store adds to it may be sent back."""

    READ_ONLY: ClassVar[frozenset[str]] = Body.READ_ONLY | {"brand", "last4"}


class CardDraft(_SourceDraft):
    """A card to charge."""

    LIKE: ClassVar[type[Described] | None] = MaskedCard

    object: Literal["card"]
    name: Name
    number: CardNumber
    """The whole number; it is never stored, shown or logged."""
    cvc: Cvc
    """The security code; it is never stored, shown or logged."""
    exp_month: Int = Field(ge=1, le=12)
    exp_year: Int = Field(ge=2000, le=2100)
    billing_address: AddressDraft | None = None


class BankAccountDraft(_SourceDraft):
    """A bank account to charge."""

    LIKE: ClassVar[type[Described] | None] = MaskedBankAccount

    object: Literal["bank_account"]
    account_holder_name: Name
    account_number: AccountNumber
    """The whole number; it is never stored, shown or logged."""
    routing_number: RoutingNumber
    account_type: AccountType
    bank_name: Annotated[Line, Field(max_length=100)] | None = None


SourceDraft = Annotated[CardDraft | BankAccountDraft, Field(discriminator="object")]


class PaymentDraft(Body):
    """How a client pays: amount and currency must be the order's."""

    amount: Money
    """The order's total amount."""
    currency: Currency
    """The order's currency."""
    source: SourceDraft
    """What to charge."""

    @field_validator("source", mode="before")
    @classmethod
    def _any_case(cls, source: Any) -> Any:
        if isinstance(source, dict) and isinstance(source.get("object"), str):
            return {**source, "object": source["object"].lower()}
        return source


class PaymentEvent(Model):
    """A payment with its order and receipt."""

    payment: Payment
    """The payment."""
    order: Order
    """The order."""
    receipt: Receipt | None = None
    """The receipt, once the payment has succeeded."""


_TOPICS = ("orders/{order_id}/payment", "payments/{payment_id}/status")

PAYMENT_PROCESSING = EventKind("payment.processing", _TOPICS, PaymentEvent, "The payment is being processed.")
PAYMENT_SUCCEEDED = EventKind("payment.succeeded", _TOPICS, PaymentEvent, "The payment succeeded.")
PAYMENT_FAILED = EventKind("payment.failed", _TOPICS, PaymentEvent, "The payment failed.")
PAYMENT_REFUNDED = EventKind("payment.refunded", _TOPICS, PaymentEvent, "The payment was refunded.")

EVENTS = (PAYMENT_PROCESSING, PAYMENT_SUCCEEDED, PAYMENT_FAILED, PAYMENT_REFUNDED)
