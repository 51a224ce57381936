"""The MQTT door: what the connections of one node share, whatever carries their bytes."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace

from core.kernel.caller import Credentials
from core.kernel.limits import Limits
from core.live.durable_sessions import DurableSessions
from core.live.sessions import Sessions
from protocols.mqtt.connection import Connection, Peer
from protocols.mqtt.persistence import Keeper
from protocols.mqtt.shared_subscriptions import Groups
from protocols.mqtt.wills import Wills


@dataclass(slots=True)
class Counters:
    """What has happened at this door so far."""

    connected: int = 0
    refused_connections: int = 0
    taken_over: int = 0
    malformed_packets: int = 0
    published: int = 0
    refused_messages: int = 0


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the door holds at the moment, and what has happened there."""

    clients: int
    kept_sessions: int
    groups: int
    counters: Counters


class MqttDoor:
    """Everything that the connections of this node share."""

    def __init__(self, sessions: Sessions, limits: Limits) -> None:
        self.sessions = sessions
        self.store = sessions.store
        self.limits = limits
        self.kept = DurableSessions(self.store)
        self.keeper = Keeper(self.kept)
        self.groups = Groups(self.store)
        self.wills = Wills(self.spawn)
        self.counters = Counters()
        #: Who is connected, by his key and his client id.
        self.clients: dict[tuple[str, str, str], Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def connect(
        self,
        peer: Peer,
        credentials: Credentials,
        on_end: Callable[[Connection], None] | None = None,
    ) -> Connection:
        """A client has connected; his bytes go to the connection. ``on_end`` is called when he has gone."""
        return Connection(self, peer, credentials, on_end)

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Do something for a client that outlives his connection."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finished(self) -> None:
        """Wait until nothing is left to be done for clients that have gone; wills that wait are given up."""
        self.wills.close()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def statistics(self) -> Statistics:
        """Figures for metrics and tests."""
        return Statistics(len(self.clients), len(self.keeper), len(self.groups), replace(self.counters))
