"""Which agents are here: connected to a chat door of some node, ready to be given chats."""

import time
from collections import Counter
from collections.abc import Callable

from core.kernel.ids import TenantId

#: How long, in seconds, what another node said counts. It says it every second, and at each change.
_FRESH_SECONDS = 5.0

#: Tells the other nodes which agents are at this one: tenant and user ids.
Tell = Callable[[TenantId, frozenset[str]], None]


class ConnectedAgents:
    """Counts the connections of each agent to this node, and remembers what the others say of theirs.

    It lives in memory: a node that has died is forgotten within seconds, and while the bus is deaf a node knows its own
    agents only.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._connections: dict[TenantId, Counter[str]] = {}
        self._elsewhere: dict[TenantId, dict[str, tuple[float, frozenset[str]]]] = {}

    def arrive(self, tenant: TenantId, user_id: str) -> None:
        """An agent has connected once more."""
        agents = self._connections.setdefault(tenant, Counter())
        agents[user_id] += 1
        if agents[user_id] == 1:
            self._tell(tenant, frozenset(agents))

    def leave(self, tenant: TenantId, user_id: str) -> None:
        """One of an agent's connections has ended."""
        agents = self._connections[tenant]
        agents[user_id] -= 1
        if agents[user_id]:
            return
        del agents[user_id]
        if not agents:
            del self._connections[tenant]
        self._tell(tenant, frozenset(agents))

    def hear(self, node: str, tenant: TenantId, agents: frozenset[str]) -> None:
        """Another node says which agents are there; none forgets it."""
        nodes = self._elsewhere.setdefault(tenant, {})
        nodes.pop(node, None)
        if agents:
            nodes[node] = time.monotonic(), agents
        elif not nodes:
            del self._elsewhere[tenant]

    def tend(self) -> None:
        """Say again who is here, and forget the nodes that no longer do."""
        for tenant, connections in self._connections.items():
            self._tell(tenant, frozenset(connections))
        oldest = time.monotonic() - _FRESH_SECONDS
        for tenant, nodes in list(self._elsewhere.items()):
            for node in [node for node, (heard, _) in nodes.items() if heard < oldest]:
                del nodes[node]
            if not nodes:
                del self._elsewhere[tenant]

    def agents(self, tenant: TenantId) -> frozenset[str]:
        """The user ids of the agents that are here, at whatever node."""
        elsewhere = (agents for _, agents in self._elsewhere.get(tenant, {}).values())
        return frozenset(self._connections.get(tenant, ())).union(*elsewhere)
