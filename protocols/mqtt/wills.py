"""Wills that wait: for their delay to pass, or for the client to come back (MQTT 5.0, section 3.1.3.2.2)."""

import asyncio
from collections.abc import Callable, Coroutine

Name = tuple[str, str, str]
Publish = Callable[[], Coroutine[object, object, None]]


class Wills:
    """The wills of clients who are lost, by whose clients they are. ``spawn`` runs what publishes one."""

    def __init__(self, spawn: Callable[[Coroutine[object, object, None]], None]) -> None:
        self._spawn = spawn
        self._waiting: dict[Name, tuple[asyncio.TimerHandle, Publish]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self, name: Name, seconds: float, publish: Publish, *, late: Publish) -> None:
        """Do ``late`` after so many seconds, unless the will is settled before."""

        def pass_on() -> None:
            del self._waiting[name]
            self._spawn(late())

        timer = asyncio.get_running_loop().call_later(seconds, pass_on)
        self._waiting[name] = (timer, publish)

    def settle(self, name: Name, *, publish: bool) -> None:
        """A client's will is published now, since his session has ended, or never, since he is back."""
        found = self._waiting.pop(name, None)
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
