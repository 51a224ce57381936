"""The AsyncAPI document as a judge of real frames: does what went over the wire fit what the document says?

    contract = Contract.load()
    contract.check("websocket", "/v1/ws/events", "server", {"type": "pong", "data": {"cursor": "…"}})
    contract.check("socketio", "/socket.io/", "client", {"event": "subscribe", "data": {"topics": ["#"]}})
    contract.check("socketio", "/socket.io/", "server", {"ack": "subscribe", "data": {"ok": True, "data": {…}}})
    contract.check("sse", "/v1/events", "server", {"id": "…", "event": "pet.created", "data": '{"id": …}'})
    contract.check("mqtt", None, "server", {"topic": "pets/…", "payload": b"…", "properties": {…}})
    contract.check("endpoint", "webhooks.events", "server", {"headers": {…}, "body": b"…"})

The signatures, which other tests build on:

    Contract.load(text: str | None = None) -> Contract
    Contract.check(door: str, channel: str | None, sender: "server" | "client", frame: Mapping[str, Any],
                   message: str | None = None) -> str

``check`` gives the key of the message that the frame fits (such as ``event.pet.created``), and raises `Misfit`, an
AssertionError that says what is wrong with it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonschema import Draft7Validator, FormatChecker  # type: ignore[import-untyped]
from referencing import Registry
from referencing.jsonschema import DRAFT7

DOCUMENT = Path(__file__).resolve().parent.parent / "asyncapi" / "asyncapi.yaml"

Sender = Literal["server", "client"]
_BASE = "urn:petstore:asyncapi"


class Misfit(AssertionError):
    """A frame is not what the document says."""


@dataclass(frozen=True)
class _Message:
    """A message as one of the sides may send it; ``binding`` is MQTT's of the operation."""

    key: str
    name: str
    payload: Any
    headers: Any
    binding: Mapping[str, Any]

    def violations(self, payload: object, headers: object) -> list[str]:
        """What is wrong with a frame if it should be this message."""
        found = [] if self.payload is not None or payload is None else ["it has no payload"]
        for validator, value in ((self.payload, payload), (self.headers, headers)):
            if validator is not None and value is not None:
                found += [told for error in validator.iter_errors(value) for told in _told(error)]
            elif validator is not None and validator is self.payload:
                found.append("it has a payload")
        return found


@dataclass
class _Channel:
    address: str
    pattern: re.Pattern[str]
    servers: frozenset[str]
    messages: dict[Sender, dict[str, _Message]] = field(default_factory=lambda: {"server": {}, "client": {}})


