"""Chats that were opened where no agent was known are given to the agents of this node."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from core.kernel.events import Event
from core.kernel.ids import TenantId


class Agent(Protocol):
    """A connection of an agent who is there for chats."""

    async def take_waiting(self) -> None:
        """Have the chats that wait given to the agents who are here."""


class Offers:
    """The agents' connections of this node, and a look at the waiting chats whenever one may have been missed.

    A chat is given to an agent when it is opened, by the node where that happens. Between an agent's arrival and the
    moment when that node hears of it a chat may be left waiting: its opening is told to all nodes, and one that has
    agents looks again. A watcher of the hub.
    """

    def __init__(self) -> None:
        self._agents: dict[TenantId, list[Agent]] = {}
        self._looking: dict[TenantId, asyncio.Task[None]] = {}

    def arrive(self, tenant: TenantId, agent: Agent) -> None:
        """An agent has connected."""
        self._agents.setdefault(tenant, []).append(agent)

    def leave(self, tenant: TenantId, agent: Agent) -> None:
        """He has gone."""
        agents = self._agents[tenant]
        agents.remove(agent)
        if not agents:
            del self._agents[tenant]
            if tenant in self._looking:
                self._looking[tenant].cancel()

    def on_events(self, tenant: TenantId, events: Sequence[Event]) -> None:
        """See core.hub.EventObserver: what is opened and not given to anybody in one go waits."""
        if tenant not in self._agents:
            return
        opened = {event.topic for event in events if event.event_type == "chat.opened"}
        if opened - {event.topic for event in events if event.event_type == "chat.assigned"}:
            self._look(tenant)

    def on_lost(self, tenant: TenantId | None) -> None:
        """See core.hub.EventObserver: any chat may have been opened."""
        for there in list(self._agents) if tenant is None else [tenant]:
            self._look(there)

    def _look(self, tenant: TenantId) -> None:
        if tenant in self._agents and tenant not in self._looking:
            self._looking[tenant] = asyncio.create_task(self._give(tenant))

    async def _give(self, tenant: TenantId) -> None:
        try:
            if agents := self._agents.get(tenant):
                await agents[0].take_waiting()
        finally:
            del self._looking[tenant]
