"""Where each operation lies on HTTP: one row of the table an operation and method."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.kernel.model import Paged
from core.models.payments import Payment, Receipt
from core.models.webhooks import WebhookDelivery
from core.ports.images import StoredImage
from core.services import (
    adoptions,
    api_keys,
    auth,
    chats,
    devices,
    images,
    inventory,
    messages,
    orders,
    payments,
    pets,
    readings,
    tenant,
    users,
)
from core.services.oauth import clients as oauth_clients
from core.services.oauth import grants as oauth_grants
from core.services.webhooks import callbacks as order_callbacks
from core.services.webhooks import deliveries as webhook_deliveries
from core.services.webhooks import management as webhooks
from core.store.operation import AnyOperation

#: The path under which what was made can be found.
Location = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Binding:
    """An operation at a method and a path.

    Parameters that the path names come from there, all others from the query. ``aliases`` are further paths to the
    same. ``location``: where what was made can be found. ``upload``: the body is a multipart form.
    """

    operation: AnyOperation
    method: str
    path: str
    aliases: tuple[str, ...] = ()
    location: Location | None = None
    upload: bool = False

    @property
    def status(self) -> int:
        """The status of success: whatever is deleted, nothing is sent back."""
        if self.operation.creates:
            return 201
        return 204 if self.method == "DELETE" or self.operation.result is None else 200

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that leads here."""
        return (self.path, *self.aliases)

    @property
    def path_names(self) -> tuple[str, ...]:
        """The parameters that the path names, in order."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def query_names(self) -> dict[str, bool]:
        """The parameters of the query; True for those that are lists."""
        properties = (
            self.operation.params.model_json_schema()["properties"]
            if self.operation.params.model_fields
            else {}
        )
        if self.paged_by_body:
            properties = {**properties, **Paged.model_json_schema()["properties"]}
        return {
            name: any(kind.get("type") == "array" for kind in (schema, *schema.get("anyOf", ())))
            for name, schema in properties.items()
            if name not in self.path_names
        }

    @property
    def paged_by_body(self) -> bool:
        """Whether the body says which page is wanted; the query may say so too, for links to lead to other pages."""
        return self.operation.body is not None and "pagination" in self.operation.body.model_fields

    @property
    def serves_image(self) -> bool:
        """Whether the answer is an image and not JSON."""
        return self.operation.result is StoredImage

    @property
    def linked(self) -> bool:
        """Whether resources name its address, with the tenant in it: a browser that follows it sends no header."""
        return self.serves_image or self.operation.result is Receipt


def _bind(
    operation: AnyOperation, route: str, *aliases: str, location: Location | None = None, upload: bool = False
) -> Binding:
    method, path = route.split(" ")
    under = tuple(f"/v1{alias}" for alias in aliases)
    return Binding(operation, method, f"/v1{path}", under, location, upload)


def _receipt_or_order(payment: Payment) -> str:
    if payment.receipt_id is None:
        return f"/v1/orders/{payment.order_id}"
    return f"/v1/receipts/{payment.receipt_id}"


def _deliveries(delivery: WebhookDelivery) -> str:
    return f"/v1/webhooks/{delivery.webhook_id}/deliveries"


BINDINGS: tuple[Binding, ...] = (
    _bind(pets.LIST_PETS, "GET /pets"),
    _bind(pets.SEARCH_PETS, "QUERY /pets", "/pets/search"),
    _bind(pets.SEARCH_PETS, "POST /pets/search"),
    _bind(pets.CREATE_PET, "POST /pets", location=lambda pet: f"/v1/pets/{pet.id}"),
    _bind(pets.GET_PET, "GET /pets/{id}"),
    _bind(pets.REPLACE_PET, "PUT /pets/{id}"),
    _bind(pets.UPDATE_PET, "PATCH /pets/{id}"),
    _bind(pets.DELETE_PET, "DELETE /pets/{id}"),
    _bind(images.UPLOAD_IMAGE, "POST /pets/{id}/images", location=lambda image: image.url, upload=True),
    _bind(images.GET_IMAGE, "GET /pets/{id}/images/{imageId}"),
    _bind(images.DELETE_IMAGE, "DELETE /pets/{id}/images/{imageId}"),
    _bind(readings.REPORT_HEALTH, "POST /pets/{id}/health"),
    _bind(inventory.GET_INVENTORY, "GET /inventory"),
    _bind(inventory.COUNT_PETS, "GET /inventories"),
    _bind(orders.PLACE_ORDER, "POST /orders", location=lambda order: f"/v1/orders/{order.id}"),
    _bind(orders.LIST_ORDERS, "GET /orders"),
    _bind(orders.GET_ORDER, "GET /orders/{id}"),
    _bind(orders.UPDATE_ORDER, "PATCH /orders/{id}"),
    _bind(orders.CANCEL_ORDER, "DELETE /orders/{id}"),
    _bind(order_callbacks.REQUEST_ORDER_CALLBACK, "POST /orders/{id}"),
    _bind(payments.PAY_ORDER, "POST /orders/{id}/payment", location=_receipt_or_order),
    _bind(payments.GET_RECEIPT, "GET /receipts/{id}"),
    _bind(
        adoptions.CREATE_ADOPTION,
        "POST /adoptions",
        location=lambda adoption: f"/v1/adoptions/{adoption.id}",
    ),
    _bind(adoptions.LIST_ADOPTIONS, "GET /adoptions"),
    _bind(adoptions.GET_ADOPTION, "GET /adoptions/{id}"),
    _bind(adoptions.UPDATE_ADOPTION, "PATCH /adoptions/{id}"),
    _bind(users.REGISTER, "POST /users", location=lambda user: f"/v1/users/{user.id}"),
    _bind(users.LIST_USERS, "GET /users"),
    _bind(users.GET_ME, "GET /users/me"),
    _bind(users.GET_USER, "GET /users/{id}"),
    _bind(users.REPLACE_USER, "PUT /users/{id}"),
    _bind(users.UPDATE_USER, "PATCH /users/{id}"),
    _bind(users.DELETE_USER, "DELETE /users/{id}"),
    _bind(auth.LOG_IN, "POST /auth/tokens", "/login"),
    _bind(auth.REFRESH, "POST /auth/tokens/refresh"),
    _bind(auth.LOG_OUT, "DELETE /auth/tokens"),
    _bind(api_keys.CREATE_API_KEY, "POST /api-keys", location=lambda key: f"/v1/api-keys/{key.id}"),
    _bind(api_keys.LIST_API_KEYS, "GET /api-keys"),
    _bind(api_keys.DELETE_API_KEY, "DELETE /api-keys/{id}"),
    _bind(
        oauth_clients.CREATE_OAUTH_CLIENT,
        "POST /oauth/clients",
        location=lambda client: f"/v1/oauth/clients/{client.id}",
    ),
    _bind(oauth_clients.LIST_OAUTH_CLIENTS, "GET /oauth/clients"),
    _bind(oauth_clients.GET_OAUTH_CLIENT, "GET /oauth/clients/{id}"),
    _bind(oauth_clients.DELETE_OAUTH_CLIENT, "DELETE /oauth/clients/{id}"),
    _bind(oauth_grants.LIST_GRANTS, "GET /users/me/grants"),
    _bind(oauth_grants.END_GRANT, "DELETE /users/me/grants/{id}"),
    _bind(devices.CREATE_DEVICE, "POST /devices", location=lambda device: f"/v1/devices/{device.id}"),
    _bind(devices.LIST_DEVICES, "GET /devices"),
    _bind(devices.GET_DEVICE, "GET /devices/{id}"),
    _bind(devices.DELETE_DEVICE, "DELETE /devices/{id}"),
    _bind(webhooks.CREATE_WEBHOOK, "POST /webhooks", location=lambda webhook: f"/v1/webhooks/{webhook.id}"),
    _bind(webhooks.LIST_WEBHOOKS, "GET /webhooks"),
    _bind(webhooks.GET_WEBHOOK, "GET /webhooks/{id}"),
    _bind(webhooks.UPDATE_WEBHOOK, "PATCH /webhooks/{id}"),
    _bind(webhooks.DELETE_WEBHOOK, "DELETE /webhooks/{id}"),
    _bind(
        webhooks.ROTATE_WEBHOOK_SECRET,
        "POST /webhooks/{id}/secret",
        location=lambda webhook: f"/v1/webhooks/{webhook.id}",
    ),
    _bind(webhook_deliveries.TEST_WEBHOOK, "POST /webhooks/{id}/test", location=_deliveries),
    _bind(webhook_deliveries.LIST_DELIVERIES, "GET /webhooks/{id}/deliveries"),
    _bind(
        webhook_deliveries.REDELIVER,
        "POST /webhooks/{id}/deliveries/{deliveryId}/redelivery",
        location=_deliveries,
    ),
    _bind(tenant.RESET_TENANT, "DELETE /tenant"),
    _bind(tenant.SEED_TENANT, "POST /tenant/seed"),
    _bind(chats.OPEN_CHAT, "POST /chats", location=lambda chat: f"/v1/chats/{chat.id}"),
    _bind(chats.LIST_CHATS, "GET /chats"),
    _bind(chats.GET_CHAT, "GET /chats/{id}"),
    _bind(messages.LIST_MESSAGES, "GET /chats/{id}/messages"),
    _bind(
        messages.SEND_MESSAGE,
        "POST /chats/{id}/messages",
        location=lambda message: f"/v1/chats/{message.chat_id}/messages",
    ),
    _bind(messages.MARK_DELIVERED, "POST /chats/{id}/messages/{messageId}/delivery-mark"),
    _bind(messages.MARK_READ, "POST /chats/{id}/messages/{messageId}/read-mark"),
    _bind(chats.ASSIGN_CHAT, "POST /chats/{id}/assignment"),
    _bind(chats.CLOSE_CHAT, "POST /chats/{id}/closure"),
)

#: What a GET shows: only of such a resource is an entity tag worth keeping.
SHOWN = frozenset(
    binding.operation.result for binding in BINDINGS if binding.method == "GET" and "{id}" in binding.path
)
