"""The payment processor."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Charge:
    """What a payment processor said: no failure reason means that the money moved."""

    failure_reason: str | None = None


class PaymentProcessor(Protocol):
    """Moves money. It is a server elsewhere, which may be slow: it is never asked within a transaction."""

    async def charge(self, reference: str, amount: Decimal, currency: str, source: BaseModel) -> Charge:
        """Try to take the amount from the source; the same ``reference`` is one charge, however often it is sent."""

    async def resolve(self, reference: str) -> Charge:
        """How a charge ended whose answer was lost. One that was never made failed, and can be made no more."""
