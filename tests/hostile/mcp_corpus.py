"""Inputs of MCP: the messages of both generations of the protocol, and streams that nobody reads."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.hostile.inputs import For, Input, Place, Send, crowd, raw, request
from tests.hostile.wires import CLOSED, head, statuses
from tests.protocols.mcp.clients import NEW, OLD, message

MIB = 1024 * 1024
_ACCEPT = "application/json, text/event-stream"
_CLIENTS = 50
_PETS = [f"petstore://pets/019283a4-0000-7000-8000-{number:012x}" for number in range(5_000)]
_VERSION = "MCP_Protocol_Version"


def _body(content: bytes, **fields: Any) -> Send:
    return request("POST", "/mcp", content, Accept=_ACCEPT, **fields)


def _fields(sent: Mapping[str, Any], version: str) -> dict[str, Any]:
    params = sent["params"]
    named = params.get("name", params.get("uri"))
    return {
        _VERSION: version,
        "Mcp_Method": sent["method"],
        **({"Mcp_Name": named} if isinstance(named, str) else {}),
    }


def _call(method: str, params: Mapping[str, Any], version: str = NEW, *, times: int = 1) -> Send:
    sent = message(method, params, version)
    content = json.dumps(sent, ensure_ascii=False).encode()
    return request("POST", "/mcp", content, times=times, Accept=_ACCEPT, **_fields(sent, version))


def _tool(name: str, arguments: Mapping[str, Any], *, times: int = 1, **meta: Any) -> Send:
    return _call("tools/call", {"name": name, "arguments": arguments, "_meta": meta}, times=times)


def _listen(uris: list[str], **meta: Any) -> dict[str, Any]:
    return message("subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}, "_meta": meta})


def _post(
    sent: Mapping[str, Any], *, times: int = 1, size: int | None = None, more: tuple[str, ...] = ()
) -> For:
    """The bytes of a request, ``times`` in a row; ``size``: of so many as it says that there are."""
    content = json.dumps(sent).encode()
    fields = {name.replace("_", "-"): text for name, text in _fields(sent, NEW).items()}
    lines = [f"{name}: {text}" for name, text in fields.items()]

    def make(place: Place) -> bytes:
        who = f"Authorization: Bearer {place.staff}"
        kind = ("Content-Type: application/json", f"Accept: {_ACCEPT}")
        length = f"Content-Length: {size or len(content)}"
        return times * (head("/mcp", who, *kind, *lines, length, *more, method="POST") + content)

    return For(make)


def _half_closed(sent: Mapping[str, Any]) -> Send:
    """The client says that it has said all, and goes on reading."""

    async def send(place: Place) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.http)
        try:
            writer.write(_post(sent).make(place))
            writer.write_eof()
            async with asyncio.timeout(60):
                heard = await reader.read(65_536)
        except OSError:
            return CLOSED
        finally:
            writer.transport.abort()
        return max(statuses(heard), default=CLOSED)

    return send


def _bodies() -> Iterator[tuple[str, Send]]:
    long: dict[str, Any] = {
        "name": "search_pets",
        "arguments": {str(number): number for number in range(100_000)},
    }
    flat = json.dumps(message("tools/call", long)).encode()
    bodies: dict[str, bytes] = {
        "nothing": b"",
        "no JSON": b"nonsense",
        "100,000 members": flat,
        "1,900 members of the envelope": json.dumps(
            message("tools/list") | {str(number): number for number in range(1_900)}
        ).encode(),
        "lists 500,000 deep": b"[" * 500_000,
        "objects 900 deep as arguments": b'{"jsonrpc":"2.0","id":1,"method":"tools/call",'
        b'"params":{"name":"search_pets","arguments":' + b'{"a":' * 900 + b"1" + b"}" * 903,
        "a batch of 600": b"[" + b",".join([b'{"jsonrpc":"2.0","id":1,"method":"ping"}'] * 600) + b"]",
        "a batch of 20,000": b"[" + b",".join([b'{"jsonrpc":"2.0","id":1,"method":"ping"}'] * 20_000) + b"]",
        "a number of 1 MB": b'{"jsonrpc":"2.0","method":"ping","id":' + b"9" * (MIB - 100) + b"}",
        "a number of 4,000 digits": b'{"jsonrpc":"2.0","method":"ping","id":' + b"9" * 4_000 + b"}",
        "an id of 1 MB": json.dumps(message("ping") | {"id": "x" * (MIB - 500)}).encode(),
        "a method of 1 MB": json.dumps(message("m" * (MIB - 500))).encode(),
        "half a character": b'{"jsonrpc":"2.0","id":"\\ud800","method":"tools/list","params":{}}',
        "a response": b'{"jsonrpc":"2.0","id":1,"result":{}}',
        "a notification of 1 MB": json.dumps(
            {"jsonrpc": "2.0", "method": "notifications/x", "params": {"x": "x" * (MIB - 200)}}
        ).encode(),
    }
    for name, body in bodies.items():
        for version in (NEW, OLD):
            yield f"{version}: {name}", _body(body, **{_VERSION: version, "Mcp_Method": "tools/call"})


def _headers() -> Iterator[tuple[str, Send]]:
    sent = json.dumps(message("tools/list")).encode()
    yield "no version", _body(sent)
    yield "a version of 20 kB", _body(sent, **{_VERSION: "2" * 20_000})
    yield "a version that is to come", _body(sent, **{_VERSION: "2099-01-01", "Mcp_Method": "tools/list"})
    yield "another method in the header", _body(sent, **{_VERSION: NEW, "Mcp_Method": "x" * 20_000})
    yield "a session of 20 kB", _body(sent, **{_VERSION: OLD, "Mcp_Session_Id": "x" * 20_000})
    kinds = ", ".join(["text/event-stream;q=0.1"] * 2_000)
    yield "2,000 media types", request("POST", "/mcp", sent, Accept=kinds, MCP_Protocol_Version=NEW)
    many = tuple(f"Mcp-Param-{number}: x" for number in range(240))
    call = message("tools/call", {"name": "search_pets", "arguments": {"criteria": {}}})
    yield "240 parameters in headers", raw(_post(call, more=many))
    yield "an origin of 20 kB", _body(sent, Origin="http://" + "x" * 20_000)
    yield "a page's origin", _body(sent, Origin="https://evil.example")


def _calls() -> Iterator[tuple[str, Send]]:
    text = "x" * (MIB - 1_000)
    yield "an unknown method", _call("unknown/" + "x" * 10_000, {})
    yield "1,000 unknown methods in a row", raw(_post(message("unknown"), times=1_000), answers=1_000)
    yield "100 unknown methods at once", _call("unknown", {}, times=100)
    yield "an unknown tool", _tool("x" * 20_000, {})
    yield "an argument of 1 MB", _tool("search_pets", {"criteria": {"text": text}})
    yield "an unknown argument of 1 MB", _tool("search_pets", {text: 1})
    yield "1,900 unknown arguments", _tool("search_pets", {str(number): number for number in range(1_900)})
    yield "an id of 1 MB", _tool("get_pet", {"id": text})
    yield "9,000 objects as an argument", _tool("place_order", {"items": [{}] * 9_000})
    yield "19,000 arguments", _tool("get_pet", {f"a{number}": 1 for number in range(19_000)})
    search = message("tools/call", {"name": "search_pets", "arguments": {"criteria": {}}})
    yield "1,000 calls in a row", raw(_post(search, times=1_000), answers=1_000)
    yield "1,000 calls at once", crowd(_CLIENTS, raw(_post(search, times=20), answers=20))
    yield "200 lists of 100 pets", _tool("search_pets", {"pagination": {"limit": 100}}, times=200)
    topics = [f"pets/{number}" for number in range(10_000)]
    yield "10,000 topics", _tool("recent_events", {"topics": topics})
    yield "1,900 topics", _tool("recent_events", {"topics": topics[:1_900]})
    yield "a topic of 1 MB", _tool("recent_events", {"topics": ["a/" * (MIB // 2 - 500)]})
    yield "a cursor of 1 MB", _tool("recent_events", {"topics": ["#"], "after": text})
    yield "what is never found", _tool("recent_events", {"topics": ["pets/x/y"], "after": "earliest"})
    everything = {"topics": ["#"], "after": "earliest", "limit": 100}
    yield "all that is kept, 50 times", _tool("recent_events", everything, times=50)
    asked = {"messages": [{"role": "USER", "content": "not a dog or " * 38}] * 200}
    yield "a long conversation", _tool("ask_advisor", asked)
    yield "50 questions", _tool("ask_advisor", asked, times=50, progressToken="p")
    key: dict[str, Any] = {"petstoreapi.com/idempotencyKey": text}
    yield "an idempotency key of 1 MB", _tool("place_order", {}, **key)
    yield "a progress token of 1 MB", _tool("search_pets", {}, progressToken=text)
    yield (
        "9,000 members of _meta",
        _tool("search_pets", {}, **{str(number): number for number in range(9_000)}),
    )
    yield "a _meta of 1 MB", _tool("search_pets", {}, x=text)
    yield (
        "a prompt's argument of 1 MB",
        _call("prompts/get", {"name": "find_a_pet", "arguments": {"home": text}}),
    )
    braces = {"home": "{0!r:>{width}}" * 60_000}
    yield "a prompt's argument of braces", _call("prompts/get", {"name": "find_a_pet", "arguments": braces})
    arguments = {str(number): "x" for number in range(1_900)}
    yield "1,900 arguments of a prompt", _call("prompts/get", {"name": "find_a_pet", "arguments": arguments})
    pet = {"type": "ref/prompt", "name": "adopt_a_pet"}
    for name, ref, argument in (
        ("a beginning of 1 MB", pet, {"name": "pet", "value": text}),
        ("a beginning of 500,000 commas", {"type": "ref/prompt", "name": "what_changed"},
         {"name": "topics", "value": "," * 500_000}),
        ("a beginning of blanks", pet, {"name": "pet", "value": " " * (MIB - 1_000)}),
        ("a reference of 1 MB", {"type": "ref/resource", "uri": text}, {"name": "id", "value": ""}),
    ):  # fmt: skip
        yield f"completion: {name}", _call("completion/complete", {"ref": ref, "argument": argument})
    context = {"arguments": {str(number): "x" for number in range(1_900)}}
    yield (
        "completion: 1,900 values before it",
        _call(
            "completion/complete",
            {"ref": pet, "argument": {"name": "pet", "value": "b"}, "context": context},
        ),
    )
    yield (
        "200 completions at once",
        _call("completion/complete", {"ref": pet, "argument": {"name": "pet", "value": "b"}}, times=200),
    )
    yield "a page of 1 MB", _call("tools/list", {"cursor": text})
    yield "a resource of 1 MB", _call("resources/read", {"uri": "petstore://pets/" + "x" * 20_000})
    yield "200 lists of tools", _call("tools/list", {}, times=200)
    yield "200 lists of tools, the old way", _call("tools/list", {}, OLD, times=200)
    yield (
        "200 beginnings, the old way",
        _call(
            "initialize",
            {"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}},
            OLD,
            times=200,
        ),
    )


def _streams() -> Iterator[tuple[str, Send]]:
    inventory = ["petstore://inventory"]
    yield "listen: 5,000 resources", raw(_post(_listen(_PETS)))
    yield "listen: 1,900 resources", raw(_post(_listen(_PETS[:1_900])))
    yield "listen: 100 resources", raw(_post(_listen(_PETS[:100])))
    yield "listen: one resource 1,900 times", raw(_post(_listen(inventory * 1_900)))
    yield "listen: a resource of 1 MB", raw(_post(_listen(["petstore://pets/" + "x" * (MIB - 1_000)])))
    cursor = {"petstoreapi.com/cursor": "x" * (MIB - 1_000)}
    yield "listen: a cursor of 1 MB", raw(_post(_listen(inventory, **cursor)))
    yield "listen: all that is kept", raw(_post(_listen(inventory, **{"petstoreapi.com/cursor": "earliest"})))
    yield "listen: nothing", raw(_post(_listen([])))
    opened = raw(_post(_listen(inventory)))
    yield "listen: 1,000 opened and left", crowd(1_000, opened)
    asked = {"messages": [{"role": "USER", "content": "not a dog or " * 38}] * 200}
    call = message("tools/call", {"name": "ask_advisor", "arguments": asked, "_meta": {"progressToken": 1}})
    yield "a call that is left", raw(_post(call), unfinished=True)
    yield "half-closed in a call", _half_closed(call)
    yield "half-closed in a stream", _half_closed(_listen(inventory))
    slow = _post(message("tools/list"), size=100_000)
    yield "a slow body", raw(slow, *[b" "] * 20, pause_seconds=0.02, unfinished=True)


def _crowds() -> Iterator[tuple[str, Send]]:
    unknown = {str(number): number for number in range(9_000)}
    yield "long arguments", _tool("search_pets", {"criteria": {"text": "x" * (MIB - 1_000)}})
    yield (
        "100,000 members",
        _body(
            json.dumps(message("tools/call", {str(number): number for number in range(100_000)})).encode(),
            **{_VERSION: NEW, "Mcp_Method": "tools/call"},
        ),
    )
    yield "9,000 unknown arguments", _tool("search_pets", unknown)
    yield "9,000 members of _meta", _tool("search_pets", {}, **unknown)
    yield "1,900 topics", _tool("recent_events", {"topics": [f"pets/{number}" for number in range(1_900)]})
    yield (
        "prompts of 1 MB",
        _call("prompts/get", {"name": "find_a_pet", "arguments": {"home": "x" * (MIB - 1_000)}}),
    )
    yield (
        "completions",
        _call(
            "completion/complete",
            {
                "ref": {"type": "ref/prompt", "name": "adopt_a_pet"},
                "argument": {"name": "pet", "value": "b" * 100},
            },
        ),
    )
    yield "20 unknown methods in a row", raw(_post(message("unknown"), times=20), answers=20)
    yield "5 lists of tools in a row", raw(_post(message("tools/list"), times=5), answers=5)
    yield (
        "batches of 600",
        _body(
            b"[" + b",".join([b'{"jsonrpc":"2.0","id":1,"method":"ping"}'] * 600) + b"]", **{_VERSION: OLD}
        ),
    )
    yield "listens to 1,900 resources", raw(_post(_listen(_PETS[:1_900])))
    yield "listens to 100 resources", raw(_post(_listen(_PETS[:100])))
    yield "half-closed streams", _half_closed(_listen(["petstore://inventory"]))


def _inputs() -> Iterator[Input]:
    for name, send in (*_bodies(), *_headers(), *_calls(), *_streams()):
        yield Input(name, "MCP", send)
    for name, send in _crowds():
        yield Input(f"{_CLIENTS} clients: {name}", "MCP", crowd(_CLIENTS, send))


CORPUS: tuple[Input, ...] = tuple(_inputs())
