"""Which agents are here, as far as nodes know of one another."""

import pytest

from core.hub import node_messages
from core.kernel.ids import SHARED_TENANT, TenantId
from core.store.agents import ConnectedAgents


class Node:
    """A node whose bus is the other node's ear."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.others: list[Node] = []
        self.presence = ConnectedAgents(self._tell)

    def _tell(self, tenant: TenantId, agents: frozenset[str]) -> None:
        message = node_messages.decode(node_messages.encode_agents(self.name, tenant, agents))
        assert message.agents is not None
        for other in self.others:
            other.presence.hear(message.node, message.tenant, message.agents)

    @property
    def agents(self) -> frozenset[str]:
        return self.presence.agents(SHARED_TENANT)


@pytest.fixture
def nodes() -> tuple[Node, Node]:
    a, b = Node("a"), Node("b")
    a.others, b.others = [b], [a]
    return a, b


def test_an_agent_is_here_wherever_he_is_connected(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    a.presence.arrive(SHARED_TENANT, "ann")
    a.presence.arrive(SHARED_TENANT, "ann")
    b.presence.arrive(SHARED_TENANT, "ben")
    assert a.agents == b.agents == {"ann", "ben"}
    a.presence.leave(SHARED_TENANT, "ann")
    assert b.agents == {"ann", "ben"}
    a.presence.leave(SHARED_TENANT, "ann")
    assert a.agents == b.agents == {"ben"}
    assert a.presence.agents(TenantId("019e2d15-51aa-4c36-9e02-7d4b6f8a0c12")) == frozenset()


def test_a_node_that_no_longer_says_who_is_there_is_forgotten(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = nodes
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    a.presence.arrive(SHARED_TENANT, "ann")
    now += 4
    a.presence.tend()
    now += 4
    b.presence.tend()
    assert b.agents == {"ann"}
    now += 2
    b.presence.tend()
    assert b.agents == frozenset()
    a.presence.tend()
    assert b.agents == {"ann"}
