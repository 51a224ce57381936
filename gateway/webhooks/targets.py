"""Which URLs and addresses may be posted to: none by which a client could reach what only the gateway can."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from core.models.webhooks import MAX_URL_LENGTH
from core.ports.webhooks import TargetRefused

#: Finds the addresses of a host. Raises OSError or UnicodeError where there are none.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_DEFAULT_PORTS = {"http": 80, "https": 443}
#: Below it only the ports of the web: behind the others listen mail servers and the like.
_FIRST_FREE_PORT, _LAST_PORT = 1024, 65535
_MAX_LOOKUPS = 16
#: Addresses that stand for one of IPv4: compatible (RFC 4291), NAT64 (RFC 6052, RFC 8215).
_EMBEDDING = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48")))
#: All that is assigned to hosts of the Internet (https://www.iana.org/assignments/ipv6-unicast-address-assignments).
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
#: What the ipaddress module takes for global and is not: addresses for protocols, 6to4's relays (RFC 7526), AS112
#: (RFC 7534, RFC 7535), AMT (RFC 7450), documentation (RFC 9637). Not all networks are in every version of Python.
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        (
            *("192.0.0.0/24", "192.88.99.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24"),
            *("2001::/23", "2620:4f:8000::/48", "3fff::/20"),
        ),
    )
)
#: The interface of an address of ISATAP, which ends with one of IPv4 (RFC 5214, section 6.1).
_ISATAP = (0x00005EFE, 0x02005EFE)


class SystemResolver:
    """Asks the system. In threads of its own, so that names that nobody answers for delay nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_MAX_LOOKUPS, thread_name_prefix="webhook-dns")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host, each once."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def close(self) -> None:
        """Ask no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def parse_target(text: str) -> httpx.URL:
    """Read a URL that may be posted to: its host in ASCII, without a fragment.

    Raises:
        TargetRefused: it is none.
    """
    try:
        url = httpx.URL(text.strip()).copy_with(fragment=None)
        host = url.host  # Raises where a label that begins with xn-- stands for nothing.
    except (httpx.InvalidURL, ValueError):
        raise TargetRefused("must be a URL") from None
    if url.scheme not in _DEFAULT_PORTS or not host:
        raise TargetRefused("must be a URL that begins with https:// or http://")
    if url.userinfo:
        raise TargetRefused("must not hold a user name or password")
    if len(str(url)) > MAX_URL_LENGTH:
        raise TargetRefused(f"must have at most {MAX_URL_LENGTH} characters")
    port = port_of(url)
    if port not in _DEFAULT_PORTS.values() and not _FIRST_FREE_PORT <= port <= _LAST_PORT:
        raise TargetRefused("must be of the port 80 or 443, or of one from 1024 on")
    return url


def port_of(url: httpx.URL) -> int:
    """The port of a URL."""
    return url.port if url.port is not None else _DEFAULT_PORTS[url.scheme]


def is_public(text: str) -> bool:
    """Whether anybody on the Internet could reach the address themselves. One that embeds another address never is."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and (
        address.ipv4_mapped is not None
        or address.sixtofour is not None
        or address.teredo is not None
        or any(address in network for network in _EMBEDDING)
        or int(address) >> 32 & 0xFFFFFFFF in _ISATAP
        or address not in _GLOBAL_UNICAST
    ):
        return False
    if any(address in network for network in _SPECIAL):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def addresses_of(host: str, port: int, resolve: Resolve, *, allow_private: bool) -> Sequence[str]:
    """The addresses of a host, all of which may be connected to.

    Raises:
        TargetRefused: the host has no address, or one that may not be connected to.
    """
    try:
        found = await resolve(host, port)
    except (OSError, UnicodeError):
        found = ()
    if not found:
        raise TargetRefused("must be of a host that has an address; the look-up found none")
    if not allow_private and not all(map(is_public, found)):
        raise TargetRefused("must not lead to a private, loopback, link-local or other special address")
    return found
