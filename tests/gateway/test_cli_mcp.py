"""`petstore mcp`, started by the official client as assistants start it."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.client import ConnectMode
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourceUpdated

from gateway.cli import logins
from gateway.demo import ACCOUNTS
from protocols.mcp.bindings import TOOLS
from tests.http_clients import ask
from tests.process import PROGRAM, Gateway, environment, petstore
from tests.waiting import TIMEOUT_SECONDS, within

SCRIPT = Path(__file__).parents[1] / "node" / "mcp.mjs"

STAFF = {"username": ACCOUNTS[0][0], "password": ACCOUNTS[0][1]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("store"), "--demo") as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No login is kept."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def token_of(store: Gateway) -> str:
    return str(ask("POST", f"{store.url}/v1/auth/tokens", json=STAFF).json()["accessToken"])


def started(url: str, mode: ConnectMode, token: str = "") -> Client:
    """A client that starts the command."""
    command = StdioServerParameters(
        command=str(PROGRAM),
        args=["mcp", "--url", url],
        env=environment(token=token) if token else environment(),
    )
    return Client(command, mode=mode, cache=None)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_assistant_orders_and_learns_of_the_change(store: Gateway, mode: ConnectMode) -> None:
    async with started(store.url, mode, token_of(store)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == [tool.name for tool in TOOLS]
        found = await client.call_tool("search_pets", {"criteria": {"status": ["AVAILABLE"]}})
        pet_id = found.structured_content["data"][0]["id"]
        order = (await client.call_tool("place_order", {"petId": pet_id})).structured_content
        assert order["userId"], "by the token it is somebody's"
        if mode == "auto":
            uri = f"petstore://orders/{order['id']}"
            async with client.listen(resource_subscriptions=[uri]) as heard:
                await client.call_tool("cancel_order", {"id": order["id"]})
                assert await within(anext(aiter(heard))) == ResourceUpdated(uri)
        with pytest.raises(MCPError, match="There is no tool"):
            await client.call_tool("fly", {})
        assert (
            await client.call_tool("ask_advisor", {"messages": [{"role": "USER", "content": "hi"}]})
        ).content


@pytest.mark.parametrize("generation", ["2026", "2025", "1"])
def test_official_clients_of_javascript_start_it_too(store: Gateway, generation: str) -> None:
    pets = ask("GET", f"{store.url}/v1/pets?limit=1").json()["data"]
    command = f"{PROGRAM} mcp --url {store.url}"
    done = subprocess.run(
        ["node", str(SCRIPT), command, token_of(store), pets[0]["id"], generation],
        capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS, env=environment(),
    )  # fmt: skip
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert told["tools"] == [tool.name for tool in TOOLS]
    assert (told["status"], told["changed"]) == ("CANCELLED", generation == "2026")


def test_it_acts_as_the_login_that_is_kept(store: Gateway, tmp_path: Path) -> None:
    logins.keep(store.url, None, logins.Tokens(token_of(store), "unused", time.time() + 3600))
    line = message("tools/call", 1, name="list_orders") + "\n"
    answer = json.loads(petstore("mcp", "--url", store.url, cwd=tmp_path, stdin=line).stdout)
    assert not answer["result"].get("isError")


async def test_without_a_login_it_is_a_visitor(store: Gateway) -> None:
    async with started(store.url, "auto") as client:
        assert not (await client.call_tool("get_inventory", {})).is_error
        assert (await client.call_tool("list_orders", {})).structured_content["status"] == 401


def message(method: str, request_id: int, **params: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def test_a_bad_token_is_told_to_the_client(store: Gateway, tmp_path: Path) -> None:
    done = petstore(
        "mcp", "--url", store.url, cwd=tmp_path, stdin=message("ping", 1) + "\n", token="nonsense"
    )
    answer = json.loads(done.stdout)
    assert (answer["id"], answer["error"]["data"]["status"]) == (1, 401)


def test_what_is_asked_is_answered_though_the_client_says_no_more(store: Gateway, tmp_path: Path) -> None:
    lines = ["nonsense", message("tools/call", 1, name="get_inventory"), message("ping", 2)]
    done = petstore("mcp", "--url", store.url, cwd=tmp_path, stdin="\n".join(lines) + "\n")
    assert (done.returncode, done.stderr) == (0, "")
    answers = {answer["id"]: answer for answer in map(json.loads, done.stdout.splitlines())}
    assert answers.keys() == {None, 1, 2}
    assert answers[None]["error"]["code"] == -32700
    assert "available" in answers[1]["result"]["content"][0]["text"]


def test_a_server_that_is_away_is_told_and_asked_again(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "store")
    process = subprocess.Popen(
        [PROGRAM, "mcp", "--url", gateway.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, cwd=tmp_path, env=environment(),
    )  # fmt: skip

    def answer(line: str) -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    try:
        error = answer(message("ping", 1))["error"]
        assert (error["code"], gateway.url in error["message"]) == (-32000, True)
        with gateway:
            assert answer(message("ping", 2)) == {"jsonrpc": "2.0", "id": 2, "result": {}}
    finally:
        process.kill()
        process.communicate()


def test_metrics_and_the_access_log_tell_the_method_and_the_tool(store: Gateway) -> None:
    for name in ("get_inventory", "no such tool"):
        call = json.loads(message("tools/call", 1, name=name))
        headers = {"Accept": "application/json, text/event-stream", "X-Request-ID": f"told-{name[:2]}"}
        assert ask("POST", f"{store.url}/mcp", json=call, headers=headers).status_code == 200
    ask("POST", f"{store.url}/mcp", content=b"{")
    metrics = ask("GET", f"{store.url}/metrics").text
    routes = set(re.findall(r'door="mcp",operation="POST ([^"]*)"', metrics))
    assert routes >= {"/mcp", "/mcp tools/call", "/mcp tools/call get_inventory"}
    assert not [route for route in routes if "no such" in route]
    lines = [json.loads(line) for line in store.log_file.read_text().splitlines() if '"told-ge"' in line]
    assert [(line["door"], line["route"]) for line in lines] == [("mcp", "/mcp tools/call get_inventory")]
