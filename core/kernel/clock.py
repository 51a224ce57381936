"""The store's time: UTC, in whole milliseconds."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

#: Returns the present time, aware, in UTC. Replaceable, so that expiry can be tested without waiting.
Clock = Callable[[], datetime]

#: How far the clock may drift before that is noticed; clocks are never quite equally fast.
_NOTICED_SECONDS = 0.25


def utc_now() -> datetime:
    """The present time in UTC, cut to milliseconds, as it is stored and shown."""
    return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)


class ClockWatch:
    """Finds out that the clock was set, or that the machine slept: it ran otherwise than the ``steady`` one.

    What is due at a time of day waits by the steady clock, and has to be looked at again then.
    """

    def __init__(self, clock: Clock, steady: Callable[[], float]) -> None:
        self._clock = clock
        self._steady = steady
        self._difference = self._measure()

    def was_set(self) -> bool:
        """Whether it was, since the last time that it was found so."""
        difference = self._measure()
        if abs(difference - self._difference) < _NOTICED_SECONDS:
            return False
        self._difference = difference
        return True

    def _measure(self) -> float:
        return self._clock().timestamp() - self._steady()


def rfc3339(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC with milliseconds: ``2026-01-31T08:15:00.250Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
