"""A node for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.protocols.live import Live, live


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Live]:
    """A node; nothing of any client may be left at the end."""
    async with live(tmp_path) as running:
        yield running
