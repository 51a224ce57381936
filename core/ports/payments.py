"""The payment processor."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Charge:
    """The result of a charge: without a failure reason the money moved."""

    failure_reason: str | None = None


class PaymentProcessor(Protocol):
    """Moves money. It is a server elsewhere, which may be slow: it is never asked within a transaction."""

    async def charge(self, reference: str, amount: Decimal, currency: str, source: BaseModel) -> Charge:
        """Try to take the amount from the source; the same ``reference`` is one charge, however often it is sent."""

    async def resolve(self, reference: str) -> Charge:
        """The result of a charge whose response was lost. One that never arrived has failed, and is refused later."""
