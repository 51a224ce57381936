"""OpenAI's client of JavaScript, unmodified."""

import asyncio
import json
from pathlib import Path

from core.kernel.caller import Caller
from tests.protocols.live import Live
from tests.waiting import within

SCRIPT = Path(__file__).parents[2] / "node" / "openai.mjs"


async def test_the_official_client_asks_and_streams(node: Live, customer: Caller) -> None:
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SCRIPT),
        f"http://127.0.0.1:{node.port}/v1",
        node.token(customer),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await within(process.communicate())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = json.loads(output)
    assert "Toby" in said["content"]
    assert (said["text"], said["finish"]) == (said["content"], "stop")
    assert said["usages"][0] == said["usages"][1]
    assert said["usages"][0]["total_tokens"] > 0
    assert said["models"] == ["PET_ADVISOR_1", "PET_ADVISOR_TURBO"]
    assert said["refused"] == [422, "invalid_request_error", "n"]
