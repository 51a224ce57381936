"""The payment processor that moves no money: it says what the numbers of well-known test cards ask for."""

from decimal import Decimal

from pydantic import BaseModel

from core.models.payments import CardDraft
from core.ports.payments import Charge

_REASONS = {"4000000000000002": "CARD_DECLINED", "4000000000000119": "PROCESSING_ERROR"}


class SimulatedProcessor:
    """Every source succeeds but two: 4000000000000002 is declined, 4000000000000119 fails for a technical reason.

    It answers at once and by the source alone, so a reference that comes again is charged no second time.
    """

    async def charge(self, reference: str, amount: Decimal, currency: str, source: BaseModel) -> Charge:  # noqa: ARG002
        """Say how the charge would have gone."""
        number = source.number.get_secret_value() if isinstance(source, CardDraft) else ""
        return Charge(_REASONS.get(number))
