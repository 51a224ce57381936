"""A node for each test; every client over every transport."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.protocols.live import Live, live
from tests.protocols.socketio.clients import KINDS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every kind of client."""
    if "kind" in metafunc.fixturenames and not metafunc.definition.get_closest_marker("parametrize"):
        metafunc.parametrize("kind", KINDS)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Live]:
    """A node; nothing of any client may be left at the end."""
    async with live(tmp_path) as running:
        yield running
