"""Stored results, so that a repeated request has no second effect."""

from datetime import datetime

from core.kernel.model import Model


class IdempotencyRecord(Model):
    """The result of a request with an idempotency key; ``id`` is a hash of the caller and the key.

    ``fingerprint`` is a keyed hash of operation and input. ``response`` is the result as JSON, or None while the
    first request runs; a running one that is older than ``expires_at`` was interrupted and may be taken over.
    """

    id: str
    tenant_id: str
    fingerprint: str
    response: str | None
    expires_at: datetime
