"""What the OpenAPI document says of the requests that the store makes: to webhooks, and to whoever wants to be called
back."""

from typing import Any

from core.models.callbacks import CallbackBody

_HEADERS = {
    "webhook-id": "The id of the event, or the `requestId`: the same for every attempt.",
    "webhook-timestamp": "When the attempt was made, in seconds since 1970.",
    "webhook-signature": "`v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`; one for each secret, "
    "separated by spaces (Standard Webhooks).",
    "X-Webhook-Signature": "`sha256=` and the hexadecimal HMAC-SHA256 of the body, by the newest secret.",
}


def _post(name: str, summary: str, description: str, schema: str) -> dict[str, Any]:
    return {
        "post": {
            "operationId": name,
            "summary": summary,
            "description": description,
            "security": [],
            "parameters": [
                {
                    "name": header,
                    "in": "header",
                    "description": text,
                    "required": True,
                    "schema": {"type": "string"},
                }
                for header, text in _HEADERS.items()
            ],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
            },
            "responses": {"2XX": {"description": "It was taken. After anything else it is sent again."}},
        }
    }


def with_webhooks(document: dict[str, Any]) -> dict[str, Any]:
    """The document with what is posted to endpoints."""
    body = CallbackBody.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    schemas = {**body.pop("$defs"), "CallbackBody": body, **document["components"]["schemas"]}
    paths = dict(document["paths"])
    order = paths["/v1/orders/{id}"]
    callback = _post(
        "receiveOrderCallback", "The payment of an order has an outcome", "Comes once.", "CallbackBody"
    )
    callbacks = {"paymentOutcome": {"{$request.body#/callbackUrl}": callback}}
    paths["/v1/orders/{id}"] = {**order, "post": {**order["post"], "callbacks": callbacks}}
    event = _post(
        "receiveEvent",
        "Something has happened",
        "An event that the webhook's `events` select. At least once, and in the order of each resource.",
        "Event",
    )
    components = {**document["components"], "schemas": dict(sorted(schemas.items()))}
    return {**document, "paths": paths, "webhooks": {"event": event}, "components": components}
