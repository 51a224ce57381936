"""Rate limits counted in this process alone."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from core.ports.coordination import Allowance

#: Keys counted at once. Beyond that the oldest window is dropped, to the advantage of its caller.
_MAX_KEYS = 100_000


@dataclass(slots=True)
class _Window:
    """What a key has spent in its current window."""

    spent: int
    end: float


class InProcessRateLimiter:
    """Counts in fixed windows that begin with a key's first request; memory is bounded."""

    def __init__(self, now: Callable[[], float] = time.monotonic, max_keys: int = _MAX_KEYS) -> None:
        self._now = now
        self._max_keys = max_keys
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    async def hit(self, key: str, limit: int, window: int, cost: int = 1) -> Allowance:
        """Spend ``cost`` of the key's budget of ``limit`` per ``window`` seconds; a cost of 0 only reads."""
        return self.count(key, limit, window, cost)

    def count(self, key: str, limit: int, window: int, cost: int) -> Allowance:
        """The same as ``hit``, without waiting. A refused request spends nothing."""
        now = self._now()
        found = self._current(key, now)
        counted = found or _Window(0, now + window)
        allowed = counted.spent + cost <= limit
        if allowed and cost:
            counted.spent += cost
            if found is None:
                self._add(key, counted, now)
        return _allowance(allowed, limit, counted, now)

    async def hit_both(
        self, key: str, limit: int, outer: str, outer_limit: int, window: int, cost: int = 1
    ) -> tuple[Allowance, Allowance]:
        """Spend ``cost`` of two budgets, of both or of neither; gives both."""
        return self.count_both(key, limit, outer, outer_limit, window, cost)

    def count_both(
        self, key: str, limit: int, outer: str, outer_limit: int, window: int, cost: int
    ) -> tuple[Allowance, Allowance]:
        """The same as ``hit_both``, without waiting."""
        now = self._now()
        inner_found, outer_found = self._current(key, now), self._current(outer, now)
        inner_window = inner_found or _Window(0, now + window)
        outer_window = outer_found or _Window(0, now + window)
        allowed = inner_window.spent + cost <= limit
        outer_allowed = outer_window.spent + cost <= outer_limit
        if allowed and outer_allowed and cost:
            inner_window.spent += cost
            outer_window.spent += cost
            # A window is kept only for what was spent: whoever is over the outer budget fills no memory by new keys.
            if inner_found is None:
                self._add(key, inner_window, now)
            if outer_found is None:
                self._add(outer, outer_window, now)
        return (
            _allowance(allowed, limit, inner_window, now),
            _allowance(outer_allowed, outer_limit, outer_window, now),
        )

    def _current(self, key: str, now: float) -> _Window | None:
        found = self._windows.get(key)
        if found is not None and found.end <= now:
            del self._windows[key]
            return None
        return found

    def _add(self, key: str, window: _Window, now: float) -> None:
        self._windows[key] = window
        # Two removals per insertion, so that ended windows are removed however many keys there are.
        for _ in range(2):
            oldest = next(iter(self._windows))
            if self._windows[oldest].end <= now or len(self._windows) > self._max_keys:
                del self._windows[oldest]

    def __len__(self) -> int:
        return len(self._windows)


def _allowance(allowed: bool, limit: int, window: _Window, now: float) -> Allowance:
    return Allowance(allowed, limit, max(0, limit - window.spent), math.ceil(window.end - now))
