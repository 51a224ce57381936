"""Work that one process does at a time, however many there are."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from core.kernel.errors import StorageDown
from core.ports.coordination import Lease
from core.ports.records import TransientFailure
from core.ports.storage import Storage

log = logging.getLogger(__name__)

#: The share of a lease's time that its holder uses: what it began in time it also ends in time.
_SAFE_SHARE = 0.8


class LeaseLost(Exception):
    """Somebody else holds the lease by now."""


class Leaseholder:
    """Does some work here while this process holds the lease, and tries to get it while it does not.

    A lease lasts ``lasts`` seconds and is prolonged, or asked for, every ``every`` seconds: so long another process
    waits at most until it takes over from one that died. ``work`` is cancelled when the lease could not be prolonged in
    time, and may end by raising LeaseLost.
    """

    def __init__(
        self,
        storage: Storage,
        name: str,
        holder: str,
        work: Callable[[Lease], Awaitable[None]],
        *,
        lasts: float = 5.0,
        every: float = 1.0,
    ) -> None:
        self.lease: Lease | None = None
        self._storage = storage
        self._name = name
        self._holder = holder
        self._work = work
        self._lasts = lasts
        self._every = every
        self._until = 0.0
        self._asked = False

    async def run(self) -> None:
        """Go on until cancelled; the lease is then let go."""
        while True:
            try:
                if await self._take():
                    assert self.lease is not None
                    log.info("%s: the work is done here", self._name, extra={"fence": self.lease.fence})
                    try:
                        await self._hold(self.lease)
                    finally:
                        await self._drop()
            except Exception:  # The boundary to the work: whatever is wrong with it, it may go well later.
                log.exception("%s failed, and will be tried again", self._name)
            await asyncio.sleep(self._every)

    async def confirm(self, lease: Lease) -> None:
        """Pass when the lease still is ours, by the database.

        Raises:
            LeaseLost: it is not.
            StorageDown, TransientFailure: nobody knows just now.
        """
        if await self._storage.take_lease(self._name, self._holder, self._lasts) != lease:
            raise LeaseLost

    async def _take(self) -> bool:
        """Take or prolong the lease; says whether it is ours, and was ours all the time if it was before."""
        began = asyncio.get_running_loop().time()
        try:
            taken = await self._storage.take_lease(self._name, self._holder, self._lasts)
        except (StorageDown, TransientFailure) as error:
            if not self._asked:
                log.warning("%s: the lease cannot be asked for: %s", self._name, error)
            self._asked = True
            return self.lease is not None
        self._asked = False
        if taken is None or (self.lease is not None and taken != self.lease):
            return False
        self.lease, self._until = taken, began + self._lasts * _SAFE_SHARE
        return True

    async def _hold(self, lease: Lease) -> None:
        """Work until the lease is lost, or has nearly run out."""
        loop = asyncio.get_running_loop()
        working = asyncio.ensure_future(self._work(lease))
        tasks: set[asyncio.Future[Any]] = {working}
        try:
            while True:
                await asyncio.wait({working}, timeout=self._every)
                if working.done():
                    break
                tasks.add(asking := asyncio.create_task(self._take()))
                # A statement on its way is never cut off, and the database may take longer than the lease lasts.
                left = max(0.0, self._until - loop.time())
                await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if asking.done() and asking.result() and loop.time() < self._until:
                    tasks.remove(asking)
                elif not working.done():
                    log.warning("%s: the lease was lost, or could not be prolonged in time", self._name)
                    break
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if not working.cancelled() and (error := working.exception()) is not None:
            if not isinstance(error, LeaseLost):
                raise error
            log.warning("%s: another process has taken over", self._name)

    async def _drop(self) -> None:
        lease, self.lease = self.lease, None
        assert lease is not None
        with contextlib.suppress(StorageDown, TransientFailure):
            await self._storage.drop_lease(lease)


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Run coroutines that never return until one of them raises, and raise that."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    errors = [error for task in tasks if not task.cancelled() and (error := task.exception()) is not None]
    # Among several errors, the lost lease must not be swallowed.
    for error in sorted(errors, key=lambda error: not isinstance(error, LeaseLost)):
        raise error
