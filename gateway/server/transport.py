"""The connection as an ASGI application may see it, beside ASGI's own `send` and `receive`."""

from collections.abc import Callable
from typing import Protocol

#: Key of the `Transport` in ``scope["extensions"]``, for WebSocket and for HTTP.
EXTENSION = "petstore.transport"


class Transport(Protocol):
    """One client's connection, written to without a task switch.

    ASGI's `send` suspends its caller until the peer has read enough, so that serving many peers takes a task
    and a wake-up for each, and a peer that reads nothing can hold its task and its socket for ever. Here one
    loop may serve every peer, and a peer can be dropped. Doors use it by these names alone::

        while transport.writable and (batch := subscription.take()):
            transport.write(batch.encoded(FORMAT))

    It belongs to one ASGI call and must not be kept beyond it. All methods are for the event loop's thread.
    """

    #: Called, without arguments, each time the peer has read enough for `writable` to become true again; not
    #: called when the connection ends, for `receive` tells that. It may write.
    on_writable: Callable[[], None] | None

    @property
    def writable(self) -> bool:
        """Whether the connection is open and holds less unsent data than its high-water mark (64 KiB).

        Writing while it is false is allowed and grows the buffer: a farewell may do it, a stream must not.
        """
        ...

    def write(self, data: bytes) -> None:
        """Hand over `data` at once, behind all that was written before.

        On a WebSocket `data` is one or more whole frames as RFC 6455 section 5.2 has them for a server
        (unmasked, no extension); uvicorn's own frames (pong, ping, close) go between calls, never inside one.
        On HTTP it is a part of the response body, which goes out as one chunk (RFC 9112 section 7.1).

        Nothing happens when the connection is closing or the response is complete: a peer may leave at any
        time. RuntimeError when the handshake is not accepted or the response not started yet, and when the
        response announced its length.
        """
        ...

    def buffered(self) -> int:
        """Bytes that wait in this process for the peer; those in the kernel do not count."""
        ...

    async def drain(self) -> None:
        """Wait until `writable` is true. ConnectionResetError when the connection has ended instead."""
        ...

    def abort(self) -> None:
        """Drop the TCP connection now and its unsent data: the one way to be rid of a peer that stalls."""
        ...

    def stalled_for(self) -> float:
        """Seconds for which the peer has taken nothing though data waits for it; 0 when none waits.

        Known only by looking: it counts from the first call that found the peer standing still. The server
        looks by itself several times per stall limit.
        """
        ...
