"""Turns at what only a few can use at once: those who ask for many delay the others by one each."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


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
