"""The official clients of JavaScript: the present one in both generations of the protocol, and the one before it."""

import asyncio
import json
from pathlib import Path

import pytest

from protocols.mcp.bindings import TOOLS
from tests.protocols.live import Live
from tests.protocols.mcp.clients import add_pet
from tests.waiting import within

SCRIPT = Path(__file__).parents[2] / "node" / "mcp.mjs"


@pytest.mark.parametrize("generation", ["2026", "2025", "1"])
async def test_an_official_client_orders_and_learns_of_the_change(node: Live, generation: str) -> None:
    pet_id = await add_pet(node, name="Bella")
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), f"http://127.0.0.1:{node.port}/mcp", node.token(node.member()), pet_id, generation,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, errors = await within(process.communicate())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert output, errors.decode()
    assert json.loads(output) == {
        "tools": [tool.name for tool in TOOLS],
        "found": [pet_id],
        "refused": [True, 409],
        "changed": generation == "2026",
        "status": "CANCELLED",
        "cursor": "string",
        "advice": "string",
        "progress": 0,
        "unknown": -32602,
        "completed": True,
        "prompt": True,
    }
