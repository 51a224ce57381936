"""A node with demo pets, and OpenAI's own client."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI

from core.kernel.caller import Caller, Role
from core.services.tenant import SEED_TENANT
from core.store.store import Call
from tests.protocols.live import Live, live, new_tenant


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Live]:
    """A node; nothing of any client may be left at the end."""
    async with live(tmp_path) as running:
        yield running


@pytest.fixture
async def customer(node: Live) -> Caller:
    """A customer of a tenant with demo pets."""
    tenant = new_tenant()
    await node.store.execute(node.member(Role.STAFF, tenant), Call(SEED_TENANT))
    return node.member(Role.CUSTOMER, tenant)


@pytest.fixture
async def client(node: Live, customer: Caller) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's client with an access token for its key."""
    base_url = f"http://127.0.0.1:{node.port}/v1"
    async with AsyncOpenAI(base_url=base_url, api_key=node.token(customer), max_retries=0) as made:
        yield made
