"""Payments and receipts: what is kept and shown, what clients send, and the events that payments cause."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema, field_validator, model_validator
from pydantic_core import PydanticCustomError

from core.kernel.events import EventKind
from core.kernel.model import (
    Body,
    Choice,
    Country,
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
    """The state of a payment. FAILED: no money was taken. REFUNDED: it was returned."""

    PROCESSING = "PROCESSING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    REFUNDED = "REFUNDED"


class AccountType(Choice):
    """What kind of account a bank account is."""

    CHECKING = "CHECKING"
    SAVINGS = "SAVINGS"


class CardBrand(Choice):
    """The network that a card belongs to."""

    VISA = "VISA"
    MASTERCARD = "MASTERCARD"
    AMEX = "AMEX"
    DISCOVER = "DISCOVER"
    DINERS = "DINERS"
    JCB = "JCB"
    UNIONPAY = "UNIONPAY"


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
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_kept_before(cls, data: Any) -> Any:
        return AddressDraft.with_present_names(data) if isinstance(data, dict) else data


class MaskedCard(Model):
    """A card that was charged: of its number only the last four digits are kept, here ``last4``."""

    object: Literal["card"] = "card"
    name: str
    number: str
    brand: CardBrand | None = None
    last4: str | None = None
    exp_month: int
    exp_year: int
    billing_address: Address | None = None


class MaskedBankAccount(Model):
    """A bank account that was charged: of its number only the last four digits are kept."""

    object: Literal["bank_account"] = "bank_account"
    account_holder_name: str
    account_number: str
    routing_number: str
    account_type: AccountType
    bank_name: str | None = None


MaskedSource = Annotated[MaskedCard | MaskedBankAccount, Field(discriminator="object")]


class Payment(Resource):
    """An attempt to pay for an order. ``receipt_id`` and ``failure_reason`` say how it ended."""

    order_id: str
    amount: Money
    currency: Currency
    status: PaymentStatus
    failure_reason: str | None = None
    source: MaskedSource
    receipt_id: str | None = None
    created_at: Timestamp
    updated_at: Timestamp


class Receipt(Resource):
    """The receipt of a paid order. ``number`` counts a tenant's receipts from 1; no ``user_id``: a visitor's order."""

    number: int
    order_id: str
    payment_id: str
    user_id: str | None = None
    items: tuple[OrderItem, ...]
    amount: Money
    currency: Currency
    source: MaskedSource
    issued_at: Timestamp


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
    """A postal address as a client writes it. ``line1`` may be called ``street``, its older name."""

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
    """A card to charge. The whole number and ``cvc`` are never stored, shown or logged."""

    object: Literal["card"]
    name: Name
    number: CardNumber
    cvc: Cvc
    exp_month: Int = Field(ge=1, le=12)
    exp_year: Int = Field(ge=2000, le=2100)
    billing_address: AddressDraft | None = None


class BankAccountDraft(_SourceDraft):
    """A bank account to charge. Its whole number is never stored, shown or logged."""

    object: Literal["bank_account"]
    account_holder_name: Name
    account_number: AccountNumber
    routing_number: RoutingNumber
    account_type: AccountType
    bank_name: Annotated[Line, Field(max_length=100)] | None = None


SourceDraft = Annotated[CardDraft | BankAccountDraft, Field(discriminator="object")]


class PaymentDraft(Body):
    """How a client pays: amount and currency must be the order's."""

    amount: Money
    currency: Currency
    source: SourceDraft

    @field_validator("source", mode="before")
    @classmethod
    def _any_case(cls, source: Any) -> Any:
        if isinstance(source, dict) and isinstance(source.get("object"), str):
            return {**source, "object": source["object"].lower()}
        return source


class PaymentEvent(Model):
    """A payment with its order and receipt; there is a ``receipt`` once the payment has succeeded."""

    payment: Payment
    order: Order
    receipt: Receipt | None = None


_TOPICS = ("orders/{order_id}/payment", "payments/{payment_id}/status")

PAYMENT_PROCESSING = EventKind("payment.processing", _TOPICS, PaymentEvent, "The payment is being processed.")
PAYMENT_SUCCEEDED = EventKind("payment.succeeded", _TOPICS, PaymentEvent, "The payment succeeded.")
PAYMENT_FAILED = EventKind("payment.failed", _TOPICS, PaymentEvent, "The payment failed.")
PAYMENT_REFUNDED = EventKind("payment.refunded", _TOPICS, PaymentEvent, "The payment was refunded.")

EVENTS = (PAYMENT_PROCESSING, PAYMENT_SUCCEEDED, PAYMENT_FAILED, PAYMENT_REFUNDED)
