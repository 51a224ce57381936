"""A store with a bridge to a real broker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from core.kernel.ids import SHARED_TENANT
from core.store.store import Store
from gateway.broker.address import BrokerAddress
from gateway.broker.bridge import Bridge
from tests.core.stores import Shop, open_store
from tests.servers import MosquittoServer
from tests.waiting import eventually


@asynccontextmanager
async def bridged(store: Store, server: MosquittoServer) -> AsyncIterator[Bridge]:
    """A bridge that serves the broker."""
    bridge = Bridge(store, BrokerAddress.parse(server.url))
    bridge.start()
    try:
        await eventually(lambda: bridge.statistics().connected)
        yield bridge
    finally:
        await bridge.stop()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store in memory."""
    async with open_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def shop(store: Store) -> Shop:
    """The shared pool."""
    return Shop(store, SHARED_TENANT)


@pytest.fixture
async def bridge(store: Store, mosquitto_server: MosquittoServer) -> AsyncIterator[Bridge]:
    """A bridge to a broker that is open to everybody."""
    async with bridged(store, mosquitto_server) as running:
        yield running
