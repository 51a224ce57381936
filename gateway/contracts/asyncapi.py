"""The AsyncAPI 3.0 document of the live doors, assembled from the declarations of each door."""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema, to_json

from core.kernel.limits import Limits
from gateway.contracts import webhooks
from gateway.settings import Settings
from protocols.asyncapi import Channel, DoorDescription, Extended, MessageDescription, envelopes
from protocols.http.schemas import REF, StoreSchema, tidy
from protocols.mqtt.asyncapi import DOOR as MQTT
from protocols.socketio.asyncapi import DOOR as SOCKETIO
from protocols.sse.asyncapi import DOOR as SSE
from protocols.websocket.asyncapi import DOOR as WEBSOCKET

Document = dict[str, Any]

_INFO = {
    "title": "Petstore Gateway",
    "version": version("petstore-gateway"),
    "description": (
        "One pet store behind many protocols: these are its live doors, and what it posts to others. An event is the "
        "same on each of them, with the same id and the same cursor; a client that was disconnected resumes with that "
        "cursor on any door, and gets each event it missed once, in order. Topics are filtered as in MQTT "
        "(`orders/+/status`, `pets/#`). A client without credentials is a visitor, and sees what is public. "
        "Messages that are not listed here are not sent."
    ),
    "license": {"name": "MIT"},
}
_SECURITY_SCHEMES: Document = {
    "bearerAuth": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token from `POST /v1/auth/tokens`, in the header Authorization.",
    },
    "apiKeyAuth": {
        "type": "httpApiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key from `POST /v1/api-keys`.",
    },
    "queryToken": {
        "type": "httpApiKey",
        "in": "query",
        "name": "token",
        "description": "An access token, for browsers that cannot send headers.",
    },
    "password": {
        "type": "userPassword",
        "description": (
            "A user's or a device's name and password, or any name with an access token as password; in MQTT 5 also "
            "the authentication method `token` with the token as data."
        ),
    },
}
_HTTP_SECURITY = ("bearerAuth", "apiKeyAuth", "queryToken")


def _default(setting: str) -> str:
    return str(Settings.model_fields[setting].default)


def _server(
    protocol: str, version: str, port: str, description: str, security: tuple[str, ...], **more: Any
) -> Document:
    return {
        "host": "{host}:{port}",
        **more,
        "protocol": protocol,
        "protocolVersion": version,
        "description": description,
        "variables": {
            "host": {"description": "The gateway's host name or address.", "default": _default("host")},
            "port": {"description": f"`PETSTORE_{port.upper()}`.", "default": _default(port)},
        },
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in security],
    }


_MQTT_BINDINGS = {"mqtt": {"maximumPacketSize": Limits().frame_bytes, "bindingVersion": "0.2.0"}}
#: The servers of each door.
_DOORS: tuple[tuple[DoorDescription, Document], ...] = (
    (
        SSE,
        {
            "sse": _server(
                "http",
                "1.1",
                "port",
                "Server-Sent Events; https when there is a certificate.",
                _HTTP_SECURITY,
            )
        },
    ),
    (
        WEBSOCKET,
        {
            "websocket": _server(
                "ws", "13", "port", "WebSocket; wss when there is a certificate.", _HTTP_SECURITY
            )
        },
    ),
    (
        SOCKETIO,
        {
            "socketio": _server(
                "socket.io",
                "5",
                "port",
                "Socket.IO, for the official clients; the token may be in the handshake's `auth` too.",
                ("bearerAuth", "apiKeyAuth"),
            )
        },
    ),
    (
        MQTT,
        {
            "mqtt": _server(
                "mqtt", "5", "mqtt_port", "MQTT 3.1.1 and 5.", ("password",), bindings=_MQTT_BINDINGS
            ),
            "mqtts": _server(
                "secure-mqtt",
                "5",
                "mqtt_tls_port",
                "MQTT with TLS, open when there is a certificate.",
                ("password",),
                bindings=_MQTT_BINDINGS,
            ),
            "mqttWebsocket": _server(
                "ws",
                "13",
                "port",
                "MQTT over WebSocket, subprotocol `mqtt`; wss when there is a certificate.",
                ("password", *_HTTP_SECURITY),
                pathname="/mqtt",
            ),
        },
    ),
    (webhooks.DOOR, webhooks.SERVERS),
)


