"""Turns at what only a few can use at once: those who ask for many delay the others by one each."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import perf_counter

#: For how long slices hold the loop in one of its turns.
_TURN_SECONDS = 0.005


class TooManyWait(Exception):
    """Too many wait already, of all or of one name."""


class FairTurns:
    """``places`` at once. Who waits has a name, such as a network address, and the names take turns.

    At most ``most`` wait, ``most_of_one`` of them with one name.
    """

    def __init__(self, places: int, *, most: int, most_of_one: int) -> None:
        self.free = places
        self.most = most
        self.most_of_one = most_of_one
        #: Who waits, by name, in the order of their turns.
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Have one of the places while the block runs.

        Raises:
            TooManyWait: come back later.
        """
        await self._take(name)
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, name: str) -> None:
        if self.free:
            self.free -= 1
            return
        waiting = sum(map(len, self._queues.values()))
        if waiting >= self.most or len(self._queues.get(name, ())) >= self.most_of_one:
            raise TooManyWait
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(name, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Give a place to the next name's longest waiting, or free it."""
        while self._queues:
            name, queue = self._queues.popitem(last=False)
            while queue:
                turn = queue.popleft()
                if turn.done():  # Who waited has left.
                    continue
                if queue:
                    self._queues[name] = queue
                turn.set_result(None)
                return
        self.free += 1


class Slices:
    """Slices of what would hold the loop for long: all together hold it for a while in each of its turns."""

    __slots__ = ("_ends_at", "_first", "_waiting")

    def __init__(self) -> None:
        #: By `perf_counter`; None before anything was begun in the present turn of the loop.
        self._ends_at: float | None = None
        self._waiting: deque[Callable[[], None] | asyncio.Future[None]] = deque()
        #: What goes before it.
        self._first: deque[Callable[[], None]] = deque()

    @property
    def over(self) -> bool:
        """Whether what is not begun yet should wait. Asking begins a turn, if there is none."""
        return perf_counter() > self._begin()

    def later(self, work: Callable[[], None], *, first: bool = False) -> None:
        """Have a piece of work done in a later turn, behind what waits already.

        ``first``: it is the first of somebody's pieces, and goes before the further ones of others, so that who has
        little to do does not wait for those who have much. Of these one is done in each turn all the same.
        """
        (self._first if first else self._waiting).append(work)
        self._begin()

    def _begin(self) -> float:
        if self._ends_at is None:
            self._ends_at = perf_counter() + _TURN_SECONDS
            asyncio.get_running_loop().call_soon(self._next)
        return self._ends_at

    async def begun(self) -> None:
        """Wait for a turn, unless the present one is not over."""
        if self.over:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn

    def _next(self) -> None:
        self._ends_at = None
        while self._first and not self.over:
            self._first.popleft()()
        done = 0
        while self._waiting and not (self.over and done):
            done += 1
            work = self._waiting.popleft()
            if not isinstance(work, asyncio.Future):
                work()
            elif not work.done():  # Else nobody waits for it any more.
                # It is at work behind this, for a piece of unknown length.
                work.set_result(None)
                break
        if self._first or self._waiting:
            self._begin()
