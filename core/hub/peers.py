"""The hubs of the other nodes, reached over the bus."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

from core.hub import node_messages
from core.hub.statistics import HubCounters
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.ports.coordination import Bus

log = logging.getLogger(__name__)

#: Ephemeral events remembered, so that one that the bus repeats is not delivered twice.
_MAX_REMEMBERED_EVENTS = 1_024

#: Called with what another node says of the agents there: node, tenant, and their user ids.
OnAgents = Callable[[str, TenantId, frozenset[str]], None]


class Peers:
    """Tells the other nodes what happens here, and hears what they tell.

    ``on_events`` is called with a tenant's events; ``on_head`` when a tenant's log is known to go up to a sequence,
    without the events. Either may be called with what is known already. ``on_agents`` may be set at any time.
    """

    def __init__(
        self,
        bus: Bus,
        node: str,
        counters: HubCounters,
        on_events: Callable[[TenantId, Sequence[Event]], None],
        on_head: Callable[[TenantId, int], None],
    ) -> None:
        self.on_agents: OnAgents | None = None
        self._bus = bus
        self._node = node
        self._counters = counters
        self._on_events = on_events
        self._on_head = on_head
        self._ephemeral: OrderedDict[str, None] = OrderedDict()

    async def start(self, on_gap: Callable[[], None]) -> None:
        """Begin to hear; ``on_gap`` is called when messages may have been lost."""
        await self._bus.start(self._on_message, on_gap)

    async def stop(self) -> None:
        """Hear nothing more."""
        await self._bus.stop()

    def tell_events(self, tenant: TenantId, events: Sequence[Event]) -> None:
        """Tell the other nodes of events of this one."""
        if not self._bus.alone:
            for message in node_messages.encode(self._node, tenant, events):
                self._bus.publish(message)

    def tell_agents(self, tenant: TenantId, agents: frozenset[str]) -> None:
        """Tell the other nodes which of a tenant's agents are at this one."""
        if not self._bus.alone:
            self._bus.publish(node_messages.encode_agents(self._node, tenant, agents))

    def _on_message(self, raw: bytes) -> None:
        try:
            message = node_messages.decode(raw)
        except node_messages.MalformedNodeMessage as error:
            self._counters.malformed_messages += 1
            log.warning("a malformed message came over the bus: %s", error)
            return
        if message.node == self._node:
            return
        self._counters.received += len(message.events)
        if message.agents is not None:
            if self.on_agents is not None:
                self.on_agents(message.node, message.tenant, message.agents)
        elif message.events:
            events = [event for event in message.events if event.sequence or self._is_new(event)]
            self._on_events(message.tenant, events)
        else:
            self._on_head(message.tenant, message.head)

    def _is_new(self, event: Event) -> bool:
        """Whether an ephemeral event comes for the first time."""
        if event.id in self._ephemeral:
            return False
        self._ephemeral[event.id] = None
        if len(self._ephemeral) > _MAX_REMEMBERED_EVENTS:
            self._ephemeral.popitem(last=False)
        return True
