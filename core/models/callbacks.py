"""Callbacks: one request by which the store tells how the payment of an order went."""

from typing import Annotated

from pydantic import Field

from core.kernel.model import Body, Choice, Currency, Model, Money, Time, Timestamp
from core.models.orders import OrderStatus
from core.models.webhooks import MAX_URL_LENGTH


class CallbackStatus(Choice):
    """How the payment of an order went."""

    COMPLETED = "COMPLETED"
    """The order is paid."""
    FAILED = "FAILED"
    """The payment failed, or the order was cancelled."""


class OrderCallbackDraft(Body):
    """What a client sends to be called back: amount and currency are the order's."""

    amount: Money
    """What the order costs."""
    currency: Currency
    """What it is paid in."""
    timestamp: Time
    """When the client made the request, by its own clock."""
    callback_url: Annotated[str, Field(min_length=1, max_length=MAX_URL_LENGTH)]
    """Where the outcome is posted to."""


class OrderCallbackAccepted(Model):
    """A callback that will be made."""

    request_id: str
    """Names the callback: its `requestId` and `webhook-id`."""
    secret: str = Field(repr=False)
    """What the callback is signed with; shown only this once."""


class CallbackResult(Model):
    """The order after its payment."""

    order_status: OrderStatus
    """The status of the order."""
    amount: Money
    """What the order costs."""
    currency: Currency
    """The currency of the amount."""
    payment_id: str | None = None
    """The payment."""
    receipt_id: str | None = None
    """The receipt, when the order is paid."""
    failure_reason: str | None = None
    """Why the payment failed."""


class CallbackBody(Model):
    """What is posted."""

    request_id: str
    """The callback, as it was named when it was asked for."""
    order_id: str
    """The order."""
    status: CallbackStatus
    """How its payment went."""
    result: CallbackResult
    """The order after its payment."""
    timestamp: Timestamp
    """When that was."""


class OrderCallback(Model):
    """A callback as it is kept, until it was made: what happens to the order behind the sequence ``since`` of the log
    decides it."""

    id: str
    tenant_id: str
    order_id: str
    url: str
    secret: str = Field(repr=False)
    since: int
    answered: bool = False
    expires_at: Timestamp
