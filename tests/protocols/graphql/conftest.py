"""A node on our server, and on uvicorn as it is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.protocols.live import Live, live


@pytest.fixture(params=["direct", "plain"])
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Live]:
    """A node that lets its doors write past ASGI, and one that does not; nothing may be left at the end."""
    async with live(tmp_path, direct=request.param == "direct") as running:
        yield running
