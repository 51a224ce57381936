"""Which method each operation is: one row of the table an operation.

Fields of a request that are parameters of the operation go there, all others are the body.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

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
from core.store.store import Call
from protocols.grpc._generated.petstore.v1 import (
    adoptions_pb2,
    advisor_pb2,
    api_keys_pb2,
    chats_pb2,
    devices_pb2,
    events_pb2,
    inventory_pb2,
    oauth_pb2,
    orders_pb2,
    pets_pb2,
    tenants_pb2,
    users_pb2,
    webhooks_pb2,
)
from protocols.grpc.wire import read, read_masked

#: Every service by its name.
SERVICES: dict[str, ServiceDescriptor] = {
    name: service
    for module in (
        pets_pb2,
        orders_pb2,
        adoptions_pb2,
        inventory_pb2,
        users_pb2,
        api_keys_pb2,
        oauth_pb2,
        devices_pb2,
        chats_pb2,
        events_pb2,
        tenants_pb2,
        webhooks_pb2,
        advisor_pb2,
    )
    for name, service in module.DESCRIPTOR.services_by_name.items()
}


@dataclass(frozen=True)
class Binding:
    """An operation as a method that takes one message and gives one.

    ``names``: parameters that the request calls otherwise, by the request's names in JSON. ``flags``: switches of the
    request that stand for a value of a parameter, whatever a field with a lower number says. ``replacing``: the
    operation instead when the field mask is ``*``, which replaces the resource wholly (AIP-134).
    """

    operation: AnyOperation
    method: MethodDescriptor
    names: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, dict[str, str]] = field(default_factory=dict)
    replacing: AnyOperation | None = None

    @property
    def operations(self) -> tuple[AnyOperation, ...]:
        """Every operation that the method can be."""
        return (self.operation,) if self.replacing is None else (self.operation, self.replacing)

    @property
    def request(self) -> type[Message]:
        """The class of the request."""
        return GetMessageClass(self.method.input_type)

    @property
    def response(self) -> type[Message]:
        """The class of the response."""
        return GetMessageClass(self.method.output_type)

    @cached_property
    def parameters(self) -> frozenset[str]:
        """The parameters' names in JSON."""
        fields = self.operation.params.model_fields.items()
        return frozenset(info.alias or name for name, info in fields)

    def call(self, message: Message, request_id: str, idempotency_key: str | None) -> Call:
        """What a request asks for.

        Raises:
            ValidationFailed: its field mask is no good.
        """
        params: dict[str, Any] = {}
        body: dict[str, Any] = {}
        etag = mask = None
        for given, value in read(message).items():
            name = self.names.get(given, given)
            if name in self.parameters:
                params[name] = value
            elif name in self.flags:
                if value:
                    params |= self.flags[name]
            elif given == "etag":
                etag = frozenset((value,))
            elif given == "updateMask":
                mask = value.get("paths")
            else:
                body[name] = value
        operation = self.operation
        if mask == ["*"] and self.replacing is not None:
            operation = self.replacing
        elif mask:
            body = read_masked(message, mask)
        return Call(operation, params, body, request_id, idempotency_key, etag)


def _bind(
    operation: AnyOperation,
    method: str,
    names: Mapping[str, str] | None = None,
    flags: Mapping[str, dict[str, str]] | None = None,
    replacing: AnyOperation | None = None,
) -> Binding:
    service, _, name = method.partition(".")
    return Binding(operation, SERVICES[service].methods_by_name[name], names or {}, flags or {}, replacing)


_CHAT = {"chatId": "id"}
_PET = {"petId": "id"}
_WEBHOOK = {"webhookId": "id"}

