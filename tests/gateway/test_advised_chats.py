"""A real gateway whose advisor answers in chats by a language model: killed in the middle, it answers once."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.webhooks.test_serving import log_in
from tests.http_clients import http_client
from tests.model_server import model_server, says, silence
from tests.process import Gateway
from tests.waiting import eventually, within


async def answers_of(client: httpx.AsyncClient, chat_id: str) -> list[dict[str, Any]]:
    """What the advisor has said in a chat."""
    page = (await client.get(f"/v1/chats/{chat_id}/messages")).raise_for_status().json()
    return [message for message in page["data"] if message["senderRole"] == "SYSTEM"]


@pytest.mark.slow
async def test_a_gateway_that_is_killed_amid_an_answer_answers_once(tmp_path: Path) -> None:
    async with model_server(silence) as server:
        gateway = Gateway(
            tmp_path,
            advisor_url=server.url,
            advisor_model="some-model",
            advisor_api_key="sk-a-key-that-nobody-may-see",
            advisor_in_chats="true",
            jwt_secret="s" * 40,
        )
        server.will(says("the start looks for /models"), silence)
        # In a thread: what it asks at its start is answered here.
        await asyncio.to_thread(gateway.start)
        try:
            async with http_client(base_url=gateway.url) as client:
                await log_in(client)
                chat = (await client.post("/v1/chats", json={})).raise_for_status().json()["id"]
                path = f"/v1/chats/{chat}/messages"
                said = (await client.post(path, json={"text": "hello?"})).raise_for_status().json()
                await eventually(lambda: len(server.asked) == 2)
                gateway.send(signal.SIGKILL)
                await asyncio.to_thread(gateway.wait)
                await within(server.asked[1].gone.wait())
                server.will(says("I am back."))
                await asyncio.to_thread(gateway.start)
                await eventually(lambda: answers_of(client, chat))
                last = (await client.post(path, json={"text": "good"})).raise_for_status().json()

                async def both() -> bool:
                    return len(await answers_of(client, chat)) == 2

                await eventually(both)
                answers = await answers_of(client, chat)
        finally:
            await asyncio.to_thread(gateway.stop)
        assert [one["clientMessageId"] for one in answers] == [said["id"], last["id"]]
        assert all("senderId" not in one for one in answers)
        assert server.asked[0].path == "/v1/models"
        assert "sk-a-key-that-nobody-may-see" not in gateway.log_file.read_text(encoding="utf-8")
