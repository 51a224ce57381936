"""The payment processor that moves no money: it says what the numbers of well-known test cards ask for."""

from decimal import Decimal

from pydantic import BaseModel

from core.models.payments import CardDraft
from core.ports.payments import Charge

PROCESSING_ERROR = "PROCESSING_ERROR"
_REASONS = {"4000000000000002": "CARD_DECLINED", "4000000000000119": PROCESSING_ERROR}


class SimulatedProcessor:
    """Every source succeeds but two: 4000000000000002 is declined, 4000000000000119 fails for a technical reason.

    It answers at once and by the source alone, so a reference that comes again is charged no second time. It remembers
    nothing: a charge whose answer was lost failed.
    """

    async def charge(self, reference: str, amount: Decimal, currency: str, source: BaseModel) -> Charge:  # noqa: ARG002
        """Say how the charge would have gone."""
        number = source.number.get_secret_value() if isinstance(source, CardDraft) else ""
        return Charge(_REASONS.get(number))

    async def resolve(self, reference: str) -> Charge:  # noqa: ARG002
        """No money has moved."""
        return Charge(PROCESSING_ERROR)