BINDINGS: tuple[Binding, ...] = (
    _bind(pets.GET_PET, "PetService.GetPet"),
    _bind(pets.LIST_PETS, "PetService.ListPets", flags={"anyStatus": {"status": "ALL"}}),
    _bind(pets.CREATE_PET, "PetService.CreatePet"),
    _bind(pets.UPDATE_PET, "PetService.UpdatePet", replacing=pets.REPLACE_PET),
    _bind(pets.DELETE_PET, "PetService.DeletePet"),
    _bind(pets.SEARCH_PETS, "PetService.SearchPets"),
    _bind(images.UPLOAD_IMAGE, "PetService.UploadPetImage", _PET),
    _bind(images.GET_IMAGE, "PetService.GetPetImage", _PET),
    _bind(images.DELETE_IMAGE, "PetService.DeletePetImage", _PET),
    _bind(inventory.GET_INVENTORY, "InventoryService.GetInventory"),
    _bind(inventory.COUNT_PETS, "InventoryService.CountPets"),
    _bind(orders.PLACE_ORDER, "OrderService.PlaceOrder"),
    _bind(orders.GET_ORDER, "OrderService.GetOrder"),
    _bind(orders.LIST_ORDERS, "OrderService.ListOrders"),
    _bind(orders.CANCEL_ORDER, "OrderService.CancelOrder"),
    _bind(orders.UPDATE_ORDER, "OrderService.UpdateOrderStatus"),
    _bind(payments.PAY_ORDER, "OrderService.PayOrder"),
    _bind(order_callbacks.REQUEST_ORDER_CALLBACK, "OrderService.RequestOrderCallback"),
    _bind(payments.GET_RECEIPT, "OrderService.GetReceipt"),
    _bind(adoptions.CREATE_ADOPTION, "AdoptionService.CreateAdoption"),
    _bind(adoptions.GET_ADOPTION, "AdoptionService.GetAdoption"),
    _bind(adoptions.LIST_ADOPTIONS, "AdoptionService.ListAdoptions"),
    _bind(adoptions.UPDATE_ADOPTION, "AdoptionService.UpdateAdoptionStatus"),
    _bind(users.REGISTER, "UserService.RegisterUser"),
    _bind(users.GET_USER, "UserService.GetUser"),
    _bind(users.GET_ME, "UserService.GetMe"),
    _bind(users.LIST_USERS, "UserService.ListUsers"),
    _bind(users.UPDATE_USER, "UserService.UpdateUser", replacing=users.REPLACE_USER),
    _bind(users.DELETE_USER, "UserService.DeleteUser"),
    _bind(auth.LOG_IN, "UserService.LogIn"),
    _bind(auth.REFRESH, "UserService.RefreshToken"),
    _bind(auth.LOG_OUT, "UserService.LogOut"),
    _bind(api_keys.CREATE_API_KEY, "ApiKeyService.CreateApiKey"),
    _bind(api_keys.LIST_API_KEYS, "ApiKeyService.ListApiKeys"),
    _bind(api_keys.DELETE_API_KEY, "ApiKeyService.DeleteApiKey"),
    _bind(oauth_clients.CREATE_OAUTH_CLIENT, "OauthService.CreateOauthClient"),
    _bind(oauth_clients.LIST_OAUTH_CLIENTS, "OauthService.ListOauthClients"),
    _bind(oauth_clients.GET_OAUTH_CLIENT, "OauthService.GetOauthClient"),
    _bind(oauth_clients.DELETE_OAUTH_CLIENT, "OauthService.DeleteOauthClient"),
    _bind(oauth_grants.LIST_GRANTS, "OauthService.ListGrants"),
    _bind(oauth_grants.END_GRANT, "OauthService.EndGrant"),
    _bind(devices.CREATE_DEVICE, "DeviceService.CreateDevice"),
    _bind(devices.GET_DEVICE, "DeviceService.GetDevice"),
    _bind(devices.LIST_DEVICES, "DeviceService.ListDevices"),
    _bind(devices.DELETE_DEVICE, "DeviceService.DeleteDevice"),
    _bind(readings.REPORT_HEALTH, "DeviceService.ReportPetHealth", _PET),
    _bind(chats.OPEN_CHAT, "ChatService.OpenChat"),
    _bind(chats.GET_CHAT, "ChatService.GetChat"),
    _bind(chats.LIST_CHATS, "ChatService.ListChats"),
    _bind(messages.LIST_MESSAGES, "ChatService.ListMessages", _CHAT),
    _bind(messages.SEND_MESSAGE, "ChatService.SendMessage", _CHAT),
    _bind(messages.MARK_DELIVERED, "ChatService.MarkDelivered", _CHAT),
    _bind(messages.MARK_READ, "ChatService.MarkRead", _CHAT),
    _bind(chats.ASSIGN_CHAT, "ChatService.AssignChat", _CHAT),
    _bind(chats.CLOSE_CHAT, "ChatService.CloseChat", _CHAT),
    _bind(webhooks.CREATE_WEBHOOK, "WebhookService.CreateWebhook"),
    _bind(webhooks.GET_WEBHOOK, "WebhookService.GetWebhook"),
    _bind(webhooks.LIST_WEBHOOKS, "WebhookService.ListWebhooks"),
    _bind(webhooks.UPDATE_WEBHOOK, "WebhookService.UpdateWebhook"),
    _bind(webhooks.DELETE_WEBHOOK, "WebhookService.DeleteWebhook"),
    _bind(webhooks.ROTATE_WEBHOOK_SECRET, "WebhookService.RotateWebhookSecret"),
    _bind(webhook_deliveries.TEST_WEBHOOK, "WebhookService.TestWebhook"),
    _bind(webhook_deliveries.LIST_DELIVERIES, "WebhookService.ListWebhookDeliveries", _WEBHOOK),
    _bind(webhook_deliveries.REDELIVER, "WebhookService.RedeliverWebhook", _WEBHOOK),
    _bind(tenant.SEED_TENANT, "TenantService.SeedTenant"),
    _bind(tenant.RESET_TENANT, "TenantService.ResetTenant"),
)
