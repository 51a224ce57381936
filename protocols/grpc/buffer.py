"""What waits for the client of one stream: gRPC writes only through a coroutine of its own."""

import asyncio
from collections.abc import Callable

#: Bytes that may wait before ``writable`` turns false; one batch more may be added to them.
_HIGH_WATER_BYTES = 64 * 1024


class WriteBuffer:
    """A sink (`core.live.connection.Sink`): data waits here for the coroutine that writes it to the client."""

    __slots__ = ("_ended", "_filled", "_size", "_waiting", "_wanted", "on_writable")

    def __init__(self) -> None:
        self.on_writable: Callable[[], None] | None = None
        self._waiting: list[bytes] = []
        self._size = 0
        self._ended = False
        self._filled = asyncio.Event()
        self._wanted = asyncio.Event()

    @property
    def writable(self) -> bool:
        """Whether less waits than the high-water mark, before the end."""
        return self._size < _HIGH_WATER_BYTES and not self._ended

    def write(self, data: bytes) -> None:
        """Let data wait; nothing happens after the end."""
        if not self._ended:
            self._waiting.append(data)
            self._size += len(data)
            self._filled.set()

    async def drain(self) -> None:
        """Wait until ``writable``; ConnectionResetError when the end has come instead."""
        while not self.writable:
            if self._ended:
                raise ConnectionResetError("the stream has ended")
            self._wanted.clear()
            await self._wanted.wait()

    async def taken(self) -> bytes:
        """Wait for data and take all there is; nothing after the end."""
        if not self._ended:
            await self._filled.wait()
        data = b"".join(self._waiting)
        self._waiting, self._size = [], 0
        if not self._ended:
            self._filled.clear()
            self._wanted.set()
            if self.on_writable is not None:
                self.on_writable()
        return data

    def end(self) -> None:
        """Take no more; what waits may still be taken."""
        self._ended = True
        self._filled.set()
        self._wanted.set()
