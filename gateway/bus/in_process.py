"""The bus of a store that runs in one process."""

from collections.abc import Callable
from typing import ClassVar

from core.ports.coordination import OnMessage


class InProcessBus:
    """A core.ports.coordination.Bus without other nodes: nothing is sent or received."""

    alone: ClassVar[bool] = True

    def publish(self, message: bytes) -> None:
        """See core.ports.coordination.Bus."""

    async def start(self, on_message: OnMessage, on_gap: Callable[[], None]) -> None:
        """See core.ports.coordination.Bus."""

    async def stop(self) -> None:
        """See core.ports.coordination.Bus."""

    @property
    def healthy(self) -> bool:
        """See core.ports.coordination.Bus."""
        return True
