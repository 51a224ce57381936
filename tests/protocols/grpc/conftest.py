"""A node with the gRPC port."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.protocols.grpc.clients import Node, node_with_grpc


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node; nothing may be left at the end."""
    async with node_with_grpc(tmp_path) as running:
        yield running
