"""The hub: events, live and resumable, for any number of subscribers. Each file imports only those above it.

* ``batch``: events encoded once however many take them; ``viewer``: who looks; ``window``: a list with lasting indices
* ``selection``: what several subscribers want alike, and each one's place in it; ``index``: from an event to selections
* ``ring``: the hot tail of one tenant's log; ``tasks``: the owner of background work
* ``reader``: the log, for rings with a gap and subscribers who begin or are behind; ``catch_up``: what those still get
* ``subscription``: one subscriber's place in the log
* ``node_messages``, ``statistics``, ``peers``, ``observers``: other nodes, figures, and who sees every event
* ``hub``: all of these together
* ``leases``, ``consumers``: durable readers of every tenant's log
"""

from core.hub.batch import Batch, WireFormat
from core.hub.hub import Hub
from core.hub.observers import EventObserver
from core.hub.ring import RingLimits
from core.hub.statistics import HubStatistics
from core.hub.subscription import Subscription
from core.hub.viewer import Viewer

__all__ = [
    "Batch",
    "EventObserver",
    "Hub",
    "HubStatistics",
    "RingLimits",
    "Subscription",
    "Viewer",
    "WireFormat",
]
