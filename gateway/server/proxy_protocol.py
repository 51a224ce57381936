"""The PROXY protocol, version 2: a proxy's word about its client, ahead of the client's bytes.

HAProxy's specification (proxy-protocol.txt, section 2.2). Headers of version 1 are malformed here.
"""

import asyncio
import logging
import socket
import ssl
import struct
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from core.kernel.addresses import TrustedProxies

log = logging.getLogger(__name__)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
#: Signature, version and command, family and transport, length of what follows.
_HEAD = struct.Struct("!12sBBH")
_VERSION = 2
_LOCAL, _PROXY = 0, 1
#: Of each address family (unspecified, IPv4, IPv6, UNIX) the bytes of its addresses and of one of them.
_FAMILIES = {0: (0, 0), 1: (12, 4), 2: (36, 16), 3: (216, 0)}
#: Unspecified, stream, datagram.
_MAX_TRANSPORT = 2
_STREAM = 1
#: Addresses and what is told beside them; the client's TLS certificate, if it is there, is the largest of that.
_MAX_LENGTH_BYTES = 8 * 1024
#: The header comes with the connection, before the proxy has heard anything of its client.
_HEADER_SECONDS = 5.0
#: Pause after a connection could not be accepted: most likely there are too many open files.
_ACCEPT_RETRY_SECONDS = 1.0


class MalformedHeader(Exception):
    """No header of this protocol, or not a whole one. The text says what is wrong."""


async def read_client(connection: socket.socket) -> str | None:
    """Read the header off a non-blocking socket, and nothing behind it.

    Gives the client's address; None where the proxy names none, since it connected by itself or for a client of another
    family than IPv4 and IPv6.

    Raises:
        MalformedHeader: it is none, or it ends in its midst.
    """
    signature, command, protocol, length = _HEAD.unpack(await _read(connection, _HEAD.size))
    if signature != SIGNATURE or command >> 4 != _VERSION:
        raise MalformedHeader("no PROXY protocol header of version 2")
    if length > _MAX_LENGTH_BYTES:
        raise MalformedHeader(f"a PROXY protocol header of {length} bytes")
    return _client(command & 0x0F, protocol >> 4, protocol & 0x0F, await _read(connection, length))


def _client(command: int, family: int, transport: int, content: bytes) -> str | None:
    if command == _LOCAL:
        return None
    if command != _PROXY or family not in _FAMILIES or transport > _MAX_TRANSPORT:
        raise MalformedHeader(f"PROXY protocol command {command}, family {family}, transport {transport}")
    all_bytes, address_bytes = _FAMILIES[family]
    if len(content) < all_bytes:
        raise MalformedHeader("a PROXY protocol header too short for its addresses")
    if not address_bytes or transport != _STREAM:
        return None
    address = ip_address(content[:address_bytes])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


async def _read(connection: socket.socket, size: int) -> bytes:
    loop, read = asyncio.get_running_loop(), b""
    while len(read) < size:
        part = await loop.sock_recv(connection, size - len(read))
        if not part and not read and size == _HEAD.size:
            raise ConnectionAbortedError("it ended without a byte")
        if not part:
            raise MalformedHeader("the end within a PROXY protocol header")
        read += part
    return read


class ProxiedListener:
    """Accepts connections on a socket that listens until it is closed. Trusted peers must send the header first.

    Others are served by their own address, as are those for which the proxy names no client. The header is read before
    there is a transport, so that TLS may begin behind it. ``connected`` makes the protocol for a client's address.
    """

    def __init__(
        self,
        listener: socket.socket,
        proxies: TrustedProxies,
        connected: Callable[[str], asyncio.BaseProtocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        self._proxies = proxies
        self._connected = connected
        self._tls = tls
        self._opening: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept(listener), name="accept behind a proxy")
        self._accepting.add_done_callback(lambda _: listener.close())

    def close(self) -> None:
        """Accept no more, and drop the connections for which no client is known yet."""
        self._accepting.cancel()
        for task in self._opening:
            task.cancel()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(listener)
            except OSError as error:
                log.warning("cannot accept a connection: %s", error)
                await asyncio.sleep(_ACCEPT_RETRY_SECONDS)
                continue
            task = asyncio.create_task(self._open(connection, str(peer[0])))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket, peer: str) -> None:
        client: str | None = None
        try:
            if self._proxies.trust(peer):
                async with asyncio.timeout(_HEADER_SECONDS):
                    client = await read_client(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, TimeoutError):
                error = MalformedHeader(f"no whole header within {_HEADER_SECONDS:g} s")
            if not isinstance(error, MalformedHeader | OSError):
                raise
            # Who leaves without a word, such as a check whether the port is open, is no fault.
            level = logging.WARNING if isinstance(error, MalformedHeader) else logging.DEBUG
            log.log(level, "dropped a connection of the proxy %s: %s", peer, error)
            return
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._connected(client or peer), connection, ssl=self._tls
            )
        except OSError as error:  # Those of TLS among them.
            log.debug("a connection was not opened: %s", error)
