"""Wills that wait: for their delay to pass, or for the client to come back (MQTT 5.0, section 3.1.3.2.2)."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from protocols.mqtt.connect import ClientKey

Publish = Callable[[], Coroutine[object, object, None]]


class Wills:
    """The wills of clients whose connections are lost. ``spawn`` runs what publishes one."""

    def __init__(self, spawn: Callable[[Coroutine[object, object, None]], None]) -> None:
        self._spawn = spawn
        self._waiting: dict[ClientKey, tuple[asyncio.TimerHandle, Publish]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def send(
        self, key: ClientKey, delay_seconds: float, publish: Publish, is_back: Callable[[], Awaitable[bool]]
    ) -> None:
        """Publish a client's will after a delay, unless it is settled before.

        ``is_back`` tells whether the client has come back on another node meanwhile.
        """
        if not delay_seconds:
            self._spawn(publish())
            return

        async def publish_unless_back() -> None:
            if not await is_back():
                await publish()

        def delay_is_over() -> None:
            del self._waiting[key]
            self._spawn(publish_unless_back())

        timer = asyncio.get_running_loop().call_later(delay_seconds, delay_is_over)
        self._waiting[key] = (timer, publish)

    def settle(self, key: ClientKey, *, publish: bool) -> None:
        """The client is back: its will is published now if its session has ended, otherwise never."""
        found = self._waiting.pop(key, None)
        if found is not None:
            timer, send = found
            timer.cancel()
            if publish:
                self._spawn(send())

    def close(self) -> None:
        """The node stops: what waits is not published."""
        for timer, _ in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
