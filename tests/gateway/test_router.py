"""The router of the HTTP port, in this process and on memory."""

import asyncio
import io
import itertools
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import mqtt5
import pytest
from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from core.kernel.ids import new_id
from core.kernel.turns import Slices
from gateway.app import build_app, build_mqtt
from gateway.demo import ACCOUNTS, open_demo
from gateway.node import Node, open_node
from gateway.observability.access_log import AccessLog
from gateway.observability.metrics import Metrics
from gateway.probes import Probes
from gateway.router import Mount, Router
from gateway.server.listening import listen, socket_port
from gateway.settings import Settings
from protocols.http.connection import EXTENSION
from protocols.http.pages import Assets
from tests.gateway.server.serving import connected, serving
from tests.protocols.mqtt.raw import Raw
from tests.waiting import eventually


class Connection:
    """A client's connection of which nothing comes."""

    on_writable: Callable[[], None] | None = None
    writable = True
    status: int | None = None

    def write(self, data: bytes) -> None:
        """Nobody reads it."""

    async def drain(self) -> None:
        """It never fills."""

    def abort(self) -> None:
        """There is nothing to drop."""


def on_connection(app: ASGIApp) -> ASGIApp:
    """Give each request a connection that knows the status of its response, as the server does."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        connection = Connection()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                connection.status = message["status"]
            await send(message)

        await app({**scope, "extensions": {EXTENSION: connection}}, receive, noted)

    return call


@dataclass
class Opened:
    node: Node
    client: httpx.AsyncClient
    router: Router
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
        transport = httpx.ASGITransport(app=on_connection(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://store") as client:
            yield Opened(node, client, app, log)


async def test_assets_of_pages_count_as_one_route(opened: Opened) -> None:
    page = (await opened.client.get("/v1/graphql", headers={"Accept": "text/html"})).text
    for name in ("/v1/assets/graphql-", "/v1/assets/icon-"):
        (path,) = re.findall(f'"[.][.]({name}[^"]*[.](?:js|svg))"', page)
        assert (await opened.client.get(path)).status_code == 200
    assert (await opened.client.get("/v1/assets/none.js")).status_code == 404
    lines = (await opened.client.get("/metrics")).text.splitlines()
    counted = 'petstore_requests_total{door="pages",operation="GET /v1/assets/{name}",status="200"} 2.0'
    assert counted in lines


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


METRICS_TOKEN = "a-token-of-thirty-two-characters"


@pytest.mark.parametrize(
    ("token", "peer", "headers", "status"),
    [
        (None, "127.0.0.1", {}, 200),
        (None, "::1", {}, 200),
        (None, "::ffff:127.0.0.1", {}, 200),
        (None, "192.0.2.7", {}, 403),
        (None, "192.0.2.7", {"Authorization": "Bearer None"}, 403),
        (None, "127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
        (None, "127.0.0.1", {"Forwarded": "for=192.0.2.7"}, 403),
        (None, "127.0.0.1", {"X-Real-IP": "192.0.2.7"}, 403),
        (None, "127.0.0.1", {"Via": "1.1 proxy"}, 403),
        (METRICS_TOKEN, "192.0.2.7", {}, 401),
        (METRICS_TOKEN, "192.0.2.7", {"Authorization": f"Basic {METRICS_TOKEN}"}, 401),
        (METRICS_TOKEN, "192.0.2.7", {"Authorization": f"Bearer {METRICS_TOKEN}x"}, 401),
        (METRICS_TOKEN, "192.0.2.7", {"Authorization": "Bearer \u00e9"}, 401),
        (METRICS_TOKEN, "192.0.2.7", {"Authorization": f"Bearer {METRICS_TOKEN}"}, 200),
        (METRICS_TOKEN, "127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}, 401),
        (
            METRICS_TOKEN,
            "127.0.0.1",
            {"X-Forwarded-For": "192.0.2.7", "Authorization": f"Bearer {METRICS_TOKEN}"},
            200,
        ),
    ],
)
async def test_what_is_inside_a_node_is_for_its_machine_and_for_who_has_the_token(
    opened: Opened, token: str | None, peer: str, headers: dict[str, str], status: int
) -> None:
    secret = None if token is None else SecretStr(token)
    probes = Probes(opened.node.health, opened.node.metrics, token=secret)
    transport = httpx.ASGITransport(app=probes, client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://store") as client:
        sent = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        metrics = await client.get("/metrics", headers=sent)
        assert metrics.status_code == status
        assert ("petstore_" in metrics.text) == (status == 200)
        assert ("www-authenticate" in metrics.headers) == (status == 401)
        ready = await client.get("/readyz", headers=sent)
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        assert ("servers" in ready.json(), "doors" in ready.json()) == (status == 200,) * 2
        assert (await client.get("/healthz", headers=sent)).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/ws/events", "/v1/ws/chat", "/v1/graphql", "/mqtt", "/socket.io/?EIO=4&transport=websocket"]
)
async def test_pages_of_origins_that_are_not_named_open_no_websocket(opened: Opened, path: str) -> None:
    router = opened.router
    subprotocol = {"/mqtt": "mqtt", "/v1/graphql": "graphql-transport-ws"}.get(path)
    subprotocols = None if subprotocol is None else [Subprotocol(subprotocol)]
    async with serving(router, whole=True) as running:
        base = f"127.0.0.1:{running.port}"
        for origin in (None, "https://a.example", f"http://{base}"):
            page = None if origin is None else Origin(origin)
            async with connect(f"ws://{base}{path}", origin=page, subprotocols=subprotocols):
                pass
        for origin in ("https://b.example", "null", f"http://{base}.b.example"):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"ws://{base}{path}", origin=Origin(origin), subprotocols=subprotocols):
                    pass
            assert refused.value.response.status_code == 403
            assert (
                json.loads(refused.value.response.body)["type"] == "https://petstoreapi.com/errors/forbidden"
            )


#: Pages that people see, and what they load: those of other origins get to read none.
FOR_PEOPLE = {
    "/",
    "/v1/asyncapi-ui.html",
    "/v1/oauth/device",
    "/v1/oauth/authorize",
    "/v1/oauth/style.css",
    *Assets().paths,
}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "BREW"])
async def test_every_response_of_every_door_has_the_same_common_headers(opened: Opened, method: str) -> None:
    paths = [
        *opened.router.paths,
        "/v1/pets",
        f"/v1/pets/{new_id()}",
        "/v1/openapi.json",
        "/v1/nothing",
        "/v1/login",
    ]
    sent = {
        "X-Request-ID": "mine-1",
        "Origin": "https://a.example",
        "Access-Control-Request-Method": "PUT",
        "Accept": "application/json",  # Else the event stream begins, and does not end.
    }
    for path in paths:
        answer = await opened.client.request(method, path, headers=sent)
        found = [answer.headers[name] for name in ("x-request-id", "x-content-type-options", "vary")]
        if path.startswith("/v1/assets/"):
            found[-1] = found[-1].removesuffix(", Accept-Encoding")
        assert found == ["mine-1", "nosniff", "Accept, Authorization, Origin, X-API-Key, X-Tenant-ID"], path
        assert answer.headers["cache-control"], path
        if path in FOR_PEOPLE:
            assert "access-control-allow-origin" not in answer.headers, path
            continue
        assert answer.headers["access-control-allow-origin"] == "https://a.example", path
        assert ("access-control-allow-methods" in answer.headers) == (method == "OPTIONS"), path
        if method == "OPTIONS" and answer.status_code != 404:
            assert (answer.status_code, answer.content) == (204, b""), path
            assert "OPTIONS" in answer.headers["allow"], path
        if method == "BREW" and answer.status_code != 404:
            assert (answer.status_code, "OPTIONS" in answer.headers["allow"]) == (405, True), path
            assert answer.json()["type"] == "https://petstoreapi.com/errors/method-not-allowed", path
        if method == "HEAD":
            assert answer.content == b"", path


async def test_what_is_for_no_door_is_told_so(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    router = opened.router
    async with serving(router, whole=True) as running:
        base = f"127.0.0.1:{running.port}"
        for path in ("/v1/ws/events", "/v1/ws/chat", "/mqtt"):
            answer = await opened.client.get(path)
            assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
            assert answer.headers["connection"] == "Upgrade"
            assert answer.json()["type"] == "https://petstoreapi.com/errors/upgrade-required"
            assert (await opened.client.post(path)).headers["allow"] == "GET, HEAD, OPTIONS"
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://{base}/v1/pets"):
                pass
        assert refused.value.response.status_code == 404
        assert json.loads(refused.value.response.body)["instance"] == "/v1/pets"
        async with connected(running.port) as client:
            client.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
            head = await client.read_head()
            assert head.startswith(b"HTTP/1.1 204 ")
            assert b"\r\nallow: GET, HEAD, POST, PUT, PATCH, DELETE, QUERY, OPTIONS\r\n" in head
            client.send(b"GET /v1/pets HTTP/1.1\r\nX-Request-ID: mine-1\r\n\r\n")
            assert (await client.read_head()).startswith(b"HTTP/1.1 400 ")
    assert [(line["route"], line["status"]) for line in opened.lines()[-3:]] == [
        ("(none)", 404),
        ("(none)", 204),
        ("(none)", 400),
    ]
    assert opened.lines()[-1]["request_id"] == "mine-1"
    assert not caplog.records


async def test_what_the_server_refuses_is_told_as_the_door_tells_errors(opened: Opened) -> None:
    async with serving(opened.router, whole=True) as running:

        async def refusal(request: bytes) -> tuple[bytes, dict[str, Any]]:
            async with connected(running.port) as client:
                client.send(request)
                return await client.read_head(), json.loads(await client.read_to_end())

        _, problem = await refusal(b"BREW /v1/orders HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (problem["status"], problem["instance"]) == (501, "/v1/orders")
        head, told = await refusal(b"BREW /api/v3/pet HTTP/1.1\r\nHost: a\r\n\r\n")
        assert told == {"code": 501, "message": "HTTP 501 Not Implemented"}
        assert head.startswith(b"HTTP/1.1 501 ")
        assert b"\r\naccess-control-allow-origin: *\r\n" in head
        assert opened.lines()[-1]["door"] == "classic"
        _, told = await refusal(b"GET /api/v3/pet/1 HTTP/1.1\r\n\r\n")
        assert set(told) == {"code", "message"}
        assert told["code"] == 400


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
    await opened.client.get("/v1/events?token=secret")
    answer = await opened.client.get("/v1/orders?limit=1", headers=headers)
    assert answer.headers["x-request-id"] == "mine-1"
    order = answer.json()["data"][0]["id"]
    await opened.client.get(f"/v1/orders/{order}", headers=headers)
    assert [(line["route"], line["caller"]) for line in opened.lines()] == [
        ("/v1/auth/tokens", "visitor"),
        ("/v1/events", "visitor"),
        ("/v1/orders", "user"),
        ("/v1/orders/{id}", "user"),
    ]
    assert opened.lines()[2]["request_id"] == "mine-1"
    for secret in (token, password, "secret", order):
        assert secret not in opened.log.getvalue()


@pytest.mark.parametrize("path", ["/v1/pets", "/v1/events"])
async def test_web_pages_of_named_origins_may_call(opened: Opened, path: str) -> None:
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    answer = await opened.client.options(path, headers=asked)
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    answer = await opened.client.options(path, headers=asked | {"Origin": "https://b.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_a_client_of_mqtt_is_counted_and_logged_when_he_has_gone(opened: Opened) -> None:
    server = build_mqtt(opened.node, AccessLog("info", as_json=True, stream=opened.log))
    name, password, _, _ = ACCOUNTS[1]
    sockets = listen("127.0.0.1", 0)
    port = socket_port(sockets)
    async with server.serving(sockets, [], None):
        stays, leaves, stranger = [Raw(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(3)]
        await leaves.connect("kitchen", username=name, password=password)
        leaves.send(mqtt5.DisconnectPacket())
        stranger.send(b"\x00\x00")
        await stays.connect()
        stays.writer.close()
        await eventually(lambda: len(opened.lines()) == 3)
    for client in (leaves, stranger):
        client.writer.close()
    entries = {line["status"]: line for line in opened.lines()}
    assert entries.keys() == {0, 129, 255}  # A goodbye; no MQTT; a lost connection.
    seen = [
        (entries[code]["method"], entries[code]["route"], entries[code]["caller"]) for code in (0, 129, 255)
    ]
    assert seen == [("MQTT", "5.0", "user"), ("MQTT", "(none)", "unknown"), ("MQTT", "5.0", "visitor")]
    for secret in (name, password, "kitchen", "127.0.0.1"):
        assert secret not in opened.log.getvalue()
    metrics = (await opened.client.get("/metrics")).text
    assert 'petstore_requests_total{door="mqtt",operation="MQTT 5.0",status="255"} 1.0' in metrics


@pytest.mark.parametrize(
    ("path", "door"), [("/mqtt", "mqtt"), ("/v1/graphql", "graphql"), ("/v1/ws/chat", "websocket")]
)
async def test_a_websocket_counts_for_its_door_and_not_for_its_time(
    opened: Opened, path: str, door: str
) -> None:
    router = opened.router
    scope = {
        "type": "websocket",
        "path": path,
        "headers": [],
        "query_string": b"",
        "client": ("192.0.2.1", 1),
        "extensions": {EXTENSION: Connection()},
    }
    come: Iterator[Message] = iter(
        [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}]
    )

    async def receive() -> Message:
        return next(come)

    async def send(message: Message) -> None:
        """Whatever is said, nobody hears it."""

    await router(scope, receive, send)
    (line,) = opened.lines()
    assert (line["door"], line["route"]) == (door, path)
    metrics = (await opened.client.get("/metrics")).text
    assert f'petstore_requests_total{{door="{door}",operation="GET {path}"' in metrics
    assert f'petstore_open{{door="{door}"}} 0.0' in metrics
    assert f'petstore_request_seconds_count{{door="{door}"' not in metrics


async def test_who_leaves_before_they_are_accepted_is_no_error(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    scope = {
        "type": "websocket",
        "path": "/v1/ws/chat",
        "headers": [],
        "query_string": b"",
        "client": ("192.0.2.1", 1),
        "extensions": {EXTENSION: Connection()},
    }

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        raise ClientDisconnected

    with pytest.raises(ClientDisconnected):
        await opened.router(scope, receive, send)
    assert not caplog.records


async def test_a_door_that_fails_is_answered_for_and_the_error_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("a secret of the house")

    log = io.StringIO()
    router = Router(
        Mount("rest", broken), {}, {},
        metrics=Metrics(), access=AccessLog("info", as_json=True, stream=log), slices=Slices(),
    )  # fmt: skip
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=on_connection(router)), base_url="http://store"
    ) as client:
        answer = await client.get("/v1/pets")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert json.loads(log.getvalue())["level"] == "error"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize(("query", "turns"), [(b"q=" + b"%ff" * 2000, 20), (b"q=1", 1)])
async def test_many_long_queries_are_read_a_slice_in_a_turn(query: bytes, turns: int) -> None:
    slices, now, seen = Slices(), itertools.count(), []

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(turn)
        while not slices.over:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    log = AccessLog("warning", as_json=True, stream=io.StringIO())
    serve = on_connection(Router(Mount("rest", reads), {}, {}, metrics=Metrics(), access=log, slices=slices))

    async def ask() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": query, "headers": []}

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(_: Message) -> None:
            pass

        await serve(scope, receive, send)

    asked = [asyncio.create_task(ask()) for _ in range(20)]
    while not all(task.done() for task in asked):
        turn = next(now)
        await asyncio.sleep(0)
    assert len(set(seen)) == turns
