"""The bus: how the nodes of one store tell each other about new events."""

from gateway.bus.in_process import InProcessBus
from gateway.bus.redis import RedisBus

__all__ = ["InProcessBus", "RedisBus"]
