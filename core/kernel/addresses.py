"""Network addresses as budgets see them, and who may name them."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_IPV6_PREFIX_BITS = 64
#: The longest address in text, an IPv6 one with an embedded IPv4 address (RFC 4291, section 2.2), its scope and a port.
_MAX_ADDRESS_CHARACTERS = 64


@lru_cache(maxsize=10_000)
def network_of(address: str) -> str:
    """The network whose clients share a budget: an IPv4 address by itself, an IPv6 address with its /64.

    A provider gives a single customer a whole /64 at least (RFC 6177), so that one machine has as many IPv6 addresses
    as it likes. What is no address is its own network.
    """
    parsed = _parsed(address)
    if parsed is None:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return str(ip_network((int(parsed), _IPV6_PREFIX_BITS), strict=False))


def is_loopback(address: str) -> bool:
    """Whether it is this machine's for itself."""
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """An address, or None if it is none; an IPv4 one also where it is written in IPv6, as by sockets that take both."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed


class TrustedProxies:
    """Which peers are trusted to name the client that they connect for: addresses and networks; ``*`` is any."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._any = "*" in trusted
        self._networks = tuple(ip_network(part) for part in trusted if part != "*")

    def trust(self, address: str) -> bool:
        """Whether this address is a trusted proxy's."""
        if self._any:
            return True
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def client_of(self, peer: str, forwarded: str) -> str:
        """The client behind a peer that sent ``X-Forwarded-For``: the last address that is no trusted proxy's."""
        if not self.trust(peer):
            return peer
        hops = [_without_port(hop.strip()[:_MAX_ADDRESS_CHARACTERS]) for hop in forwarded.split(",")]
        client = next((hop for hop in reversed(hops) if not self.trust(hop)), hops[0])
        return client or peer


def _without_port(hop: str) -> str:
    """``192.0.2.1:4711`` and ``[2001:db8::1]:4711`` are clients' addresses too, for some proxies."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
