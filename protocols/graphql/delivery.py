"""From a subscription's batches to a socket, through an execution that may have to wait.

It is `core.live.delivery.Outlet` for answers that cannot always be encoded in the hub's wake-up: while resolvers of
one batch wait, nothing further is taken, so that answers keep the order of their events.
"""

import asyncio
import logging
from collections.abc import Callable

from core.hub import Batch, Subscription
from core.kernel.cursor import Cursor
from core.kernel.errors import Close, Closed, CloseReason, CursorExpired
from core.live.connection import Sink
from protocols.graphql.sharing import Shared, Wire

log = logging.getLogger(__name__)


class Delivery:
    """Moves what one subscriber is due to his socket.

    ``on_end`` is called when the stream ends of itself. The owner calls ``pump`` when the socket takes more.
    """

    __slots__ = ("_closed", "_follower", "_on_end", "_pending", "_shared", "_sink", "_subscription", "_wire")

    def __init__(
        self,
        subscription: Subscription,
        shared: Shared,
        wire: Wire,
        sink: Sink,
        on_end: Callable[[CursorExpired | Close], None],
    ) -> None:
        self._subscription = subscription
        self._shared = shared
        self._wire = wire
        self._sink = sink
        self._on_end = on_end
        self._closed = False
        self._follower: asyncio.Task[None] | None = None
        self._pending: Batch | None = None
        subscription.on_ready = self.pump

    @property
    def cursor(self) -> str:
        """The place up to which the subscriber was served; a batch that is not written yet does not count."""
        if self._pending is not None:
            for event in self._pending.events:
                if event.sequence:
                    return Cursor(event.epoch, event.tenant, event.sequence - 1).encode()
        return self._subscription.cursor

    def close(self) -> None:
        """Stop: nothing goes out any more."""
        self._closed = True
        self._subscription.on_ready = None
        if self._follower is not None:
            self._follower.cancel()

    def pump(self) -> None:
        """Write all that is due as far as the peer takes it."""
        if self._closed or self._follower is not None:
            return
        waiting: asyncio.Future[bytes] | None = None
        try:
            while self._sink.writable and (batch := self._subscription.take()) is not None:
                encoded = self._shared.encoded(batch, self._wire)
                if not isinstance(encoded, bytes):
                    self._pending, waiting = batch, encoded
                    break
                self._write(encoded)
        except Exception as error:  # noqa: BLE001 the caller is the hub or the server, with other clients to serve
            self._fail(error)
            return
        if waiting is not None or self._subscription.behind:
            self._follower = asyncio.create_task(self._follow(waiting))

    def _write(self, encoded: bytes) -> None:
        if encoded:
            self._sink.write(encoded)

    def _fail(self, error: Exception) -> None:
        log.error("a subscription failed", exc_info=error)
        self._end(Close(CloseReason.INTERNAL))

    def _end(self, reason: CursorExpired | Close) -> None:
        if not self._closed:
            self._on_end(reason)

    async def _follow(self, waiting: asyncio.Future[bytes] | None) -> None:
        """Wait for resolvers, or read the log for a peer that fell behind it or that resumes."""
        try:
            if waiting is not None:
                self._write(await waiting)
                self._pending = None
            while True:
                await self._sink.drain()
                batch = await self._subscription.catch_up()
                if batch is None:
                    break
                encoded = self._shared.encoded(batch, self._wire)
                if not isinstance(encoded, bytes):
                    self._pending = batch
                    encoded = await encoded
                self._write(encoded)
                self._pending = None
        except CursorExpired as error:
            self._end(error)
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
