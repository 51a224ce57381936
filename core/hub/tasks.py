"""The owner of the hub's background work."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from core.kernel.errors import Close, Closed, CloseReason, StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")


class Tasks:
    """Tasks that begin at different times and all end with their owner."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something in the background; what it raises is logged, unless it is meant for whoever joins it."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    async def join(self, task: asyncio.Task[T]) -> T:
        """Wait for a task that others wait for too.

        Raises:
            Closed: it was cancelled, since its owner ends.
        """
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if this is not None and this.cancelling():
                raise
            raise Closed(Close(CloseReason.DRAINING)) from None

    async def cancel(self) -> None:
        """End everything that runs, and wait for it."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, StoreError):
            log.error("background work of the hub failed", exc_info=error)
