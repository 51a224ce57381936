"""The bus: how the nodes of one store tell each other about new events.

``in_process``  for a store in one process
``redis``       over Redis pub/sub
"""

from gateway.bus.in_process import InProcessBus
from gateway.bus.redis import RedisBus

__all__ = ["InProcessBus", "RedisBus"]
