"""Node's EventSource, unmodified; it treats what it reads as Firefox does."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.protocols.live import Live
from tests.waiting import eventually, within

SCRIPT = Path(__file__).parents[2] / "node" / "sse.mjs"


async def test_a_quiet_client_whose_line_is_cut_misses_nothing(node: Live) -> None:
    url = f"http://127.0.0.1:{node.port}/v1/events?topics=pets/%2B"
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), url, "2", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    output = process.stdout

    async def line() -> Any:
        return json.loads(await within(output.readline()))

    try:
        assert await line() == "cursor"
        (connection,) = node.server.server_state.connections
        connection.transport.abort()
        await eventually(lambda: not list(node.sessions))
        await node.happen(1)
        assert await line() == "cursor"
        await node.happen(2)
        assert [(await line())["data"]["number"] for _ in range(2)] == [1, 2]
        assert await within(process.wait()) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
