"""Where an answer leads: the links of the OpenAPI document, by the model that the answer shows."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from core.models.adoptions import Adoption
from core.models.api_keys import NewApiKey
from core.models.chats import Chat, Message
from core.models.devices import Device, NewDevice
from core.models.images import Image
from core.models.oauth import NewOAuthClient, OAuthClientInfo
from core.models.orders import Order
from core.models.payments import Payment, Receipt
from core.models.pets import Pet
from core.models.users import User
from core.models.webhooks import NewWebhook, Webhook, WebhookDelivery

#: Operations by the parameters that they take from the answer; a parameter by the member that has its value.
_Links = Mapping[str, Mapping[str, str]]
_ID = {"id": "id"}
_IMAGE = {"id": "petId", "imageId": "id"}
_MESSAGE = {"id": "chatId", "messageId": "id"}
_WEBHOOK: _Links = dict.fromkeys(
    ("getWebhook", "testWebhook", "listWebhookDeliveries", "rotateWebhookSecret", "deleteWebhook"), _ID
)
_LINKS: Mapping[type[BaseModel], _Links] = {
    Pet: dict.fromkeys(("getPet", "updatePet", "uploadPetImage", "reportPetHealth", "deletePet"), _ID),
    Image: dict.fromkeys(("getPetImage", "deletePetImage"), _IMAGE),
    Order: {
        **dict.fromkeys(("getOrder", "payOrder", "requestOrderCallback", "updateOrder", "cancelOrder"), _ID),
        "getPet": {"id": "petId"},
        "getUser": {"id": "userId"},
    },
    Payment: {"getOrder": {"id": "orderId"}, "getReceipt": {"id": "receiptId"}},
    Receipt: {"getOrder": {"id": "orderId"}},
    Adoption: {**dict.fromkeys(("getAdoption", "updateAdoption"), _ID), "getPet": {"id": "petId"}},
    User: dict.fromkeys(("getUser", "updateUser", "deleteUser"), _ID),
    NewApiKey: {"deleteApiKey": _ID},
    **dict.fromkeys(
        (NewOAuthClient, OAuthClientInfo), dict.fromkeys(("getOauthClient", "deleteOauthClient"), _ID)
    ),
    **dict.fromkeys((NewDevice, Device), dict.fromkeys(("getDevice", "deleteDevice"), _ID)),
    **dict.fromkeys((NewWebhook, Webhook), _WEBHOOK),
    WebhookDelivery: {
        "redeliverWebhook": {"id": "webhookId", "deliveryId": "id"},
        "getWebhook": {"id": "webhookId"},
    },
    Chat: dict.fromkeys(("getChat", "listMessages", "sendMessage", "assignChat", "closeChat"), _ID),
    Message: {
        **dict.fromkeys(("markRead", "markDelivered"), _MESSAGE),
        "listMessages": {"id": "chatId"},
    },
}


def links_of(result: Any) -> dict[str, Any]:
    """The Link Objects of an answer, by the operations that they lead to. One whose member is absent leads nowhere."""
    found = _LINKS.get(result, {}) if isinstance(result, type) else {}
    return {
        operation: {
            "operationId": operation,
            "parameters": {name: f"$response.body#/{member}" for name, member in taken.items()},
        }
        for operation, taken in found.items()
    }
