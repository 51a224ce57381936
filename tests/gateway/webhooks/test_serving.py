"""Webhooks of a real gateway: nothing is lost when it is killed amid deliveries."""

import asyncio
import json
import signal
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook as Verifier

from tests.gateway.webhooks.receiver import Manner, Received, receiving
from tests.http_clients import http_client
from tests.process import Gateway
from tests.waiting import eventually

PASSWORD = "correct horse battery"
TENANT = "019e2d14-1f3a-7c5e-8b1d-2f4a6c8e0b13"
OWNER = {
    "username": "owner", "email": "owner@example.com", "password": PASSWORD, "firstName": "O", "lastName": "W",
}  # fmt: skip
PETS = 12


async def log_in(client: httpx.AsyncClient) -> None:
    """Become the owner of a tenant."""
    client.headers["X-Tenant-ID"] = TENANT
    (await client.post("/v1/users", json=OWNER)).raise_for_status()
    answer = await client.post("/v1/auth/tokens", json={"username": "owner", "password": PASSWORD})
    client.headers["Authorization"] = f"Bearer {answer.json()['accessToken']}"


@pytest.mark.slow
async def test_a_gateway_that_is_killed_amid_deliveries_loses_none(tmp_path: Path) -> None:
    """What is answered before the kill may come again; each event comes, and those of a pet in their order."""
    hanging: list[Received] = []
    killed = asyncio.Event()

    def manner(request: Received) -> Manner:
        # From some request on all hang until the gateway dies, so that it dies amid attempts.
        if len(receiver.received) <= 6 or killed.is_set():
            return "good"
        hanging.append(request)
        return "hang"

    async with receiving() as receiver:
        receiver.manner = manner
        gateway = Gateway(tmp_path, allow_private_webhooks="true", jwt_secret="s" * 40)
        with gateway:
            async with http_client(base_url=gateway.url) as client:
                await log_in(client)
                body: dict[str, Any] = {"url": receiver.url, "events": ["pet.created", "pet.updated"]}
                made = (await client.post("/v1/webhooks", json=body)).raise_for_status().json()
                pets = []
                for place in range(PETS):
                    pet = {"name": f"Pet {place}", "species": "DOG", "ageMonths": 1, "price": "1.00"}
                    pets.append((await client.post("/v1/pets", json=pet)).raise_for_status().json()["id"])
                    path = f"/v1/pets/{pets[-1]}"
                    (await client.patch(path, json={"color": "red"})).raise_for_status()
                await eventually(lambda: hanging)
                gateway.send(signal.SIGKILL)
                await asyncio.to_thread(gateway.wait)
                killed.set()
                gateway.start()
                done: defaultdict[str, list[str]] = defaultdict(list)

                def complete() -> bool:
                    done.clear()
                    for request in receiver.received:
                        event = json.loads(request.body)
                        seen = done[event["data"]["pet"]["id"]]
                        if event["eventType"] not in seen:
                            seen.append(event["eventType"])
                    return all(len(done[pet_id]) == 2 for pet_id in pets)

                # One that had failed before the kill is attempted again after a minute.
                await eventually(complete, timeout=200)
    assert all(done[pet_id] == ["pet.created", "pet.updated"] for pet_id in pets)
    bodies = {(request.headers["webhook-id"], request.body) for request in receiver.received}
    assert len(bodies) == 2 * PETS
    for request in receiver.received:
        assert Verifier(made["secret"]).verify(request.body, request.headers)
