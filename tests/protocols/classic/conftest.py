"""A demo store as people run it, and classic clients with a tenant of their own each."""

import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.http_clients import TLS
from tests.process import Gateway
from tests.waiting import TIMEOUT_SECONDS

BASE = "/api/v3"
ClientOf = Callable[..., httpx.Client]


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The demo store, whose classic door is open."""
    with Gateway(tmp_path_factory.mktemp("classic"), "--demo") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A store as it is without any setting, whose classic door asks for credentials; with budgets."""
    with Gateway(
        tmp_path_factory.mktemp("guarded"), rate_limit="1000", network_registrations="20"
    ) as gateway:
        yield gateway


@pytest.fixture
def client_of(gateway: Gateway) -> Iterator[ClientOf]:
    """Makes clients of the door, with more headers."""
    clients: list[httpx.Client] = []

    def make(**headers: str) -> httpx.Client:
        client = httpx.Client(
            base_url=gateway.url + BASE, verify=TLS, timeout=TIMEOUT_SECONDS, headers=headers
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def tenant() -> str:
    """A tenant of this test alone."""
    return str(uuid.uuid4())


@pytest.fixture
def client(client_of: ClientOf, tenant: str) -> httpx.Client:
    """A client with a store of its own."""
    return client_of(**{"X-Tenant-ID": tenant})


@pytest.fixture
def public(client_of: ClientOf) -> httpx.Client:
    """A client of the store that everybody shares."""
    return client_of()
