"""Does the peer still read? Asked of the kernel, because the size of this process's buffer does not tell."""

import asyncio
import socket
import struct
import sys

# struct tcp_info of Linux 5.4 and later: tcpi_bytes_acked at 120, tcpi_snd_wnd at 228.
_TCP_INFO = struct.Struct("=120xQ100xI")


class PeerProgress:
    """Finds out whether the peer of a connection stands still while data waits for it.

    The right edge of the peer's receive window (bytes acknowledged + window) moves on only when the program
    at the other end takes bytes from its socket. Neither of the simpler signs would do: the buffer of this
    process does not shrink until the kernel has freed a third of its own, which may be a megabyte, and would
    thus condemn a slow reader; acknowledgements also come from the kernel of a program that is frozen.
    """

    __slots__ = ("_edge", "_lowest", "_since", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._since: float | None = None
        self._edge = 0
        self._lowest = 0

    def window_edge(self) -> int:
        """Count of bytes the peer has so far made room for; 0 where the kernel does not say."""
        connection = self._transport.get_extra_info("socket")
        if sys.platform != "linux" or connection is None or connection.fileno() < 0:
            return 0
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        if len(info) < _TCP_INFO.size:
            return 0
        acknowledged, window = _TCP_INFO.unpack(info)
        return int(acknowledged + window)

    def stalled_for(self) -> float:
        """Seconds since the first look after which the peer took nothing; 0 when nothing waits for it."""
        waiting = self._transport.get_write_buffer_size()
        if waiting == 0:
            self._since = None
            return 0.0
        now = asyncio.get_running_loop().time()
        edge = self.window_edge()
        if self._since is None or edge > self._edge or waiting < self._lowest:
            self._since, self._edge, self._lowest = now, edge, waiting
        return now - self._since
