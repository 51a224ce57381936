"""Remembered answers, so that a repeated request has no second effect."""

from datetime import datetime

from core.kernel.model import Model


class IdempotencyRecord(Model):
    """The answer to a request that carried an idempotency key; ``id`` is a hash of the caller and his key.

    ``fingerprint`` is a keyed hash of operation and input. ``response`` is the result as JSON, or None while the
    first request runs; a running one that is older than ``expires_at`` was cut off and may be taken over.
    """

    id: str
    tenant_id: str
    fingerprint: str
    response: str | None
    expires_at: datetime
