"""The interpreter's garbage collector, kept from holding the loop for long (docs/decisions/0017)."""

import asyncio
import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

#: Two are Python's own; the third, of its ten, is how many collections of the middle generation, each of at most 7,700
#: new objects, come between two full ones.
_THRESHOLDS = 700, 10, 5


class Sparing:
    """Has full collections look only at what has come since the last one; what outlives one is spared.

    Such an object is freed like any other when nothing refers to it any more. Where it has become part of a cycle it
    is not, so that all are looked at once there are twice as many as when that was last done.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        #: How many were spared when all were looked at, and at the most since then: to count them takes some
        #: milliseconds.
        self._spared = self._added = 0
        self._looks_at_all = False

    def look_at_all(self) -> None:
        """Collect whatever there is, which holds the loop, and spare the rest."""
        self._looks_at_all = True
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        gc.collect()  # Python waits with the next one for a share of what the last one left.
        self._spared, self._added = gc.get_freeze_count(), 0
        self._looks_at_all = False

    def __call__(self, phase: str, info: Mapping[str, int]) -> None:
        """What Python calls before and after each collection (`gc.callbacks`)."""
        if phase != "stop" or info["generation"] != 2 or self._looks_at_all:
            return
        before = self._added
        self._added += len(gc.get_objects(generation=2))
        gc.freeze()
        if before < self._spared <= self._added:
            self._added = gc.get_freeze_count() - self._spared
            if self._added >= self._spared:
                self._loop.call_soon_threadsafe(self.look_at_all)


@contextmanager
def sparing_what_stays() -> Iterator[None]:
    """Spare what is there already and what comes to stay, while the block runs.

    A full collection that looked at all of it, as each would, would hold the loop for more than a tenth of a second.
    """
    before = gc.get_threshold()
    sparing = Sparing(asyncio.get_running_loop())
    sparing.look_at_all()
    gc.set_threshold(*_THRESHOLDS)
    gc.callbacks.append(sparing)
    try:
        yield
    finally:
        gc.callbacks.remove(sparing)
        gc.set_threshold(*before)
        gc.unfreeze()
