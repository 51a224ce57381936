"""Slices: what is executed for subscriptions goes on for a while, and then lets everybody else in."""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter

#: For how long one turn executes. An execution takes some tenths of a millisecond.
_TURN_SECONDS = 0.005


class Slices:
    """The slices of one door, for all its subscribers together: one for each turn of the loop."""

    __slots__ = ("_ends_at", "_waiting")

    def __init__(self) -> None:
        #: By `perf_counter`; None before anything was begun in the present turn of the loop.
        self._ends_at: float | None = None
        self._waiting: deque[Callable[[], None] | asyncio.Future[None]] = deque()

    @property
    def over(self) -> bool:
        """Whether what is not begun yet should wait. Asking begins a turn, if there is none."""
        now = perf_counter()
        if self._ends_at is None:
            self._ends_at = now + _TURN_SECONDS
            asyncio.get_running_loop().call_soon(self._next)
        return now > self._ends_at

    def later(self, work: Callable[[], None]) -> None:
        """Have a piece of work done in a later turn, behind all that waits already. The present one is over."""
        self._waiting.append(work)

    async def begun(self) -> None:
        """Wait for a turn, unless the present one is not over."""
        if self.over:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn

    def _next(self) -> None:
        self._ends_at = None
        while self._waiting and not self.over:
            work = self._waiting.popleft()
            if not isinstance(work, asyncio.Future):
                work()
            elif not work.done():  # Else nobody waits for it any more.
                # It is at work behind this, for a piece of unknown length.
                work.set_result(None)
                break
