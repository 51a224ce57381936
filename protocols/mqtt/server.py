"""What the connections of one node share, whatever carries their bytes."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Protocol

from core.kernel.limits import Limits
from core.live.durable_sessions import DurableSessions
from core.live.sessions import Sessions
from protocols.mqtt.connect import ClientKey
from protocols.mqtt.persistence import SessionKeeper
from protocols.mqtt.shared_subscriptions import SharedSubscriptions
from protocols.mqtt.statistics import Counters, Statistics
from protocols.mqtt.wills import Wills


class ConnectedClient(Protocol):
    """A client, as the next connection of the same client sees it."""

    #: Set when nothing is left of the client's connection, and its session is saved.
    released: "asyncio.Future[None]"

    def taken_over(self) -> None:
        """The client has connected again, here or on another node."""


class MqttServer:
    """Everything that the MQTT connections of this node share."""

    def __init__(self, sessions: Sessions, limits: Limits) -> None:
        self.sessions = sessions
        self.store = sessions.store
        self.limits = limits
        self.slices = self.store.slices
        self.durable_sessions = DurableSessions(self.store)
        self.session_keeper = SessionKeeper(self.durable_sessions)
        self.shared_subscriptions = SharedSubscriptions()
        self.wills = Wills(self.spawn)
        self.counters = Counters()
        self.clients: dict[ClientKey, ConnectedClient] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Do something for a client that outlives its connection."""
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
        return Statistics(
            len(self.clients),
            len(self.session_keeper),
            len(self.shared_subscriptions),
            replace(self.counters),
        )
