"""From a subscription to a socket: one write per wake-up while the peer keeps up, the log when it does not."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable

from core.hub import Batch, Subscription, WireFormat
from core.kernel.cursor import Cursor
from core.kernel.errors import Close, Closed, CloseReason, CursorExpired
from core.live.connection import Sink

log = logging.getLogger(__name__)


class Delivery(ABC):
    """Moves what a subscription brings to a sink; how a batch is encoded and written is the subclass's `deliver`.

    The hub calls ``pump`` in its wake-up, so that a peer that keeps up costs no task; the owner calls ``go_on`` when
    the sink is writable again. A peer that falls behind the hot tail gets a task that reads the log for it until it has
    caught up; the task holds one page at a time. While the encoding of a batch waits nothing further is taken, so that
    what goes out keeps the order of the events.

    A new subscription's first event goes out in a later turn of the event loop at the earliest: an acknowledgement
    that is written as soon as the command returns is ahead of it.

    ``on_end`` is called when the stream ends of itself.
    """

    __slots__ = ("_closed", "_follower", "_on_end", "_pending", "_sink", "subscription")

    def __init__(self, sink: Sink, on_end: Callable[[Close], None]) -> None:
        self.subscription: Subscription | None = None
        self._sink = sink
        self._on_end = on_end
        self._closed = False
        self._follower: asyncio.Task[None] | None = None
        #: A batch that was taken and whose encoding waits.
        self._pending: Batch | None = None

    @abstractmethod
    def deliver(self, batch: Batch) -> asyncio.Future[bytes] | None:
        """Write a batch; or give the future of its encoding, where that has to wait.

        Batches are shared by the clients of a node: so should be what is made of them.
        """

    def attach(self, subscription: Subscription) -> None:
        """From now on deliver what this subscription brings; once in a delivery's life."""
        self.subscription = subscription
        if not self._closed:
            subscription.on_ready = self.pump

    @property
    def cursor(self) -> str | None:
        """The place up to which was delivered; None before there is a subscription."""
        if self._pending is not None:
            for event in self._pending.events:
                if event.sequence:
                    return Cursor(event.epoch, event.tenant, event.sequence - 1).encode()
        return self.subscription.cursor if self.subscription is not None else None

    def close(self) -> None:
        """Stop: no event goes out any more, so that ``cursor`` stands still."""
        self._closed = True
        if self.subscription is not None:
            self.subscription.on_ready = None
        if self._follower is not None:
            self._follower.cancel()

    def settle(self, done: Callable[[], None]) -> None:
        """Call ``done`` when ``cursor`` counts all that the client has got, or in a moment at the latest.

        That is at once where clients do not tell what they have got, as at most doors. The delivery is closed.
        """
        done()

    def go_on(self) -> None:
        """Go on, for the sink is writable again."""
        self.pump()

    def pump(self) -> None:
        """Write all that is due as far as the peer takes it."""
        subscription = self.subscription
        if self._closed or self._follower is not None or subscription is None:
            return
        sink, waiting = self._sink, None
        try:
            while sink.writable and (batch := subscription.take()) is not None:
                if (waiting := self.deliver(batch)) is not None:
                    self._pending = batch
                    break
        except Exception as error:  # noqa: BLE001 the caller is the hub or the server, with other clients to serve
            self._fail(error)
            return
        if waiting is not None or subscription.behind:
            self._follower = asyncio.create_task(self._follow(subscription, waiting))

    def _fail(self, error: Exception) -> None:
        log.error("a stream failed", exc_info=error)
        self._end(Close(CloseReason.INTERNAL))

    def _end(self, close: Close) -> None:
        if not self._closed:
            self._on_end(close)

    async def _finish(self, batch: Batch, waiting: asyncio.Future[bytes]) -> None:
        """Wait for the encoding of a batch and write it."""
        self._pending = batch
        if encoded := await waiting:
            self._sink.write(encoded)
        self._pending = None

    async def _follow(self, subscription: Subscription, waiting: asyncio.Future[bytes] | None) -> None:
        """Wait for an encoding, or read the log for a peer that fell behind it or that resumes."""
        try:
            if waiting is not None and self._pending is not None:
                await self._finish(self._pending, waiting)
            while True:
                await self._sink.drain()
                batch = await subscription.catch_up()
                if batch is None:
                    break
                if (waiting := self.deliver(batch)) is not None:
                    await self._finish(batch, waiting)
        except CursorExpired as error:
            self._end(Close(CloseReason.CURSOR_EXPIRED, error.detail, error.oldest_cursor))
            return
        except Closed as error:
            self._end(error.close)
            return
        except ConnectionResetError:
            return  # The door sees the disconnect itself.
        except Exception as error:  # noqa: BLE001 the task's boundary: nobody awaits it
            self._fail(error)
            return
        finally:
            self._follower = None
        self.pump()


class FrameDelivery(Delivery):
    """Delivers frames in a row, made once per batch and wire format for all clients."""

    __slots__ = ("_format",)

    def __init__(self, sink: Sink, wire_format: WireFormat, on_end: Callable[[Close], None]) -> None:
        super().__init__(sink, on_end)
        self._format = wire_format

    def deliver(self, batch: Batch) -> asyncio.Future[bytes] | None:
        """Write the frames."""
        self._sink.write(batch.encoded(self._format))
        return None
