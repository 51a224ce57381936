"""Inputs of the MCP door."""

import json
from collections.abc import Iterator
from typing import Any

from tests.hostile.inputs import Input, Send, request

MIB = 1024 * 1024
NEW, OLD = "2026-07-28", "2025-11-25"
_ID = "0198d3c4-0000-7000-8000-000000000000"


def _post(message: dict[str, Any] | bytes, version: str, *, times: int = 1) -> Send:
    """A message as a client of a generation of the protocol sends it."""
    fields: dict[str, Any] = {
        "MCP_Protocol_Version": version,
        "Accept": "application/json, text/event-stream",
    }
    if isinstance(message, dict):
        fields["Mcp_Method"] = message["method"]
        name = message["params"].get("name", message["params"].get("uri"))
        if isinstance(name, str) and len(name) < 100:
            fields["Mcp_Name"] = name
        message = json.dumps(message).encode()
    return request("POST", "/mcp", message, times=times, **fields)


def _message(method: str, version: str, **params: Any) -> dict[str, Any]:
    meta: dict[str, Any] = params.pop("meta", {})
    if version == NEW:
        meta |= {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}


def _call(name: str, version: str, **arguments: Any) -> dict[str, Any]:
    return _message("tools/call", version, name=name, arguments=arguments)


def _messages(version: str) -> Iterator[tuple[str, dict[str, Any] | bytes]]:
    yield "a deep list", b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":' + b"[" * 100_000
    yield "a name of 1 MB", b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * (MIB - 100) + b'","params":{}}'
    yield "a batch of 10,000", b"[" + b",".join([b'{"jsonrpc":"2.0","id":1,"method":"ping"}'] * 10_000) + b"]"
    yield "an id of 1 MB", b'{"jsonrpc":"2.0","id":"' + b"x" * (MIB - 100) + b'","method":"ping"}'
    yield "a number of 1 MB", b'{"jsonrpc":"2.0","id":' + b"9" * (MIB - 100) + b',"method":"ping"}'
    yield "a text of 1 MB as an argument", _call("get_pet", version, id="x" * (MIB - 1000))
    yield "19,000 arguments", _call("get_pet", version, **{f"a{number}": 1 for number in range(19_000)})
    yield "9,000 objects as an argument", _call("place_order", version, items=[{}] * 9_000)
    yield "9,000 members of _meta", _message("tools/list", version, meta={f"a{n}": n for n in range(9_000)})
    yield (
        "1,900 topics",
        _call("recent_events", version, topics=[f"pets/{number}" for number in range(1_900)]),
    )
    yield "all that is kept", _call("recent_events", version, topics=["#"], after="earliest", limit=100)
    yield "what is never found", _call("recent_events", version, topics=["pets/x/y"], after="earliest")
    yield "100 pets", _call("search_pets", version, pagination={"limit": 100})
    yield (
        "an address of 1 MB",
        _message("resources/read", version, uri="petstore://pets/" + "x" * (MIB - 1000)),
    )
    argument = {"name": "id", "value": "a " * (MIB // 3)}
    reference = {"type": "ref/resource", "uri": "petstore://pets/{id}"}
    yield "1 MB to complete", _message("completion/complete", version, ref=reference, argument=argument)
    home = {"home": "{0!r:>{width}}" * 60_000}
    yield "1 MB in a prompt", _message("prompts/get", version, name="find_a_pet", arguments=home)


def _inputs() -> Iterator[Input]:
    for version in (NEW, OLD):
        for name, message in _messages(version):
            yield Input(f"{version}: {name}", "MCP", _post(message, version))
        lists = _post(_message("tools/list", version), version, times=50)
        yield Input(f"{version}: 50 lists of tools at once", "MCP", lists)
    for name, uris in {
        "10,000 resources": [f"petstore://pets/{_ID[:-5]}{number:05}" for number in range(10_000)],
        "one resource 10,000 times, and one that is none": ["petstore://inventory"] * 10_000
        + ["petstore://x"],
    }.items():
        listen = _message("subscriptions/listen", NEW, notifications={"resourceSubscriptions": uris})
        yield Input(f"a stream of {name}", "MCP", _post(listen, NEW))


CORPUS: tuple[Input, ...] = tuple(_inputs())
