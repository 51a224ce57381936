"""Chats find the agents of this node: waiting ones are assigned, and agents are told of those that are theirs."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from core.kernel.events import Event
from core.kernel.ids import TenantId


class Agent(Protocol):
    """A connection of an agent who is available for chats."""

    @property
    def user_id(self) -> str:
        """Who the agent is."""

    def assigned(self, event: Event | None) -> None:
        """Take note that a chat has been assigned to this agent; None: any may have been."""

    async def take_waiting(self) -> None:
        """Have the waiting chats assigned to the agents who are available."""


class ChatQueue:
    """The agents' connections of this node; it checks for waiting chats whenever one may have been missed.

    A chat is assigned to an agent when it is opened, by the node where that happens. Between an agent's arrival and
    the moment when that node learns of it a chat may be left waiting: its opening is announced to all nodes, and one
    that has agents checks again. An observer of the hub.
    """

    def __init__(self) -> None:
        self._agents: dict[TenantId, list[Agent]] = {}
        self._checks: dict[TenantId, asyncio.Task[None]] = {}

    def arrive(self, tenant: TenantId, agent: Agent) -> None:
        """An agent has connected."""
        self._agents.setdefault(tenant, []).append(agent)

    def leave(self, tenant: TenantId, agent: Agent) -> None:
        """An agent has gone."""
        agents = self._agents[tenant]
        agents.remove(agent)
        if not agents:
            del self._agents[tenant]
            if tenant in self._checks:
                self._checks[tenant].cancel()

    def on_events(self, tenant: TenantId, events: Sequence[Event]) -> None:
        """See core.hub.EventObserver: a chat that is opened and not assigned in the same transaction waits, and one
        that is assigned has an agent to be told."""
        if tenant not in self._agents:
            return
        for event in events:
            if event.event_type == "chat.assigned":
                for agent in self._agents[tenant]:
                    if agent.user_id == event.payload["chat"]["agentId"]:
                        agent.assigned(event)
        opened = {event.topic for event in events if event.event_type == "chat.opened"}
        if opened - {event.topic for event in events if event.event_type == "chat.assigned"}:
            self._check(tenant)

    def on_lost(self, tenant: TenantId | None) -> None:
        """See core.hub.EventObserver: any chat may have been opened or assigned."""
        for there in list(self._agents) if tenant is None else [tenant]:
            for agent in self._agents.get(there, ()):
                agent.assigned(None)
            self._check(there)

    def _check(self, tenant: TenantId) -> None:
        if tenant in self._agents and tenant not in self._checks:
            self._checks[tenant] = asyncio.create_task(self._assign(tenant))

    async def _assign(self, tenant: TenantId) -> None:
        try:
            if agents := self._agents.get(tenant):
                await agents[0].take_waiting()
        finally:
            del self._checks[tenant]
