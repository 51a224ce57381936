"""The hub: events, live and resumable, for any number of subscribers."""

from core.hub.batch import Batch, WireFormat
from core.hub.hub import Hub, Statistics, Watcher
from core.hub.ring import Limits
from core.hub.subscription import Subscription
from core.hub.viewer import Viewer

__all__ = ["Batch", "Hub", "Limits", "Statistics", "Subscription", "Viewer", "Watcher", "WireFormat"]
