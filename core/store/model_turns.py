"""How many may have a language model answer at once: each caller a few, and a node no more than it can hold."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.kernel.caller import Caller
from core.kernel.errors import RateLimited, Unavailable
from core.kernel.turns import FairTurns, TooManyWait

#: Conversations with the model at once: each may hold some hundred kilobytes, and a connection to its server.
_AT_ONCE = 64
_WAITING = 500
#: Of one caller, those that wait among them: so that sixteen callers are served at once at least.
_OF_CALLER = 4


class ModelTurns:
    """Turns at the language model, which callers take one after the other when there are more than it gets at once."""

    def __init__(self) -> None:
        self._turns = FairTurns(_AT_ONCE, most=_WAITING, most_of_one=_OF_CALLER)
        self._held: Counter[tuple[str, str]] = Counter()

    @property
    def held(self) -> int:
        """Conversations that have a turn, or wait for one."""
        return self._held.total()

    @asynccontextmanager
    async def turn(self, caller: Caller) -> AsyncIterator[None]:
        """Have a turn while the block runs.

        Raises:
            RateLimited: the caller has as many as one may have.
            Unavailable: too many wait.
        """
        if self._held[caller.identity] >= _OF_CALLER:
            raise RateLimited(1, f"At most {_OF_CALLER} answers of the advisor at once.")
        self._held[caller.identity] += 1
        try:
            async with self._turns.turn(":".join(caller.identity)):
                yield
        except TooManyWait:
            raise Unavailable("Too many ask the advisor at once.", retry_after=5) from None
        finally:
            self._held[caller.identity] -= 1
            if not self._held[caller.identity]:
                del self._held[caller.identity]
