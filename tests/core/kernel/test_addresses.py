"""Whose budget an address has, and who may name it."""

import pytest

from core.kernel.addresses import TrustedProxies, is_loopback, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
    ],
)
def test_an_address_shares_its_network_s_budget(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "client"),
    [
        ((), "10.0.0.1", "192.0.2.7", "10.0.0.1"),
        (("10.0.0.0/8",), "192.0.2.1", "192.0.2.7", "192.0.2.1"),
        (("10.0.0.0/8",), "10.0.0.1", "192.0.2.7", "192.0.2.7"),
        (("10.0.0.0/8",), "::ffff:10.0.0.1", "192.0.2.7", "192.0.2.7"),
        (("10.0.0.0/8",), "10.0.0.1", "198.51.100.1, 192.0.2.7, 10.0.0.2", "192.0.2.7"),
        (("10.0.0.0/8",), "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (("*",), "anybody", "192.0.2.7", "192.0.2.7"),
        (("*", "10.0.0.1"), "10.0.0.2", "192.0.2.7", "192.0.2.7"),
        (("10.0.0.1",), "10.0.0.1", "", "10.0.0.1"),
        (("10.0.0.0/8",), "unknown", "192.0.2.7", "unknown"),
        (("10.0.0.1",), "10.0.0.1", "192.0.2.7:4711", "192.0.2.7"),
        (("10.0.0.1",), "10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        (("10.0.0.1",), "10.0.0.1", "2001:db8::7", "2001:db8::7"),
    ],
)
def test_only_a_trusted_proxy_names_its_client(
    trusted: tuple[str, ...], peer: str, forwarded: str, client: str
) -> None:
    assert TrustedProxies(trusted).client_of(peer, forwarded) == client


def test_this_machine_is_known_in_both_families() -> None:
    assert all(is_loopback(address) for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"))
    assert not any(is_loopback(address) for address in ("192.0.2.7", "::ffff:192.0.2.7", "unknown", ""))
