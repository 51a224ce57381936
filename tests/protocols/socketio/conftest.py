"""A node on our server, and on uvicorn as it is; every client over every transport."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.protocols.live import Live, live
from tests.protocols.socketio.clients import KINDS

_SERVERS = ["direct", "plain"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every kind of client on our server; one by each transport on uvicorn as it is."""
    wanted = set(metafunc.fixturenames)
    if {"node", "kind"} <= wanted and not metafunc.definition.get_closest_marker("parametrize"):
        pairs = [("direct", kind) for kind in KINDS]
        pairs += [("plain", "python-websocket"), ("plain", "node-polling")]
        metafunc.parametrize(("node", "kind"), pairs, indirect=["node"])
    elif "node" in wanted:
        metafunc.parametrize("node", _SERVERS, indirect=True)


@pytest.fixture
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Live]:
    """A node that lets its doors write past ASGI, and one that does not; nothing may be left at the end."""
    async with live(tmp_path, direct=request.param == "direct") as running:
        yield running
