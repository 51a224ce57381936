"""The bus over Redis pub/sub."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core.kernel.backoff import backoff_seconds
from core.kernel.ids import new_id
from core.ports.coordination import OnMessage

log = logging.getLogger(__name__)

#: Time for a reply of Redis, and for connecting to it.
_TIMEOUT_SECONDS = 1.0
#: Messages sent in one round trip.
_MAX_BATCH_MESSAGES = 128
_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.05, 2.0


class Deaf(ConnectionError):
    """Nothing is received although the connection is open."""


@dataclass(slots=True)
class BusCounters:
    """Totals since the bus was created: messages, and connections for receiving."""

    sent: int = 0
    received: int = 0
    dropped: int = 0
    connections: int = 0
    deaf: int = 0


class RedisBus:
    """A core.ports.coordination.Bus over one Redis channel that all nodes share.

    Sending and receiving have a connection each; both reconnect while Redis is unavailable. A message that cannot be
    sent soon is dropped: other nodes find its events in the log.

    A subscribed connection can be dead without any error. So when nothing was received for ``probe`` seconds, the bus
    sends a message to itself; when that does not arrive within the same time, it reconnects.
    """

    alone: ClassVar[bool] = False

    def __init__(
        self, url: str, *, channel: str = "petstore:events", probe: float = 2.0, outbox_bytes: int = 8 << 20
    ) -> None:
        self.counters = BusCounters()
        self._url = url
        self._channel = channel.encode()
        self._echo = f"{channel}:{new_id()}".encode()
        self._probe = probe
        self._outbox: deque[tuple[bytes, bytes]] = deque()
        self._outbox_bytes = 0
        self._outbox_limit = outbox_bytes
        self._filled = asyncio.Event()
        self._sending = False
        self._hearing = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def healthy(self) -> bool:
        """See core.ports.coordination.Bus."""
        return self._sending and self._hearing

    def publish(self, message: bytes) -> None:
        """See core.ports.coordination.Bus."""
        self._put(self._channel, message)

    async def start(self, on_message: OnMessage, on_gap: Callable[[], None]) -> None:
        """See core.ports.coordination.Bus. Redis need not be available yet."""
        self._tasks = [
            asyncio.create_task(self._keep_up("send", self._send)),
            asyncio.create_task(self._keep_up("receive", lambda: self._receive(on_message, on_gap))),
        ]

    async def stop(self) -> None:
        """See core.ports.coordination.Bus."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _keep_up(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run work that lasts as long as its connection, and restart it after ever longer pauses."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            begun = loop.time()
            try:
                await work()
            except (RedisError, OSError) as error:
                log.warning("cannot %s over Redis, trying again: %s", what, error)
            except Exception:
                log.exception("cannot %s over Redis, trying again", what)
            if loop.time() - begun > _MAX_PAUSE_SECONDS:
                failures = 0
            failures += 1
            await asyncio.sleep(
                backoff_seconds(failures, first=_MIN_PAUSE_SECONDS, longest=_MAX_PAUSE_SECONDS)
            )

    def _connect(self, retries: int) -> "Redis":
        # By default the library retries ten times, for most of a minute.
        return Redis.from_url(
            self._url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), retries),
        )

    # -- sending -------------------------------------------------------------------------------------------

    def _put(self, channel: bytes, message: bytes) -> None:
        if not self._sending or self._outbox_bytes + len(message) > self._outbox_limit:
            self.counters.dropped += 1
            return
        self._outbox.append((channel, message))
        self._outbox_bytes += len(message)
        self._filled.set()

    async def _send(self) -> None:
        async with self._connect(retries=1) as client:
            await client.ping()
            self._sending = True
            try:
                while True:
                    await self._filled.wait()
                    await self._send_some(client)
            finally:
                self._sending = False
                self.counters.dropped += len(self._outbox)
                self._outbox.clear()
                self._outbox_bytes = 0
                self._filled.clear()

    async def _send_some(self, client: "Redis") -> None:
        """Send a batch; it leaves the outbox only when Redis has it, or when sending ends."""
        count = min(len(self._outbox), _MAX_BATCH_MESSAGES)
        pipeline = client.pipeline(transaction=False)
        for index in range(count):
            _ = pipeline.publish(*self._outbox[index])
        await pipeline.execute()
        self.counters.sent += count
        for _ in range(count):
            self._outbox_bytes -= len(self._outbox.popleft()[1])
        if not self._outbox:
            self._filled.clear()

    # -- receiving -----------------------------------------------------------------------------------------

    async def _receive(self, on_message: OnMessage, on_gap: Callable[[], None]) -> None:
        async with self._connect(retries=0) as client, client.pubsub() as pubsub:
            await pubsub.subscribe(self._channel, self._echo)
            self.counters.connections += 1
            reader = asyncio.create_task(self._read(pubsub, on_message, on_gap))
            try:
                await self._watch(reader)
            finally:
                self._hearing = False
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)

    async def _read(self, pubsub: PubSub, on_message: OnMessage, on_gap: Callable[[], None]) -> None:
        """Hand on messages, and do nothing else: Redis disconnects a client that reads too slowly."""
        async for message in pubsub.listen():
            self.counters.received += 1
            if message["type"] == "message":
                self._hearing = True
                if message["channel"] == self._channel:
                    on_message(message["data"])
            elif message["type"] == "subscribe" and message["channel"] == self._channel:
                # The first confirmation, or one after the library has reconnected silently.
                self._hearing = True
                on_gap()

    async def _watch(self, reader: asyncio.Task[None]) -> None:
        """Return or raise when the reader has ended or is deaf."""
        while True:
            heard = self.counters.received
            if await self._ended(reader):
                return
            if self.counters.received == heard:
                self._put(self._echo, b"")
                if await self._ended(reader):
                    return
                if self.counters.received == heard:
                    self.counters.deaf += 1
                    raise Deaf(f"no echo within {self._probe:g} s")

    async def _ended(self, reader: asyncio.Task[None]) -> bool:
        await asyncio.wait({reader}, timeout=self._probe)
        if reader.done():
            await reader
            return True
        return False