def asyncapi_document() -> Document:
    """The document."""
    channels = [(door, channel, list(servers)) for door, servers in _DOORS for channel in door.channels]
    messages = {
        f"{door.name}.{message.key}": (message, mode)
        for door, channel, _ in channels
        for message, mode in _messages(channel)
    }
    schemas = Schemas(messages.values())
    document: Document = {
        "asyncapi": "3.0.0",
        "info": {**_INFO, "tags": [_tag(door, servers) for door, servers in _DOORS]},
        "defaultContentType": "application/json",
        "servers": {
            name: {**server, **door.extensions}
            for door, servers in _DOORS
            for name, server in servers.items()
        },
        "channels": {
            f"{door.name}.{channel.key}": _channel(door, channel, servers)
            for door, channel, servers in channels
        },
        "operations": {
            name: operation for door, channel, _ in channels for name, operation in _operations(door, channel)
        },
        "components": {
            "messages": {
                key: _message(message, mode, schemas) for key, (message, mode) in sorted(messages.items())
            },
            "schemas": schemas.components,
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }
    # What messages extend stands in them.
    used = set(re.findall(rf'"{REF}([^"]+)"', to_json(document).decode()))
    components = document["components"]
    components["schemas"] = {name: schema for name, schema in schemas.components.items() if name in used}
    return document


def _tag(door: DoorDescription, servers: Document) -> Document:
    return {"name": door.name, "description": next(iter(servers.values()))["description"]}


def _messages(channel: Channel) -> Iterator[tuple[MessageDescription, JsonSchemaMode]]:
    for message in channel.received:
        yield message, "validation"
        for reply in message.replies:
            yield reply, "serialization"
    for message in channel.sent:
        yield message, "serialization"


def _channel(door: DoorDescription, channel: Channel, servers: Iterable[str]) -> Document:
    described: Document = {"address": channel.address, "summary": channel.summary}
    if channel.description:
        described["description"] = channel.description
    described["servers"] = [{"$ref": f"#/servers/{name}"} for name in servers]
    if channel.parameters:
        described["parameters"] = {
            name: {"description": meaning} for name, meaning in channel.parameters.items()
        }
    described["messages"] = {
        message.key: {"$ref": f"#/components/messages/{door.name}.{message.key}"}
        for message, _ in _messages(channel)
    }
    if channel.bindings:
        described["bindings"] = dict(channel.bindings)
    return described


def _operations(door: DoorDescription, channel: Channel) -> Iterator[tuple[str, Document]]:
    """The gateway's operations on a channel: it receives each message of clients, and sends its own messages."""
    name = f"{door.name}.{channel.key}"
    place = {"$ref": f"#/channels/{name}"}
    tags = [{"name": door.name}]

    def refs(messages: Iterable[MessageDescription]) -> list[Document]:
        return [{"$ref": f"#/channels/{name}/messages/{message.key}"} for message in messages]

    for message in channel.received:
        operation = {
            "action": "receive",
            "channel": place,
            "summary": message.summary,
            "tags": tags,
            "messages": refs([message]),
        }
        if message.replies:
            operation["reply"] = {"channel": place, "messages": refs(message.replies)}
        if channel.receiving:
            operation["bindings"] = dict(channel.receiving)
        yield f"{name}.{message.key}", operation
    if channel.sent:
        operation = {
            "action": "send",
            "channel": place,
            "summary": channel.summary,
            "tags": tags,
            "messages": refs(channel.sent),
        }
        if channel.sending:
            operation["bindings"] = dict(channel.sending)
        yield f"{name}.send", operation


def _message(message: MessageDescription, mode: JsonSchemaMode, schemas: "Schemas") -> Document:
    described: Document = {"name": message.name, "summary": message.summary, **message.more}
    example: Document = {}
    if message.headers is not None:
        described["headers"] = message.headers
        example["headers"] = message.headers_example
    if message.payload is not None:
        described["payload"] = schemas.resolved(message.payload, mode)
        example["payload"] = message.example
    if message.bindings:
        described["bindings"] = dict(message.bindings)
    return {**described, "examples": [example]}


class _Exact(StoreSchema):
    """What the store writes is closed: it adds no member."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """An object, closed."""
        made = super().model_schema(schema)
        return made if self.mode == "validation" else {**made, "additionalProperties": False}


class Schemas:
    """The schemas of messages' payloads; ``components`` are those with names, in alphabetical order."""

    def __init__(self, messages: Iterable[tuple[MessageDescription, JsonSchemaMode]]) -> None:
        found: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
        events = envelopes()
        for message, mode in messages:
            found |= dict.fromkeys((model, mode) for model in _models(message.payload))
        found |= dict.fromkeys((model, "serialization") for model in _models(events))
        wanted = [(model, mode, TypeAdapter(model)) for model, mode in found]
        self._refs, made = TypeAdapter.json_schemas(
            wanted, ref_template=REF + "{model}", schema_generator=_Exact
        )
        named = {name: _plain(tidy(schema)) for name, schema in made["$defs"].items()}
        self._named = named
        events = {name: self.resolved(schema, "serialization") for name, schema in events.items()}
        self.components: Document = dict(sorted({**named, **events}.items()))

    def resolved(self, schema: Any, mode: JsonSchemaMode) -> Any:
        """A schema with references in the place of its models."""
        if isinstance(schema, type):
            return {"$ref": self._refs[(schema, mode)]["$ref"]}
        if isinstance(schema, Extended):
            base = self._named[self._refs[(schema.model, mode)]["$ref"].removeprefix(REF)]
            return {
                **base,
                "properties": {**base["properties"], **schema.members},
                "required": [
                    *base["required"],
                    *(key for key in schema.members if key not in base["required"]),
                ],
            }
        if isinstance(schema, Mapping):
            return {key: self.resolved(value, mode) for key, value in schema.items()}
        return schema


def _models(schema: Any) -> Iterator[type[BaseModel]]:
    if isinstance(schema, type):
        yield schema
    elif isinstance(schema, Extended):
        yield schema.model
    elif isinstance(schema, Mapping):
        for value in schema.values():
            yield from _models(value)


def _plain(schema: Any) -> Any:
    """Without what AsyncAPI's schemas (JSON Schema draft 7) do not have: members beside a reference, a
    discriminator."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    return {key: _plain(value) for key, value in schema.items() if key not in ("discriminator", "default")}
