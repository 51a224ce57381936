"""From a subscription to a socket: one write per wake-up while the peer keeps up, the log when it does not."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from core.errors import Close, Closed, CloseReason, CursorExpired
from core.hub import Batch, Subscription, WireFormat
from core.session import Session

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where encoded events go. Writing never waits; ``writable`` says whether it should go on."""

    on_writable: Callable[[], None] | None

    @property
    def writable(self) -> bool:
        """Whether less waits for the peer than should."""

    def write(self, data: bytes) -> None:
        """Hand over whole frames."""

    async def drain(self) -> None:
        """Wait until ``writable``.

        Raises:
            ConnectionResetError: the peer has gone.
        """


class Outlet:
    """Moves what a session is due to its peer.

    The hub calls ``pump`` in its wake-up, so that a peer that keeps up costs no task. One that falls behind the
    hot tail gets a task that reads the log for it until it has caught up; it holds one page at a time.
    """

    def __init__(self, session: Session, sink: Sink, wire_format: WireFormat) -> None:
        self._session = session
        self._sink = sink
        self._format = wire_format
        self._held = False
        self._follower: asyncio.Task[None] | None = None
        #: The loop's time of the last write, so that a heartbeat is sent only where it is quiet.
        self.written_at = asyncio.get_running_loop().time()
        session.on_subscription = self._attach
        sink.on_writable = self.pump
        if session.subscription is not None:
            self._attach(session.subscription)

    def hold(self) -> None:
        """Keep events back while a command is answered, so that its acknowledgement goes first."""
        self._held = True

    def release(self) -> None:
        """Let events out again."""
        self._held = False
        self.pump()

    def close(self) -> None:
        """Stop; the connection has ended."""
        self._held = True
        self._sink.on_writable = None
        self._session.on_subscription = lambda _: None
        if self._session.subscription is not None:
            self._session.subscription.on_ready = None
        if self._follower is not None:
            self._follower.cancel()

    def _attach(self, subscription: Subscription) -> None:
        subscription.on_ready = self.pump

    def pump(self) -> None:
        """Write all that is due as far as the peer takes it."""
        subscription = self._session.subscription
        if self._held or self._follower is not None or subscription is None:
            return
        sink = self._sink
        while sink.writable:
            batch = subscription.take()
            if batch is None:
                break
            self._write(batch)
        if subscription.behind:
            self._follower = asyncio.create_task(self._follow(subscription))

    def _write(self, batch: Batch) -> None:
        self._sink.write(batch.encoded(self._format))
        self.written_at = asyncio.get_running_loop().time()
        self._session.delivered(batch)

    async def _follow(self, subscription: Subscription) -> None:
        """Read the log for a peer that fell behind it, or that resumes."""
        try:
            while subscription.behind:
                await self._sink.drain()
                self._write(await subscription.next())
        except CursorExpired as error:
            close = Close(CloseReason.CURSOR_EXPIRED, error.detail, error.oldest_cursor)
            self._session.close(close)
        except Closed as error:
            self._session.close(error.close)
        except ConnectionResetError:
            pass  # The door sees the disconnect itself.
        except Exception:
            log.exception("a stream failed")
            self._session.close(Close(CloseReason.INTERNAL))
        finally:
            self._follower = None
        if not self._session.closed.done():
            self.pump()
