"""Where a live client's data goes: ports that servers and doors implement."""

from collections.abc import Callable
from typing import Protocol


class Sink(Protocol):
    """Where encoded data goes. Writing never waits; ``writable`` says whether it should go on.

    All methods are for the event loop's thread.
    """

    #: Called, without arguments, each time the peer has read enough for ``writable`` to become true again; not called
    #: at the end. It may write.
    on_writable: Callable[[], None] | None

    @property
    def writable(self) -> bool:
        """Whether less waits for the peer than the sink's high-water mark, and more may come.

        Writing while it is false is allowed and lets more wait: a farewell may do it, a stream must not.
        """

    def write(self, data: bytes) -> None:
        """Hand over whole frames, behind all that was written before; nothing happens after the end."""

    async def drain(self) -> None:
        """Wait until ``writable``.

        Raises:
            ConnectionResetError: the peer has gone.
        """


class ClientConnection(Sink, Protocol):
    """The connection between the server and one client: the one port between the server and the doors.

    A write costs no task switch, so that one loop may serve every client. The server itself drops a peer that reads
    nothing for the stall limit.
    """

    def abort(self) -> None:
        """Drop the connection now, and what waits for the peer."""
