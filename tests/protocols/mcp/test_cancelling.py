"""Clients that leave while a tool is at work."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp.client.client import ConnectMode

from gateway.language_model.server import OpenAiServer, Patience
from tests.model_server import ModelServer, model_server, silence
from tests.protocols.live import Live, live
from tests.protocols.mcp.clients import MODES, NEW, OLD, connected, message
from tests.waiting import eventually, within

QUESTION = {"messages": [{"role": "USER", "content": "any dogs?"}]}


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    """A model that never answers."""
    async with model_server(silence) as running:
        yield running


@pytest.fixture
async def modelled(tmp_path: Path, server: ModelServer) -> AsyncIterator[Live]:
    """A node whose advisor is that model."""
    model = OpenAiServer(server.url, "some-model", patience=Patience(connect=30, silence=30))
    async with live(tmp_path, language_model=model) as running:
        yield running
    await model.close()


@pytest.mark.parametrize("version", [NEW, OLD])
async def test_who_leaves_ends_the_work(
    modelled: Live, server: ModelServer, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = modelled.token(modelled.member())
    body = json.dumps(message("tools/call", {"name": "ask_advisor", "arguments": QUESTION}, version))
    head = (
        "POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\naccept: */*\r\n"
        f"authorization: Bearer {token}\r\nmcp-protocol-version: {version}\r\nmcp-method: tools/call\r\n"
        f"mcp-name: ask_advisor\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    async with modelled.raw() as client:
        client.writer.write((head + body).encode())
        await eventually(lambda: bool(server.asked))
    await within(server.asked[0].gone.wait())
    await modelled.empty()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("mode", MODES)
async def test_who_waits_hears_that_the_work_goes_on(
    modelled: Live, server: ModelServer, mode: ConnectMode
) -> None:
    told: asyncio.Queue[float] = asyncio.Queue()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.put_nowait(progress)

    async with connected(modelled.port, mode, modelled.token(modelled.member())) as client:
        call = asyncio.create_task(client.call_tool("ask_advisor", QUESTION, progress_callback=note))
        heard = [await within(told.get()) for _ in range(3)]
        assert heard == sorted(set(heard)), "progress always grows"
        call.cancel()
        await asyncio.wait([call])
    await within(server.asked[0].gone.wait())
