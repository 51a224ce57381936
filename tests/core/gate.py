"""A place in the storage where a test lets a write wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.kernel.ids import TenantId
from core.ports.records import Transaction
from core.store.store import Store


class Gate:
    """Holds the node up where a write has just begun, or has just been committed; before it, some go through.

    ``reached`` is set when a write waits here, ``go_on`` lets it go on; ``error`` is what it then fails by.
    """

    def __init__(self, store: Store, *, after_commit: bool = False, passing: int = 0) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self.error: Exception | None = None
        storage, write = store.storage, store.storage.write

        async def wait() -> None:
            self.reached.set()
            await self.go_on.wait()
            if self.error is not None:
                raise self.error

        @asynccontextmanager
        async def held(tenant: TenantId) -> AsyncIterator[Transaction]:
            nonlocal passing
            holds = passing == 0
            passing -= 1
            if holds and not after_commit:
                await wait()
            async with write(tenant) as tx:
                yield tx
            if holds and after_commit:
                await wait()

        storage.write = held  # type: ignore[method-assign]
