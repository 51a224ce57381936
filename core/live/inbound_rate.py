"""How fast one client is read."""

import asyncio
from collections.abc import Callable

from core.kernel.errors import Close, CloseReason
from core.kernel.limits import Limits

#: Less is not worth a wait.
_LEAST_DELAY_SECONDS = 0.001


class InboundRate:
    """A burst, then so many messages a second: who sends faster is read more slowly, and loses nothing.

    A door waits for `ready` before it reads (or, where it cannot wait, reads no more for ``delay_seconds``), and calls
    `count` for whatever it has read, also for what is no message: pings, pongs, empty fragments, refused documents.
    What proves to be a message is noted by `message`. A client that only floods, who sends as much again as the burst
    without a message in it while they are held back, is ended by ``on_flood``.
    """

    __slots__ = ("_burst", "_flood", "_full_at", "_seconds_each", "on_flood")

    def __init__(self, limits: Limits) -> None:
        self.on_flood: Callable[[Close], None] | None = None
        self._burst = limits.message_burst
        self._seconds_each = 1 / limits.messages_per_second if limits.messages_per_second else 0.0
        #: When the whole burst will be free again, by the loop's clock.
        self._full_at = 0.0
        #: What has been read while the client was held back, since its last message.
        self._flood = 0

    @property
    def delay_seconds(self) -> float:
        """How long nothing more should be read; 0 when it may be."""
        spent = self._full_at - asyncio.get_running_loop().time()
        delay = spent - (self._burst - 1) * self._seconds_each
        return delay if delay > _LEAST_DELAY_SECONDS else 0.0

    async def ready(self) -> None:
        """Wait until more may be read: a turn of the loop at least, so that a burst lets others in between."""
        await asyncio.sleep(self.delay_seconds)

    def count(self) -> None:
        """Note that something has been read; nothing can be refused for it."""
        if not self._seconds_each:
            return
        self._full_at = max(self._full_at, asyncio.get_running_loop().time()) + self._seconds_each
        self._flood = self._flood + 1 if self.delay_seconds else 0
        if self._flood > self._burst and self.on_flood is not None:
            self.on_flood(Close(CloseReason.TOO_MANY_MESSAGES, "Too much was sent that is no message."))

    def message(self) -> None:
        """Note that what has been read is a message."""
        self._flood = 0

    def lift(self) -> None:
        """Hold nothing back from now on, for what is read does not matter any more."""
        self._seconds_each = self._full_at = 0.0
