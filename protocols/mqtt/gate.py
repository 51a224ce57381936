"""Holds events back while a client must not get any, though its connection could take them."""

import asyncio
from collections.abc import Callable

from core.live.connection import Sink

#: Too many messages are unacknowledged, or some wait to be sent.
WINDOW = "window"
#: CONNACK has to go out first.
CONNACK = "connack"
#: SUBACK has to go out first.
SUBACK = "suback"
#: Retained messages have to go out first.
RETAINED = "retained"


class Gate:
    """A sink in front of the client's connection, which is closed too while there is a reason to hold events back."""

    def __init__(self, sink: Sink) -> None:
        self.on_writable: Callable[[], None] | None = None
        self.reasons: set[str] = set()
        self._sink = sink
        self._ended = False
        self._changed: asyncio.Future[None] | None = None
        sink.on_writable = self.changed

    @property
    def writable(self) -> bool:
        """Whether events may go out."""
        return not self.reasons and self._sink.writable and not self._ended

    @property
    def is_open(self) -> bool:
        """Whether there is no reason but the window to hold events back."""
        return not self.reasons - {WINDOW}

    @property
    def sink_writable(self) -> bool:
        """Whether the connection takes more."""
        return self._sink.writable

    def write(self, data: bytes) -> None:
        """Write whole packets."""
        self._sink.write(data)

    def shut(self, reason: str) -> None:
        """Hold events back."""
        self.reasons.add(reason)

    def open(self, reason: str) -> None:
        """Take a reason away; the last one lets events through."""
        if reason in self.reasons:
            self.reasons.remove(reason)
            self.changed()

    def changed(self) -> None:
        """Something may be different: go on, and wake whoever waits.

        A full window does not count: the messages that fill it may be the last ones.
        """
        if self.on_writable is not None and self._sink.writable and self.is_open:
            self.on_writable()
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def end(self) -> None:
        """The client has gone."""
        self._ended = True
        self.on_writable = None
        self.changed()

    async def wait_for_change(self) -> None:
        """Wait until something may be different.

        Raises:
            ConnectionResetError: the client has gone.
        """
        if self._ended:
            raise ConnectionResetError("the client has gone")
        if self._changed is None or self._changed.done():
            self._changed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._changed)

    async def drain(self) -> None:
        """Wait until ``writable``.

        Raises:
            ConnectionResetError: the client has gone.
        """
        while not self.writable:
            await self.wait_for_change()
