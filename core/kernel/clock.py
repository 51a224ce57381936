"""The store's time: UTC, in whole milliseconds."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

#: Returns the present time, aware, in UTC. Replaceable, so that expiry can be tested without waiting.
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present time in UTC, cut to milliseconds, as it is stored and shown."""
    return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)


def rfc3339(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC with milliseconds: ``2026-01-31T08:15:00.250Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
