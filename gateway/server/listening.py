"""Listening sockets, bound before anything else starts, so that a taken port is known at once."""

import contextlib
import errno
import os
import socket
from dataclasses import dataclass

#: Connections that the kernel completes and keeps until they are accepted.
BACKLOG = 2048

#: What the kernel takes beyond what is under way to the peer. Without a bound it grows to megabytes for
#: each peer that reads slowly, out of sight of every limit of this process.
_MAX_UNSENT_BYTES = 128 * 1024

#: A host name may stand for addresses of a family that this machine does not have.
_ABSENT_FAMILY_ERRORS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
#: Hosts that stand for every address of the machine, and one of these addresses.
_LOOPBACK_HOSTS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a port listens."""

    host: str
    port: int
    tls: bool

    def url(self, scheme: str = "http") -> str:
        """The address as a client on this machine writes it; ``scheme`` is the one without TLS."""
        return f"{scheme}{'s' if self.tls else ''}://{self.authority}"

    @property
    def authority(self) -> str:
        """Host and port as they stand in addresses on this machine."""
        host = self.reachable_host
        return f"{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def reachable_host(self) -> str:
        """The host under which a client on this machine finds the port."""
        return _LOOPBACK_HOSTS.get(self.host, self.host)


def listen(host: str, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """Listen on every address of `host`, all with the same port, and return the sockets.

    With port 0 the kernel chooses; `socket_port` tells. `reuse_port` lets several processes share the port
    (SO_REUSEPORT). Raises OSError, whose text is one line that names the address, when the host is unknown,
    the port is taken or may not be used.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(error.errno, f"cannot listen on {host}: {error.strerror}") from None
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as undo:
        failure: OSError | None = None
        for family, address in addresses:
            chosen = (address[0], sockets[0].getsockname()[1] if sockets else port, *address[2:])
            try:
                listener = _listen_on(family, chosen, alone=len(addresses) == 1, reuse_port=reuse_port)
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                failure = OSError(error.errno, f"cannot listen on {host}:{chosen[1]}: {reason}")
                if error.errno not in _ABSENT_FAMILY_ERRORS:
                    raise failure from None
            else:
                undo.callback(listener.close)
                sockets.append(listener)
        if failure is not None and not sockets:
            raise failure
        undo.pop_all()
    return sockets


def socket_port(sockets: list[socket.socket]) -> int:
    """The port that sockets from `listen` share."""
    return int(sockets[0].getsockname()[1])


def _listen_on(family: int, address: tuple[object, ...], *, alone: bool, reuse_port: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6 and not alone:
            # Its IPv4 half would collide with the IPv4 socket of the same port.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # Inherited by the accepted sockets.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MAX_UNSENT_BYTES)
        listener.setblocking(False)
        listener.bind(address)
        # Two sockets may bind one port as long as neither listens, so only this settles who has it.
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
