"""What the documents say of the requests that the store makes: to webhooks, and to whoever wants to be called back.

In both documents the store is whose API it is. So they are `webhooks` and `callbacks` in OpenAPI, and in AsyncAPI
operations of the action `send`: "the application will send a message to the given channel" (AsyncAPI 3.0.0, Operation
Object); endpoints receive.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.alias_generators import to_camel

from core.kernel.events import EventKind
from core.models import examples
from core.models.callbacks import CallbackBody
from core.models.catalogue import EVENTS
from core.models.webhooks import WEBHOOK_TEST
from protocols.asyncapi import (
    Channel,
    DoorDescription,
    MessageDescription,
    envelope,
    envelope_example,
    envelopes,
    placeless,
)
from protocols.http.schemas import REF, StoreSchema, tidy

Document = dict[str, Any]

#: The headers of every request, with an example each.
_HEADERS: tuple[tuple[str, str, Document, str], ...] = (
    (
        "webhook-id",
        "The id of the event, or the `requestId` of a callback: the same for every attempt.",
        {"type": "string", "format": "uuid"},
        examples.EVENT_ID,
    ),
    (
        "webhook-timestamp",
        "When the attempt was made, in seconds since 1970.",
        {"type": "string", "pattern": "^[0-9]+$"},
        "1772554809",
    ),
    (
        "webhook-signature",
        "`v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`; one for each secret, separated by spaces "
        "(Standard Webhooks).",
        {"type": "string", "pattern": "^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*$"},
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
    (
        "X-Webhook-Signature",
        "`sha256=` and the hexadecimal HMAC-SHA256 of the body, by the newest secret.",
        {"type": "string", "pattern": "^sha256=[0-9a-f]{64}$"},
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    ),
)
_ATTEMPTS = (
    "Anything else than a status of 200 to 299 within five seconds is a failure, after which it is sent again: after "
    "1, 5, 30 and 60 minutes."
)
_CALLBACK = "The payment of an order has an outcome."
_RESULT: Document = {
    "orderStatus": "APPROVED",
    "amount": "350.00",
    "currency": "USD",
    "paymentId": examples.PAYMENT_ID,
    "receiptId": examples.RECEIPT_ID,
}
_CALLBACK_EXAMPLE: Document = {
    "requestId": "019e2d16-5a2f-7b3c-9d4e-8f0a1b2c3d4e",
    "orderId": examples.ORDER_ID,
    "status": "COMPLETED",
    "result": _RESULT,
    "timestamp": "2026-03-03T16:07:01.552Z",
}
#: What webhooks get: what is in the log, and tests.
_KINDS = (*(kind for kind in EVENTS.values() if not kind.ephemeral), WEBHOOK_TEST)


# --- AsyncAPI ---


def _message(key: str, summary: str, payload: Any, example: Document) -> MessageDescription:
    names = [name.lower() for name, *_ in _HEADERS]
    headers = {
        "type": "object",
        "properties": {
            name: {**schema, "description": text}
            for name, (_, text, schema, _) in zip(names, _HEADERS, strict=True)
        },
        "required": names,
    }
    shown = dict(zip(names, (example for *_, example in _HEADERS), strict=True))
    return MessageDescription(key, key, summary, payload, example, headers, shown)


def _event(kind: EventKind) -> MessageDescription:
    payload = placeless(kind) if kind is WEBHOOK_TEST else envelope(kind)
    return _message(kind.event_type, kind.description, payload, envelope_example(kind))


_POST = {"http": {"method": "POST", "bindingVersion": "0.3.0"}}
DOOR = DoorDescription(
    "webhooks",
    (
        Channel(
            "events",
            None,
            "Events, posted to the webhooks that select them.",
            f"The address is the `url` of the webhook. At least once, and in the order of each resource. {_ATTEMPTS}",
            sent=tuple(map(_event, _KINDS)),
            sending=_POST,
        ),
        Channel(
            "callbacks",
            None,
            _CALLBACK,
            f"The address is the `callbackUrl` of `POST /v1/orders/{{id}}`. Once. {_ATTEMPTS}",
            sent=(_message("order.callback", _CALLBACK, CallbackBody, _CALLBACK_EXAMPLE),),
            sending=_POST,
        ),
    ),
)
#: Whom the store posts to.
SERVERS: Document = {
    "endpoint": {
        "host": "{endpoint}",
        "protocol": "https",
        "protocolVersion": "1.1",
        "description": "An endpoint of somebody else: of a webhook, or of a callback. http where their URL says so.",
        "variables": {
            "endpoint": {"description": "Its host, and its port.", "examples": ["hooks.example.com"]}
        },
    }
}


# --- OpenAPI ---


def _parameter_name(header: str) -> str:
    return "".join(part.capitalize() for part in header.split("-"))


_PARAMETERS: Document = {
    _parameter_name(name): {
        "name": name,
        "in": "header",
        "description": text,
        "required": True,
        "schema": schema,
        "example": example,
    }
    for name, text, schema, example in _HEADERS
}


def _post(name: str, tag: str, summary: str, description: str, schema: str, example: Document) -> Document:
    content = {"schema": {"$ref": REF + schema}, "example": example}
    return {
        "post": {
            "operationId": name,
            "tags": [tag],
            "summary": summary,
            "description": f"{description} {_ATTEMPTS}",
            "security": [{}],
            "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in _PARAMETERS],
            "requestBody": {"required": True, "content": {"application/json": content}},
            "responses": {
                "2XX": {"description": "It was taken."},
                "default": {"description": "It was not taken, and will be sent again."},
            },
        }
    }


def _webhooks() -> Iterator[tuple[str, Document]]:
    for kind in _KINDS:
        name = to_camel(f"receive_{kind.event_type.replace('.', '_')}")
        post = _post(
            name,
            "Webhooks",
            kind.description,
            "At least once, and in the order of each resource.",
            kind.event_type,
            envelope_example(kind),
        )
        gone = {"description": "There is nobody any more: the webhook is switched off."}
        post["post"]["responses"] = {
            "2XX": {"description": "It was taken."},
            "410": gone,
            **post["post"]["responses"],
        }
        yield kind.event_type, post


def _schemas() -> Document:
    """The schemas of what is posted. They are open: a client takes no harm from a member that is added."""
    models: list[type[BaseModel]] = [*dict.fromkeys(kind.data for kind in _KINDS), CallbackBody]
    _, made = TypeAdapter.json_schemas(
        [(model, "serialization", TypeAdapter(model)) for model in models],
        ref_template=f"{REF}{{model}}",
        schema_generator=StoreSchema,
    )
    posted = {**envelopes(), WEBHOOK_TEST.event_type: placeless(WEBHOOK_TEST)}
    events = {
        kind.event_type: {
            **{key: value for key, value in posted[kind.event_type].items() if key != "additionalProperties"},
            "properties": {
                **posted[kind.event_type]["properties"],
                "data": {"$ref": REF + kind.data.__name__},
            },
        }
        for kind in _KINDS
    }
    return {name: tidy(schema) for name, schema in made["$defs"].items()} | events


def with_webhooks(document: Document) -> Document:
    """An OpenAPI document with what is posted to endpoints."""
    components, paths = document["components"], dict(document["paths"])
    order = paths["/v1/orders/{id}"]
    callback = _post("receiveOrderCallback", "Orders", _CALLBACK, "Once.", "CallbackBody", _CALLBACK_EXAMPLE)
    callbacks = {"paymentOutcome": {"{$request.body#/callbackUrl}": callback}}
    paths["/v1/orders/{id}"] = {**order, "post": {**order["post"], "callbacks": callbacks}}
    return {
        **document,
        "paths": paths,
        "webhooks": dict(_webhooks()),
        "components": {
            **components,
            "schemas": dict(sorted({**_schemas(), **components["schemas"]}.items())),
            "parameters": {**components["parameters"], **_PARAMETERS},
        },
    }
