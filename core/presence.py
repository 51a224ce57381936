"""Which agents are here: connected to a chat door of this node, ready to be given chats."""

from collections import Counter

from core.ids import TenantId


class Presence:
    """Counts the connections of each agent. Kept in memory: a node knows its own connections only."""

    def __init__(self) -> None:
        self._connections: dict[TenantId, Counter[str]] = {}

    def arrive(self, tenant: TenantId, user_id: str) -> None:
        """An agent has connected once more."""
        self._connections.setdefault(tenant, Counter())[user_id] += 1

    def leave(self, tenant: TenantId, user_id: str) -> None:
        """One of an agent's connections has ended."""
        agents = self._connections[tenant]
        agents[user_id] -= 1
        if not agents[user_id]:
            del agents[user_id]
        if not agents:
            del self._connections[tenant]

    def agents(self, tenant: TenantId) -> frozenset[str]:
        """The user ids of the agents that are here."""
        return frozenset(self._connections.get(tenant, ()))
