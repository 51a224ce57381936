"""Where each operation lies in the schema: one row of the table a field of Query or Mutation."""

from dataclasses import dataclass
from typing import Literal

from core.kernel.errors import ErrorCode
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


@dataclass(frozen=True, slots=True)
class Binding:
    """An operation as a field.

    Its parameters are arguments, its body is the argument ``input``. ``spread``: the members of the body are
    arguments themselves. ``items_only``: of a page only the items are shown. ``of``: the argument that names the
    resource, where that is another than the one that the field gives. ``choice``: the members of the body of which
    exactly one counts; they are the ``input``, and the others are arguments.

    Every field may be null, so that its refusal leaves the others of an answer as they are.
    """

    operation: AnyOperation
    root: Literal["Query", "Mutation"]
    name: str
    spread: bool = False
    items_only: bool = False
    of: str = "id"
    choice: tuple[str, ...] = ()

    @property
    def conditional(self) -> bool:
        """Whether it may be asked for on condition that the resource is the one the client saw."""
        return ErrorCode.PRECONDITION_FAILED in self.operation.errors


def _query(operation: AnyOperation, name: str, *, spread: bool = False, of: str = "id") -> Binding:
    return Binding(operation, "Query", name, spread, of=of)


def _list(operation: AnyOperation, name: str) -> Binding:
    return Binding(operation, "Query", name, items_only=True)


def _mutation(operation: AnyOperation, *, of: str = "id", choice: tuple[str, ...] = ()) -> Binding:
    return Binding(operation, "Mutation", operation.name, of=of, choice=choice)


BINDINGS: tuple[Binding, ...] = (
    _list(pets.LIST_PETS, "pets"),
    _query(pets.SEARCH_PETS, "petSearch", spread=True),
    _query(pets.GET_PET, "pet"),
    _query(inventory.GET_INVENTORY, "inventory"),
    _query(inventory.COUNT_PETS, "inventories"),
    _list(orders.LIST_ORDERS, "orders"),
    _query(orders.GET_ORDER, "order"),
    _query(payments.GET_RECEIPT, "receipt"),
    _list(adoptions.LIST_ADOPTIONS, "adoptions"),
    _query(adoptions.GET_ADOPTION, "adoption"),
    _query(users.GET_ME, "me"),
    _list(users.LIST_USERS, "users"),
    _query(users.GET_USER, "user"),
    _list(chats.LIST_CHATS, "chats"),
    _query(chats.GET_CHAT, "chat"),
    _query(messages.LIST_MESSAGES, "chatMessages", of="chat_id"),
    _list(api_keys.LIST_API_KEYS, "apiKeys"),
    _list(oauth_clients.LIST_OAUTH_CLIENTS, "oauthClients"),
    _query(oauth_clients.GET_OAUTH_CLIENT, "oauthClient"),
    _list(oauth_grants.LIST_GRANTS, "grants"),
    _list(devices.LIST_DEVICES, "devices"),
    _query(devices.GET_DEVICE, "device"),
    _list(webhooks.LIST_WEBHOOKS, "webhooks"),
    _query(webhooks.GET_WEBHOOK, "webhook"),
    _list(webhook_deliveries.LIST_DELIVERIES, "webhookDeliveries"),
    _mutation(pets.CREATE_PET),
    _mutation(pets.REPLACE_PET),
    _mutation(pets.UPDATE_PET),
    _mutation(pets.DELETE_PET),
    _mutation(images.UPLOAD_IMAGE, of="pet_id"),
    _mutation(images.DELETE_IMAGE, of="pet_id"),
    _mutation(orders.PLACE_ORDER, choice=("pet_id", "items")),
    _mutation(orders.UPDATE_ORDER),
    _mutation(orders.CANCEL_ORDER),
    _mutation(payments.PAY_ORDER, of="order_id"),
    _mutation(order_callbacks.REQUEST_ORDER_CALLBACK, of="order_id"),
    _mutation(adoptions.CREATE_ADOPTION),
    _mutation(adoptions.UPDATE_ADOPTION),
    _mutation(users.REGISTER),
    _mutation(users.REPLACE_USER),
    _mutation(users.UPDATE_USER),
    _mutation(users.DELETE_USER),
    _mutation(auth.LOG_IN),
    _mutation(auth.REFRESH),
    _mutation(auth.LOG_OUT),
    _mutation(api_keys.CREATE_API_KEY),
    _mutation(api_keys.DELETE_API_KEY),
    _mutation(oauth_clients.CREATE_OAUTH_CLIENT),
    _mutation(oauth_clients.DELETE_OAUTH_CLIENT),
    _mutation(oauth_grants.END_GRANT),
    _mutation(devices.CREATE_DEVICE),
    _mutation(devices.DELETE_DEVICE),
    _mutation(readings.REPORT_HEALTH),
    _mutation(chats.OPEN_CHAT),
    _mutation(messages.SEND_MESSAGE, of="chat_id"),
    _mutation(messages.MARK_DELIVERED, of="chat_id"),
    _mutation(messages.MARK_READ, of="chat_id"),
    _mutation(chats.ASSIGN_CHAT),
    _mutation(chats.CLOSE_CHAT),
    _mutation(webhooks.CREATE_WEBHOOK),
    _mutation(webhooks.UPDATE_WEBHOOK),
    _mutation(webhooks.DELETE_WEBHOOK),
    _mutation(webhooks.ROTATE_WEBHOOK_SECRET),
    _mutation(webhook_deliveries.TEST_WEBHOOK),
    _mutation(webhook_deliveries.REDELIVER),
    _mutation(tenant.RESET_TENANT),
    _mutation(tenant.SEED_TENANT),
)

#: Operations without a field, and why.
LEFT_OUT: dict[AnyOperation, str] = {
    images.GET_IMAGE: "bytes are not for JSON: `photos` say where they are",
    chats.ASSIGN_WAITING_CHATS: "the store's own doing, when an agent comes to a chat door",
}