class Contract:
    """What the document says that may go over the wire."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._registry: Any = Registry().with_resource(_BASE, DRAFT7.create_resource(document))
        self._channels = {
            key: _Channel(
                address := channel["address"] or key,
                _pattern(address),
                frozenset(map(_last, channel["servers"])),
            )
            for key, channel in document["channels"].items()
        }
        for operation in document["operations"].values():
            key = _last(operation["channel"])
            sender: Sender = "server" if operation["action"] == "send" else "client"
            binding = operation.get("bindings", {}).get("mqtt", {})
            self._add(key, sender, operation["messages"], binding)
            self._add(key, "server", operation.get("reply", {}).get("messages", ()), {})

    @classmethod
    def load(cls, text: str | None = None) -> "Contract":
        """Read the committed document, or the one given as YAML or JSON."""
        text = DOCUMENT.read_text(encoding="utf-8") if text is None else text
        return cls(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))

    def check(
        self,
        door: str,
        channel: str | None,
        sender: Sender,
        frame: Mapping[str, Any],
        message: str | None = None,
    ) -> str:
        """Pass a frame that fits a message of a channel, and give the key of that message.

        ``door`` is one of the document's servers (``websocket``, ``socketio``, ``sse``, ``mqtt``, ``endpoint``);
        ``channel`` the address of one of its channels, its key where it has none, None for the one that has the
        frame's topic; ``sender`` who sent the frame.
        ``message`` asks for one message by its key, such as ``subscribe.ack``.

        A frame is, by door:

        * websocket: the whole JSON object;
        * socketio: ``{"event": name, "data": argument}``, where the argument may be left out, or ``{"ack": name,
          "data": argument}`` for the answer to the event of that name. The handshake is the client's event
          ``connect``; a refusal is the server's ``connect_error`` with ``{"message", "data"}``;
        * sse: a block, field by field: ``id``, ``event``, ``retry``, and ``data`` as text or already read;
        * mqtt: ``topic``, ``payload`` (bytes, text or already read), and where they are known ``qos``, ``retain``,
          and ``properties``, the user properties as pairs or as a mapping (None: version 3.1.1 has none);
        * endpoint: ``headers`` and ``body`` of a request.

        Raises:
            Misfit: it fits none.
        """
        place = f"{door} {channel or frame.get('topic')}, from the {sender}"
        messages = self._messages(door, channel, sender, frame, place)
        payload, headers, key, name = _read(door, frame)
        key = message or key
        candidates = [
            found for found in messages.values() if (found.name == name if key is None else found.key == key)
        ]
        if not candidates:
            raise Misfit(
                f"{place}: there is no message {key or name!r}, but {', '.join(messages)}\n{_short(frame)}"
            )
        complaints = []
        for found in candidates:
            violations = found.violations(payload, headers) + _delivery_violations(found.binding, frame)
            if not violations:
                return found.key
            complaints.append(
                (
                    len(violations),
                    f"  as {found.key}:\n" + "".join(f"    {violation}\n" for violation in violations),
                )
            )
        nearest = sorted(complaints)[:3]
        raise Misfit(
            f"{place}: this is not what the document says\n{_short(frame)}\n"
            + "".join(text for _, text in nearest)
        )

    def keys(self, door: str, sender: Sender) -> set[str]:
        """The messages that one side may send at a door, on any channel."""
        return {
            key
            for channel in self._channels.values()
            if door in channel.servers
            for key in channel.messages[sender]
        }

    def violations(self, resource: str, payload: object, headers: object) -> list[str]:
        """What keeps a payload and headers from being a message, which is named as in the document's components."""
        return self._message(resource, resource, {}).violations(payload, headers)

    def _add(self, key: str, sender: Sender, references: Iterable[Mapping[str, str]], binding: Any) -> None:
        for reference in references:
            name = _last(reference)
            resource = _last(self.document["channels"][key]["messages"][name])
            self._channels[key].messages[sender][name] = self._message(name, resource, binding)

    def _message(self, key: str, resource: str, binding: Mapping[str, Any]) -> _Message:
        message = self.document["components"]["messages"][resource]
        return _Message(
            key,
            message["name"],
            self._validator(resource, message, "payload"),
            self._validator(resource, message, "headers"),
            binding,
        )

    def _validator(self, resource: str, message: Mapping[str, Any], part: str) -> Any:
        if part not in message:
            return None
        schema = {"$ref": f"{_BASE}#/components/messages/{resource}/{part}"}
        return Draft7Validator(schema, registry=self._registry, format_checker=FormatChecker())

    def _messages(
        self, door: str, channel: str | None, sender: Sender, frame: Mapping[str, Any], place: str
    ) -> dict[str, _Message]:
        topic = frame.get("topic") if door.startswith("mqtt") else None
        found = [
            one
            for one in self._channels.values()
            if door in one.servers
            and (channel is None or channel == one.address)
            and (topic is None or one.pattern.fullmatch(topic))
        ]
        if len(found) != 1:
            raise Misfit(f"{place}: there are {len(found)} such channels\n{_short(frame)}")
        return found[0].messages[sender]


def _read(door: str, frame: Mapping[str, Any]) -> tuple[Any, Any, str | None, str]:
    """Payload, headers, and which message it should be: the key where that can be told, the name."""
    if door == "websocket":
        return frame, None, _event_key(frame.get("type"), frame.get("data")), str(frame.get("type"))
    if door == "socketio":
        data = frame.get("data", {})
        if "ack" in frame:
            refused = isinstance(data, Mapping) and data.get("ok") is False
            return data, None, "refused" if refused else f"{frame['ack']}.ack", "ack"
        return data, None, _event_key(frame["event"], data), frame["event"]
    if door == "sse":
        headers = {key: value for key, value in frame.items() if key != "data"}
        if str(headers.get("retry", "")).isdigit():
            headers["retry"] = int(headers["retry"])
        return _json(frame.get("data")), headers, None, frame.get("event", "")
    if door == "endpoint":
        payload = _json(frame["body"])
        return payload, dict(frame["headers"]), None, payload.get("eventType", "order.callback")
    payload, properties = _json(frame["payload"]), frame.get("properties")
    kind = payload.get("eventType") if isinstance(payload, Mapping) else None
    return payload, None if properties is None else dict(properties), None, kind or "telemetry"


def _event_key(name: object, data: object) -> str | None:
    """The message of an event as it is; by its name alone it could be any of them."""
    if name == "event" and isinstance(data, Mapping) and "eventType" in data:
        return f"event.{data['eventType']}"
    return None


def _told(error: Any) -> list[str]:
    """What is wrong, of several possible forms with each but null."""
    forms = [one for one in error.context or () if (one.validator, one.validator_value) != ("type", "null")]
    if forms:
        return [told for one in forms for told in _told(one)]
    return [f"{error.json_path}: {error.message[:300]}"]


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str | bytes | bytearray) else value


def _delivery_violations(binding: Mapping[str, Any], frame: Mapping[str, Any]) -> list[str]:
    violations = []
    if frame.get("qos", 0) > binding.get("qos", 2):
        violations.append(f"the quality of service is {frame['qos']}")
    if frame.get("retain", False) and not binding.get("retain", True):
        violations.append("it is retained")
    return violations


def _pattern(address: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(map(re.escape, re.split(r"{\w+}", address))))


def _last(reference: Mapping[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]


def _short(frame: object) -> str:
    text = repr(frame)
    return f"  {text[:600]}{'…' if len(text) > 600 else ''}"
