"""What goes over the wire is what the AsyncAPI document says: all that can happen in a store, on every live door."""

import asyncio
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from core.kernel.errors import Close, CloseReason
from core.live.vocabulary import COMMANDS
from core.models.catalogue import EVENTS
from tests.asyncapi import Contract, Misfit, Sender
from tests.process import Gateway
from tests.protocols.live import live
from tests.protocols.socketio.clients import connected
from tests.protocols.story import CALLBACK, LISTENERS, POSTED, SOCKETS, Record, Seen, Story
from tests.servers import free_port

pytestmark = pytest.mark.slow


def optional_members(model: Any) -> set[str]:
    """The members of a model and of all within it that are left out when they have no value."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        fields = model.model_fields.items()
        own = {info.alias or name for name, info in fields if info.default is None}
        return own.union(*(optional_members(info.annotation) for _, info in fields))
    return set().union(*map(optional_members, get_args(model)))


OPTIONAL = set().union(*(optional_members(kind.data) for kind in EVENTS.values()))


@pytest.fixture(scope="module")
def contract() -> Contract:
    """The committed document."""
    return Contract.load()


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """All that goes over the wire of a gateway while everything happens in its store that can."""
    ports = {"mqtt_port": str(free_port())}
    settings = {"heartbeat_seconds": "0.5", "ping_seconds": "0.5", "allow_private_webhooks": "true"}
    gateway = Gateway(tmp_path_factory.mktemp("contract"), "--demo", **ports, **settings)
    gateway.start()
    try:
        return asyncio.run(Story(gateway.port, int(ports["mqtt_port"])).tell())
    finally:
        gateway.stop()


def check(contract: Contract, seen: Seen, frame: dict[str, Any] | None = None) -> str:
    return contract.check(
        seen.door, seen.channel, seen.sender, seen.frame if frame is None else frame, seen.message
    )


def test_every_frame_is_as_the_document_says(contract: Contract, record: Record) -> None:
    for seen in record.frames:
        check(contract, seen)


@pytest.mark.parametrize(("door", "channel", "wanted"), LISTENERS)
def test_every_event_was_seen(record: Record, door: str, channel: str | None, wanted: set[str]) -> None:
    assert dict(record.events(door, channel)).keys() == wanted


def test_every_command_was_given_and_acknowledged(contract: Contract, record: Record) -> None:
    for door in ("websocket", "socketio"):
        fitted = {(seen.sender, check(contract, seen)) for seen in record.frames if seen.door == door}
        assert {("client", name) for name in COMMANDS} <= fitted
        acks = {"pong" if (door, name) == ("websocket", "ping") else f"{name}.ack" for name in COMMANDS}
        others = {
            "connected",
            "error",
            *({"refused", "connected.chat", "connect_error"} if door == "socketio" else ()),
        }
        assert {("server", name) for name in acks | others} <= fitted


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a JSON value."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from objects(item)


@pytest.mark.parametrize(("door", "channel", "wanted"), LISTENERS)
def test_an_event_with_one_member_more_less_or_wrong_is_none(
    contract: Contract, record: Record, door: str, channel: str | None, wanted: set[str]
) -> None:
    for seen in dict(record.events(door, channel)).values():
        part = {"mqtt": "payload", "endpoint": "body"}.get(door, "data")
        whole = copy.deepcopy(seen.frame)
        if door in ("sse", "mqtt", "endpoint"):
            whole[part] = json.loads(whole[part])
        check(contract, seen, whole)
        for found in list(objects(whole[part])):
            found["surprise"] = 1
            with pytest.raises(Misfit, match="surprise"):
                check(contract, seen, whole)
            del found["surprise"]
            for name in list(found):
                value = found.pop(name)
                if name not in OPTIONAL:
                    with pytest.raises(Misfit):
                        check(contract, seen, whole)
                found[name] = [object()]
                with pytest.raises(Misfit):
                    check(contract, seen, whole)
                found[name] = value


@pytest.mark.parametrize(
    ("door", "channel", "sender", "frame"),
    [
        ("websocket", SOCKETS[0], "client", {"type": "subscribe", "data": {"topics": "#"}}),
        ("websocket", SOCKETS[0], "client", {"type": "dance"}),
        ("websocket", SOCKETS[0], "client", {"type": "ping", "chatId": "1"}),
        ("websocket", SOCKETS[0], "server", {"type": "subscribe", "data": {"topics": ["#"]}}),
        ("websocket", SOCKETS[0], "server", {"type": "connected", "data": {"user": {}}}),
        ("websocket", "/v1/ws", "server", {"type": "pong", "data": {}}),
        ("socketio", "/socket.io/", "client", {"event": "subscribe", "data": {}}),
        ("socketio", "/socket.io/", "server", {"ack": "ping", "data": {"ok": True}}),
        ("socketio", "/socket.io/", "server", {"ack": "ping", "data": {"ok": False, "error": "no"}}),
        ("sse", "/v1/events", "server", {"id": ""}),
        ("sse", "/v1/events", "server", {"event": "closed", "data": '{"reason": "boredom"}'}),
        ("mqtt", None, "client", {"topic": "telemetry/pets/1/health", "payload": {"pulse": 90}}),
        ("mqtt", None, "client", {"topic": "pets/1", "payload": {}}),
        ("mqtt", None, "server", {"topic": "weather", "payload": {}}),
        ("endpoint", POSTED, "server", {"headers": {}, "body": {"eventType": "weather.changed"}}),
        ("endpoint", CALLBACK, "server", {"headers": {}, "body": {"requestId": "1"}}),
    ],
)
def test_what_is_not_in_the_document_is_told(
    contract: Contract, door: str, channel: str | None, sender: Sender, frame: dict[str, Any]
) -> None:
    with pytest.raises(Misfit, match=door):
        contract.check(door, channel, sender, frame)


@pytest.mark.parametrize("reason", CloseReason)
async def test_every_end_is_in_the_document(contract: Contract, tmp_path: Path, reason: CloseReason) -> None:
    expired = reason is CloseReason.CURSOR_EXPIRED
    async with (
        live(tmp_path) as node,
        node.stream("#") as stream,
        node.socket() as socket,
        connected(node.port, topics=["#"]) as client,
    ):
        await stream.block()
        place = (await socket.ask("subscribe", topics=["#"]))["cursor"]
        await client.until("connected")
        node.sessions.close_all(Close(reason, "The end.", place if expired else None))
        blocks = [dict(await stream.block()) for _ in range(1 if expired else 2)]
        _, messages = await socket.end()
        _, told = await client.end()
        fitted = [contract.check("sse", "/v1/events", "server", block) for block in blocks]
        assert fitted == (["cursor-expired"] if expired else ["cursor", "closed"])
        for message in messages:
            contract.check("websocket", SOCKETS[0], "server", message)
        [(name, data)] = told
        ending = {"event": name, "data": data}
        fitted = [contract.check("socketio", "/socket.io/", "server", ending)]
        assert fitted == ["cursorExpired" if expired else "error"]
