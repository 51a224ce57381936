"""GraphQL: calls with httpx, streams with websockets (graphql-transport-ws) and with httpx (graphql-sse).

Documents are made from the schema: all of a result that REST shows too, so not the links to other resources.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from enum import Enum
from pathlib import Path
from typing import Any

import httpx
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    get_nullable_type,
    is_list_type,
)
from pydantic.alias_generators import to_camel
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

import protocols.graphql
from core.kernel.caller import Scope
from core.models.pet_search import SortKey
from protocols.graphql.bindings import BINDINGS, Binding
from protocols.graphql.errors import CODES
from tests.conformance.door import Ability, Answer, Driver, End, Refused, Stream, Told
from tests.conformance.people import headers_of
from tests.conformance.shapes import compact
from tests.http_clients import http_client

PATH = "/v1/graphql"
_BOUND: dict[str, Binding] = {binding.operation.name: binding for binding in BINDINGS}
_SCHEMA = build_schema((Path(protocols.graphql.__path__[0]) / "schema.graphql").read_text())
#: What leads to another resource, or is there for subscriptions only.
_NOT_SHOWN = {
    ("Pet", "owner"),
    ("Order", "user"),
    ("OrderItem", "pet"),
    ("Adoption", "pet"),
    ("Adoption", "user"),
    ("Message", "cursor"),
}
SourceObject = Enum("SourceObject", {"CARD": "card", "BANK_ACCOUNT": "bank_account"})
#: Enumerations whose values are no names as GraphQL has them.
_ENUMS: dict[str, type[Enum]] = {
    "Scope": Scope,
    "SortKey": SortKey,
    "SourceObject": SourceObject,
}
_SLUGS = {code: error.value for error, code in CODES.items()}
_ID = "1"


class GraphqlDriver(Driver):
    """Somebody who asks over HTTP, and follows over WebSocket."""

    operations = frozenset(_BOUND)
    abilities = frozenset(
        {Ability.FOLLOW, Ability.RESUME, Ability.IF_MATCH, Ability.IDEMPOTENCY, Ability.ASK, Ability.DECIDE}
    )

    async def call(
        self,
        operation: str,
        /,
        *,
        body: Any = None,
        if_match: str | None = None,
        key: str | None = None,
        **params: Any,
    ) -> Answer:
        binding = _BOUND[operation]
        arguments = {to_camel(binding.of) if name == "id" else name: value for name, value in params.items()}
        if body is not None:
            choice = [to_camel(member) for member in binding.choice]
            within = {} if binding.spread else {n: v for n, v in body.items() if not choice or n in choice}
            arguments |= {name: value for name, value in body.items() if name not in within}
            arguments |= {} if binding.spread else {"input": within}
        if if_match is not None:
            arguments["ifMatch"] = if_match
        if key is not None:
            arguments["idempotencyKey"] = key
        async with http_client(base_url=self.node.url) as client:
            answer = await client.post(
                PATH,
                json=_request(binding, arguments),
                headers={**headers_of(self.person), "Accept": "application/graphql-response+json"},
            )
        told = answer.json()
        if "errors" in told:
            raise _refused(told["errors"][0])
        return _answer(binding, told["data"][binding.name])

    async def ask(self, body: dict[str, Any]) -> Told:
        url = self.node.url.replace("http", "ws", 1) + PATH
        payload = {"tenantId": self.person.tenant}
        if self.person.token is not None:
            payload["Authorization"] = f"Bearer {self.person.token}"
        parts = []
        async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None) as socket:
            await _say(socket, type="connection_init", payload=payload)
            assert (await _hear(socket))["type"] == "connection_ack"
            await _say(socket, type="subscribe", id=_ID, payload=_question(body))
            while (message := await _hear(socket))["type"] != "complete":
                if message["type"] == "error":
                    raise _refused(message["payload"][0])
                parts.append(message["payload"]["data"]["completion"])
        return _told(parts)

    @contextlib.asynccontextmanager
    async def follow(self, *topics: str, cursor: str | None = None) -> AsyncIterator[Stream]:
        url = self.node.url.replace("http", "ws", 1) + PATH
        payload = {"tenantId": self.person.tenant}
        if self.person.token is not None:
            payload["Authorization"] = f"Bearer {self.person.token}"
        stream = Stream()
        # Without pings of the client's own, which would end the connection of one that reads nothing.
        connecting = connect(
            url, subprotocols=[Subprotocol("graphql-transport-ws")], ping_interval=None, proxy=None
        )
        async with connecting as socket:
            try:
                await _say(socket, type="connection_init", payload=payload)
                assert (await _hear(socket))["type"] == "connection_ack"
                await _say(socket, type="subscribe", id=_ID, payload=_subscription(topics, cursor))
                message = await _hear(socket)
            except ConnectionClosed as closed:
                raise Refused(_why(closed)) from None
            if message["type"] == "error":
                raise _refused(message["payload"][0])
            assert message["type"] == "pong", message
            stream.cursor = message["payload"]["cursors"][_ID]
            reader = asyncio.create_task(_read(socket, stream))
            try:
                yield stream
            finally:
                await _stop(reader)
                if not stream.reading.is_set():
                    socket.transport.abort()  # Who reads nothing won't read the farewell either.


class GraphqlSseDriver(Driver):
    """Somebody who follows over an event stream."""

    abilities = frozenset({Ability.FOLLOW, Ability.RESUME, Ability.ASK})

    async def ask(self, body: dict[str, Any]) -> Told:
        headers = {**headers_of(self.person), "Accept": "text/event-stream"}
        async with http_client(base_url=self.node.url) as client:
            answer = await client.post(PATH, json=_question(body), headers=headers)
        blocks = [
            block.split("data: ", 1)[1] for block in answer.text.split("\n\n") if "event: next" in block
        ]
        parts = []
        for block in map(json.loads, blocks):
            if "errors" in block:
                raise _refused(block["errors"][0])
            parts.append(block["data"]["completion"])
        return _told(parts)

    @contextlib.asynccontextmanager
    async def follow(self, *topics: str, cursor: str | None = None) -> AsyncIterator[Stream]:
        headers = {**headers_of(self.person), "Accept": "text/event-stream"}
        stream, timeout = Stream(), httpx.Timeout(20, read=None)
        async with (
            http_client(base_url=self.node.url, timeout=timeout) as client,
            client.stream("POST", PATH, json=_subscription(topics, cursor), headers=headers) as answer,
        ):
            if answer.status_code != 200:
                raise _refused(json.loads(await answer.aread())["errors"][0])
            lines = answer.aiter_lines()
            first = await _block(lines)
            if first.get("data"):
                raise _refused(json.loads(first["data"])["errors"][0])
            # Some clients overlook the id of a block without data.
            assert "data" in first
            stream.cursor = first["id"]
            reader = asyncio.create_task(_read_blocks(lines, stream))
            try:
                yield stream
            finally:
                await _stop(reader)


def _question(body: dict[str, Any]) -> dict[str, Any]:
    """The subscription that asks the advisor."""
    field = _SCHEMA.subscription_type.fields["completion"]  # type: ignore[union-attr] # there is one
    declared = ", ".join(f"${name}: {field.args[name].type}" for name in body)
    passed = ", ".join(f"{name}: ${name}" for name in body)
    query = f"subscription({declared}) {{ completion({passed}) {_selection(field.type)} }}"
    return {"query": query, "variables": body}


def _told(parts: list[dict[str, Any]]) -> Told:
    texts, last = [part["text"] for part in parts], parts[-1]
    return Told("".join(texts), last["finishReason"], last["usage"], sum(map(bool, texts)))


async def _stop(reader: "asyncio.Task[None]") -> None:
    reader.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reader


# --- calls ---


def _request(binding: Binding, arguments: dict[str, Any]) -> dict[str, Any]:
    """A document that asks for one field with all that it shows, and its variables."""
    root = _SCHEMA.get_type(binding.root)
    assert isinstance(root, GraphQLObjectType)
    field = root.fields[binding.name]
    types = {name: field.args[name].type if name in field.args else None for name in arguments}
    declared = ", ".join(f"${name}: {kind or 'String'}" for name, kind in types.items())
    passed = ", ".join(f"{name}: ${name}" for name in types)
    query = (
        f"{binding.root.lower()}{declared and f'({declared})'} "
        f"{{ {binding.name}{passed and f'({passed})'} {_selection(field.type)} }}"
    )
    return {"query": query, "variables": {name: _given(arguments[name], types[name]) for name in types}}


def _selection(kind: GraphQLOutputType) -> str:
    named = get_named_type(kind)
    if isinstance(named, GraphQLUnionType):
        return f"{{ {' '.join(f'... on {one.name} {_selection(one)}' for one in named.types)} }}"
    if not isinstance(named, GraphQLObjectType):
        return ""
    fields = (
        f"{name} {_selection(field.type)}"
        for name, field in named.fields.items()
        if (named.name, name) not in _NOT_SHOWN
    )
    return f"{{ {' '.join(fields)} }}"


def _given(value: Any, kind: GraphQLInputType | None) -> Any:
    """An input as GraphQL has it: names of enumerated values, bytes in base64."""
    named = None if kind is None else get_named_type(kind)
    if isinstance(value, list):
        return [_given(item, kind) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(named, GraphQLInputObjectType) and isinstance(value, dict):
        types = {name: named.fields[name].type if name in named.fields else None for name in value}
        return {name: _given(value[name], types[name]) for name in value}
    if isinstance(named, GraphQLEnumType) and named.name in _ENUMS:
        return next((member.name for member in _ENUMS[named.name] if member.value == value), value)
    return value


def _answer(binding: Binding, value: Any) -> Answer:
    root = _SCHEMA.get_type(binding.root)
    assert isinstance(root, GraphQLObjectType)
    kind = root.fields[binding.name].type
    if value is True:
        return Answer(None)
    shown = compact(_shown(value, kind))
    if binding.items_only:
        return Answer({"data": shown})
    return Answer(shown, value.get("etag"))


def _shown(value: Any, kind: GraphQLOutputType) -> Any:
    """A value as REST shows it: without tags, and with the values of enumerations."""
    if value is None:
        return None
    bare = get_nullable_type(kind)
    if is_list_type(bare):
        return [_shown(item, bare.of_type) for item in value]
    if isinstance(bare, GraphQLEnumType):
        return _ENUMS[bare.name][value].value if bare.name in _ENUMS else value
    kinds = bare.types if isinstance(bare, GraphQLUnionType) else (bare,)
    fields = {
        name: field
        for kind in kinds
        if isinstance(kind, GraphQLObjectType)
        for name, field in kind.fields.items()
    }
    if fields:
        return {name: _shown(inner, fields[name].type) for name, inner in value.items() if name != "etag"}
    return value


def _refused(error: dict[str, Any]) -> Refused:
    extensions = error["extensions"]
    return Refused(
        _SLUGS[extensions["code"]],
        fields=[(violation["field"], violation["code"]) for violation in extensions.get("errors", ())],
        oldest_cursor=extensions.get("oldestCursor"),
        retry_after=extensions.get("retryAfter"),
    )


# --- streams ---


def _subscription(topics: tuple[str, ...], cursor: str | None) -> dict[str, Any]:
    root = _SCHEMA.subscription_type
    assert root is not None
    query = (
        "subscription($topics: [String!]!, $after: String) "
        f"{{ events(topics: $topics, after: $after) {_selection(root.fields['events'].type)} }}"
    )
    return {"query": query, "variables": {"topics": list(topics), "after": cursor}}


def _event(answer: dict[str, Any]) -> dict[str, Any]:
    """The envelope; what has no place in the log has no cursor."""
    event: dict[str, Any] = answer["data"]["events"]
    return {name: value for name, value in event.items() if value is not None}


def _end(error: dict[str, Any], place: str | None) -> End:
    refused = _refused(error)
    return End(refused.code, place, refused.oldest_cursor)


def _why(closed: ConnectionClosed) -> str:
    """Why the server closed a WebSocket; it says so in front of the words for people."""
    assert closed.rcvd is not None, closed
    return "bad-request" if closed.rcvd.code == 4400 else _SLUGS[closed.rcvd.reason.partition(":")[0]]


async def _say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def _hear(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await socket.recv())
    return message


async def _read(socket: ClientConnection, stream: Stream) -> None:
    place = stream.cursor
    try:
        while True:
            await stream.reading.wait()
            message = await _hear(socket)
            match message["type"]:
                case "ping" | "pong":
                    place = message.get("payload", {}).get("cursors", {}).get(_ID, place)
                    if message["type"] == "ping":
                        await _say(socket, type="pong")
                case "next":
                    answer = message["payload"]
                    place = answer.get("extensions", {}).get("cursor", place)
                    stream.put(_event(answer))
                case "error":
                    stream.end(_end(message["payload"][0], place))
                    return
    except ConnectionClosed as closed:
        if closed.rcvd is not None:
            stream.end(End(_why(closed), place))


async def _read_blocks(lines: AsyncIterator[str], stream: Stream) -> None:
    place = stream.cursor
    try:
        while True:
            await stream.reading.wait()
            block = await _block(lines)
            place = block.get("id", place) if "data" in block else place
            if "" in block:
                stream.end(End(_SLUGS[block[""].partition(":")[0]], place))
                return
            if not block.get("data"):
                continue
            answer = json.loads(block["data"])
            if "errors" in answer:
                stream.end(_end(answer["errors"][0], place))
                return
            stream.put(_event(answer))
    except (EOFError, httpx.TransportError):
        return


async def _block(lines: AsyncIterator[str]) -> dict[str, str]:
    block: dict[str, str] = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(":")
            block[name] = value.removeprefix(" ")
        elif block:
            return block
    raise EOFError
