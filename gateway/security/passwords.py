"""Passwords, hashed with argon2id (RFC 9106) in threads of their own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.kernel.errors import Unavailable
from core.kernel.turns import FairTurns, TooManyWait

T = TypeVar("T")

#: Hashes that may wait for a thread, of all and of one network; whoever comes then is told to come back.
_MAX_WAITING_HASHES = 200
_MAX_WAITING_OF_NETWORK = 40


class Argon2Hasher:
    """Hashes a few passwords at a time, so that a flood of logins takes neither the loop nor all memory.

    Networks take turns: whoever asks for one hash waits for at most one of each other network.

    ``memory_cost`` is in KiB and is taken per thread. The defaults are argon2-cffi's: the second recommended
    option of RFC 9106, section 4.
    """

    def __init__(
        self, *, time_cost: int = 3, memory_cost: int = 65536, parallelism: int = 4, threads: int = 2
    ) -> None:
        self._argon2 = PasswordHasher(time_cost, memory_cost, parallelism)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._turns = FairTurns(threads, most=_MAX_WAITING_HASHES, most_of_one=_MAX_WAITING_OF_NETWORK)
        # Made with the same parameters as all others, so that checking it takes as long.
        self._nobodys = self._argon2.hash("nobody's password")

    @classmethod
    def insecure(cls) -> Self:
        """A hasher that costs next to nothing, its hashes' guesser as well: for tests."""
        return cls(time_cost=1, memory_cost=8, parallelism=1)

    async def hash(self, password: str, network: str) -> str:
        """Hash a password with a new salt.

        Raises:
            Unavailable: too many are waiting.
        """
        return await self._run(lambda: self._argon2.hash(password), network)

    async def verify(self, password: str, hashed: str | None, network: str) -> bool:
        """Check a password; without a hash it takes as long and is False, so that names cannot be probed.

        Raises:
            Unavailable: too many are waiting.
        """
        good = await self._run(
            lambda: self._verify(password, self._nobodys if hashed is None else hashed), network
        )
        return good and hashed is not None

    def _verify(self, password: str, hashed: str) -> bool:
        try:
            return self._argon2.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T], network: str) -> T:
        try:
            async with self._turns.turn(network):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TooManyWait:
            raise Unavailable("Too many logins at once.") from None

    def close(self) -> None:
        """End the threads once they have done what they are at; what still waits is given up."""
        self._threads.shutdown(cancel_futures=True)
