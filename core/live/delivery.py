"""From a subscription to a socket: one write per wake-up while the peer keeps up, the log when it does not."""

import asyncio
import logging

from core.hub import Batch, Subscription, WireFormat
from core.kernel.errors import Close, Closed, CloseReason, CursorExpired
from core.live.connection import Sink
from core.live.session import Session

log = logging.getLogger(__name__)


class Outlet:
    """Moves what a session is due to its peer.

    The hub calls ``pump`` in its wake-up, so that a peer that keeps up costs no task. One that falls behind the
    hot tail gets a task that reads the log for it until it has caught up; it holds one page at a time.

    Never before a later turn of the event loop does a new subscription's first event go out: an acknowledgement that
    is written as soon as the command returns is ahead of it.
    """

    __slots__ = ("_closed", "_follower", "_format", "_session", "_sink")

    def __init__(self, session: Session, sink: Sink, wire_format: WireFormat) -> None:
        self._session = session
        self._sink = sink
        self._format = wire_format
        self._closed = False
        self._follower: asyncio.Task[None] | None = None
        session.on_subscription = self._attach
        sink.on_writable = self.pump
        if session.subscription is not None:
            self._attach(session.subscription)

    def close(self) -> None:
        """Stop: no event goes out any more, so that the subscription's cursor stands still."""
        self._closed = True
        self._sink.on_writable = None
        self._session.on_subscription = None
        if self._session.subscription is not None:
            self._session.subscription.on_ready = None
        if self._follower is not None:
            self._follower.cancel()

    def _attach(self, subscription: Subscription) -> None:
        subscription.on_ready = self.pump

    def pump(self) -> None:
        """Write all that is due as far as the peer takes it."""
        subscription = self._session.subscription
        if self._closed or self._follower is not None or subscription is None:
            return
        sink = self._sink
        try:
            while sink.writable and (batch := subscription.take()) is not None:
                self.deliver(batch)
        except Exception as error:  # noqa: BLE001 the caller is the hub or the server, with other clients to serve
            self._fail(error)
            return
        if subscription.behind:
            self._follower = asyncio.create_task(self._follow(subscription))

    def deliver(self, batch: Batch) -> None:
        """Write a batch. A door whose peers need more than frames in a row (packet ids) does it in its own way."""
        self._sink.write(batch.encoded(self._format))
        self._session.delivered(batch)

    def _fail(self, error: Exception) -> None:
        log.error("a stream failed", exc_info=error)
        self._session.close(Close(CloseReason.INTERNAL))

    async def _follow(self, subscription: Subscription) -> None:
        """Read the log for a peer that fell behind it, or that resumes."""
        try:
            while True:
                await self._sink.drain()
                batch = await subscription.catch_up()
                if batch is None:
                    break
                self.deliver(batch)
        except CursorExpired as error:
            self._session.close(Close(CloseReason.CURSOR_EXPIRED, error.detail, error.oldest_cursor))
        except Closed as error:
            self._session.close(error.close)
        except ConnectionResetError:
            return  # The door sees the disconnect itself.
        except Exception as error:  # noqa: BLE001 the task's boundary: nobody awaits it
            self._fail(error)
        finally:
            self._follower = None
        if not self._session.closed.done():
            self.pump()
