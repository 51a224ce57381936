"""A node on our server, and on uvicorn as it is; every client over every transport."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.protocols.live import Live, live
from tests.protocols.socketio.clients import KINDS


@pytest.fixture(params=["direct", "plain"])
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Live]:
    """A node that lets its doors write past ASGI, and one that does not; nothing may be left at the end."""
    async with live(tmp_path, direct=request.param == "direct") as running:
        yield running


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """One of the official clients, and how it connects."""
    found: str = request.param
    return found
