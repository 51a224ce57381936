"""The front of the HTTP port, in this process and on memory."""

import io
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from gateway.app import Node, build_app, open_node
from gateway.demo import ACCOUNTS, open_demo
from gateway.front import Front
from gateway.settings import Settings
from gateway.telemetry.access import AccessLog
from gateway.telemetry.metrics import Metrics


@dataclass
class Opened:
    node: Node
    client: httpx.AsyncClient
    log: io.StringIO

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    settings = Settings(
        data_dir=tmp_path, database_url="memory://", rate_limit=0, cors_origins=("https://a.example",)
    )
    log = io.StringIO()
    async with open_node(settings) as node:
        await open_demo(node.store)
        node.health.doors["http"] = "here"
        app = build_app(node, AccessLog("debug", as_json=True, stream=log))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://store") as client:
            yield Opened(node, client, log)


async def test_probes_answer(opened: Opened) -> None:
    alive = await opened.client.get("/healthz", headers={"X-Request-ID": "probe-1"})
    assert (alive.json(), alive.headers["x-request-id"]) == ({"status": "alive"}, "probe-1")
    ready = await opened.client.get("/readyz")
    assert (ready.status_code, ready.json()["servers"]) == (200, {"database": {"state": "up"}})
    assert (await opened.client.post("/readyz")).status_code == 405
    opened.node.health.draining = True
    drained = await opened.client.get("/readyz?exclude=redis")
    assert (drained.status_code, drained.json()["status"]) == (503, "draining")
    assert drained.headers["retry-after"] == "1"


async def test_requests_are_counted_by_operation_and_status(opened: Opened) -> None:
    pets = (await opened.client.get("/v1/pets?limit=2")).json()["data"]
    for pet in pets:
        await opened.client.get(f"/v1/pets/{pet['id']}")
    await opened.client.get("/v1/nothing")
    answer = await opened.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'petstore_requests_total{door="rest",operation="GET /v1/pets/{id}",status="200"} 2.0' in lines
    assert 'petstore_requests_total{door="rest",operation="(none)",status="404"} 1.0' in lines
    assert 'petstore_request_seconds_count{door="rest",operation="GET /v1/pets/{id}"} 2.0' in lines
    assert 'petstore_open{door="probes"} 1.0' in lines
    assert "petstore_hub_subscriptions 0.0" in lines
    assert any(line.startswith("petstore_hub_published_total ") for line in lines)
    assert 'petstore_up{part="bus"} 1.0' in lines


async def test_each_request_is_logged_without_what_only_its_client_should_know(opened: Opened) -> None:
    name, password, _, _ = ACCOUNTS[1]
    login = await opened.client.post("/v1/auth/tokens", json={"username": name, "password": password})
    token = login.json()["accessToken"]
    headers = {"Authorization": f"Bearer {token}", "X-Request-ID": "mine-1"}
    answer = await opened.client.get("/v1/orders?limit=1&token=secret", headers=headers)
    assert answer.headers["x-request-id"] == "mine-1"
    order = answer.json()["data"][0]["id"]
    await opened.client.get(f"/v1/orders/{order}", headers=headers)
    assert [(line["route"], line["caller"]) for line in opened.lines()] == [
        ("/v1/auth/tokens", "address"),
        ("/v1/orders", "user"),
        ("/v1/orders/{id}", "user"),
    ]
    assert opened.lines()[1]["request_id"] == "mine-1"
    for secret in (token, password, "secret", order):
        assert secret not in opened.log.getvalue()


@pytest.mark.parametrize("path", ["/v1/pets", "/v1/events"])
async def test_web_pages_of_named_origins_may_call(opened: Opened, path: str) -> None:
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    answer = await opened.client.options(path, headers=asked)
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    answer = await opened.client.options(path, headers=asked | {"Origin": "https://b.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_a_door_that_fails_is_answered_for_and_the_fault_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("a secret of the house")

    log = io.StringIO()
    front = Front(broken, {}, {}, metrics=Metrics(), access=AccessLog("info", as_json=True, stream=log))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=front), base_url="http://store") as client:
        answer = await client.get("/v1/pets")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert json.loads(log.getvalue())["level"] == "error"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
