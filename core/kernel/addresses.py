"""Network addresses as budgets see them."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

_IPV6_PREFIX_BITS = 64


@lru_cache(maxsize=10_000)
def network_of(address: str) -> str:
    """The network whose clients share a budget: an IPv4 address by itself, an IPv6 address with its /64.

    A provider gives a single customer a whole /64 at least (RFC 6177), so that one machine has as many IPv6 addresses
    as it likes. What is no address is its own network.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), _IPV6_PREFIX_BITS), strict=False))
