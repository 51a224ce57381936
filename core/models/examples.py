"""Realistic values for the documents: what goes in and what comes out."""

from typing import Any

TENANT_ID = "3f2b8c1e-7d54-4a6b-9c0f-5e1d2a3b4c5d"
PET_ID = "019e2d10-4c7a-7b31-9f02-6a1c5d8e7f40"
ORDER_ID = "019e2d11-0b52-7c44-8a13-2f4e6b9d1c05"
USER_ID = "019e2d0f-9a11-7e20-b4d6-81c3f5a2e970"
PAYMENT_ID = "019e2d12-3d90-7f18-a6b7-4c2e8d1f0a33"
RECEIPT_ID = "019e2d12-3d92-7a05-8e41-7b9d3c5f2e16"
IMAGE_ID = "019e2d13-61c8-7d2f-9b50-1e7a4c8d3f62"
ADOPTION_ID = "019e2d17-1f64-7a3d-8c29-4b6e0d5a7f81"

PET_DRAFT: dict[str, Any] = {
    "name": "Biscuit",
    "species": "DOG",
    "breed": "Golden Retriever",
    "ageMonths": 14,
    "size": "LARGE",
    "color": "golden",
    "gender": "MALE",
    "goodWithKids": True,
    "goodWithDogs": True,
    "price": "350.00",
    "currency": "USD",
    "description": "Carries one shoe at a time and always brings it back.",
    "photos": ["https://images.example.com/biscuit.jpg"],
    "medicalInfo": {"spayedNeutered": True, "vaccinated": True, "microchipped": True, "specialNeeds": False},
}
PET: dict[str, Any] = {
    "id": PET_ID,
    "tenantId": TENANT_ID,
    "number": 42,
    **PET_DRAFT,
    "status": "AVAILABLE",
    "createdAt": "2026-03-02T09:30:00.125Z",
    "updatedAt": "2026-03-02T09:30:00.125Z",
}
PET_PATCH: dict[str, Any] = {
    "price": "320.00",
    "medicalInfo": {"healthNotes": "A little allergic to chicken."},
}
PET_SEARCH: dict[str, Any] = {
    "criteria": {
        "species": ["DOG", "CAT"],
        "status": ["AVAILABLE"],
        "ageRange": {"min": 6, "max": 36},
        "priceRange": {"max": "400.00"},
        "compatibility": {"goodWithKids": True},
        "text": "golden",
    },
    "sort": {"field": "price", "order": "ASC"},
    "pagination": {"page": 1, "limit": 20},
}
IMAGE: dict[str, Any] = {
    "id": IMAGE_ID,
    "tenantId": TENANT_ID,
    "petId": PET_ID,
    "url": f"https://petstore.example.com/v1/pets/{PET_ID}/images/{IMAGE_ID}?tenant={TENANT_ID}",
    "mediaType": "image/jpeg",
    "size": 184_320,
    "additionalMetadata": "At the lake, summer 2026",
    "createdAt": "2026-03-02T09:41:12.004Z",
}
ORDER: dict[str, Any] = {
    "id": ORDER_ID,
    "tenantId": TENANT_ID,
    "number": 7,
    "petId": PET_ID,
    "items": [{"petId": PET_ID, "price": "350.00"}],
    "userId": USER_ID,
    "status": "PLACED",
    "totalAmount": "350.00",
    "currency": "USD",
    "createdAt": "2026-03-03T16:05:44.310Z",
    "updatedAt": "2026-03-03T16:05:44.310Z",
}
PAYMENT_DRAFT: dict[str, Any] = {
    "amount": "350.00",
    "currency": "USD",
    "source": {
        "object": "card",
        "name": "Alex Meyer",
        "number": "4242424242424242",
        "cvc": "123",
        "expMonth": 12,
        "expYear": 2029,
        "billingAddress": {
            "line1": "Lindenstraße 5",
            "city": "Berlin",
            "postalCode": "10969",
            "country": "DE",
        },
    },
}
_SOURCE: dict[str, Any] = {
    "object": "card",
    "name": "Alex Meyer",
    "number": "************4242",
    "brand": "VISA",
    "last4": "4242",
    "expMonth": 12,
    "expYear": 2029,
    "billingAddress": PAYMENT_DRAFT["source"]["billingAddress"],
}
PAYMENT: dict[str, Any] = {
    "id": PAYMENT_ID,
    "tenantId": TENANT_ID,
    "orderId": ORDER_ID,
    "amount": "350.00",
    "currency": "USD",
    "status": "SUCCEEDED",
    "source": _SOURCE,
    "receiptId": RECEIPT_ID,
    "createdAt": "2026-03-03T16:07:01.552Z",
    "updatedAt": "2026-03-03T16:07:01.552Z",
}
RECEIPT: dict[str, Any] = {
    "id": RECEIPT_ID,
    "tenantId": TENANT_ID,
    "number": 5,
    "orderId": ORDER_ID,
    "paymentId": PAYMENT_ID,
    "userId": USER_ID,
    "items": ORDER["items"],
    "amount": "350.00",
    "currency": "USD",
    "source": _SOURCE,
    "issuedAt": "2026-03-03T16:07:01.552Z",
    "url": f"https://petstore.example.com/v1/receipts/{RECEIPT_ID}?tenant={TENANT_ID}",
}
ADOPTION_DRAFT: dict[str, Any] = {
    "petId": PET_ID,
    "applicant": {"name": "Alex Meyer", "email": "alex@example.com", "phone": "+4930901820"},
    "householdType": "HOUSE",
    "hasYard": True,
    "message": "We work from home, and the shoes are his to carry.",
}
ADOPTION: dict[str, Any] = {
    "id": ADOPTION_ID,
    "tenantId": TENANT_ID,
    "number": 3,
    "userId": USER_ID,
    **ADOPTION_DRAFT,
    "status": "SUBMITTED",
    "createdAt": "2026-03-04T08:12:30.000Z",
    "updatedAt": "2026-03-04T08:12:30.000Z",
}
STOCK: dict[str, int] = {"AVAILABLE": 48, "PENDING": 6}
_DOGS = {"available": 14, "pending": 2, "adopted": 3, "notAvailable": 1}
_NONE = {"available": 0, "pending": 0, "adopted": 0, "notAvailable": 0}
INVENTORY: dict[str, Any] = {
    **_DOGS,
    "total": 20,
    "bySpecies": {
        "DOG": _DOGS,
        "CAT": _NONE,
        "RABBIT": _NONE,
        "BIRD": _NONE,
        "REPTILE": _NONE,
        "OTHER": _NONE,
    },
}
EVENT_ID = "019e2d14-77f0-7c1b-8d35-9e0a4b6c2d71"
CHAT_ID = "019e2d15-0a3e-7b92-a1c4-3d5f7e9b1c08"
MESSAGE_ID = "019e2d15-2c61-7f40-9e83-5b7d9f1a3c24"
AGENT_ID = "019e2d0e-5510-7a8c-b3f1-6d2e4c8a0b19"
DEVICE_ID = "019e2d0e-8f27-7d03-9c46-1a5b3e7d9f52"
CLIENT_ID = "019e2d17-1a2b-7c3d-8e4f-5a6b7c8d9e0f"
SESSION_ID = "019e2d16-4b08-7e5a-8f27-0c6d8a2e4b93"
CURSOR = "AQAAAAE_K4wefVRKa5wPXh0qO0xdAAAAAAAAAXIl"
_AT = "2026-03-03T16:20:09.118Z"
USER: dict[str, Any] = {"id": USER_ID, "username": "alex"}
CHAT: dict[str, Any] = {
    "id": CHAT_ID,
    "tenantId": TENANT_ID,
    "subject": "Does Biscuit like cats?",
    "customerId": USER_ID,
    "agentId": AGENT_ID,
    "status": "ASSIGNED",
    "createdAt": "2026-03-03T16:19:51.702Z",
    "updatedAt": _AT,
}
MESSAGE: dict[str, Any] = {
    "id": MESSAGE_ID,
    "tenantId": TENANT_ID,
    "chatId": CHAT_ID,
    "senderId": USER_ID,
    "senderRole": "CUSTOMER",
    "text": "He would share a flat with two of them.",
    "clientMessageId": "m-1",
    "sentAt": _AT,
}
READING: dict[str, Any] = {
    "heartRateBpm": 92,
    "temperatureC": 38.4,
    "activity": "WALKING",
    "batteryPercent": 81,
    "measuredAt": "2026-01-31T08:15:00.250Z",
}

WEBHOOK_DRAFT: dict[str, Any] = {
    "url": "https://example.com/hooks/petstore",
    "events": ["order.created", "pets/+/status"],
    "description": "Orders for the warehouse",
}
WEBHOOK: dict[str, Any] = {
    "id": "019e2d16-0c4e-7d11-8a5b-9f1e3c5d7b24",
    "tenantId": TENANT_ID,
    **WEBHOOK_DRAFT,
    "status": "ENABLED",
    "createdAt": "2026-03-02T09:30:00.125Z",
    "updatedAt": "2026-03-02T09:30:00.125Z",
}

#: What the places in topics stand for.
PLACES = {
    "pet_id": PET_ID,
    "order_id": ORDER_ID,
    "payment_id": PAYMENT_ID,
    "species": "DOG",
    "chat_id": CHAT_ID,
    "adoption_id": ADOPTION_ID,
    "webhook_id": WEBHOOK["id"],
}
_WAITING = {name: value for name, value in CHAT.items() if name != "agentId"} | {"status": "WAITING"}
_DELIVERED = {**MESSAGE, "deliveredAt": "2026-03-03T16:20:09.244Z"}
_READ = {**_DELIVERED, "readAt": "2026-03-03T16:20:31.087Z"}
_PENDING = {**PET, "status": "PENDING", "updatedAt": "2026-03-03T16:05:44.310Z"}
_ADOPTED = {"id": PET_ID, "name": "Biscuit", "species": "DOG", "status": "ADOPTED"}
_APPROVED = {**ORDER, "status": "APPROVED", "updatedAt": "2026-03-03T16:07:01.552Z"}
_CANCELLED = {**ORDER, "status": "CANCELLED", "updatedAt": "2026-03-03T18:30:12.940Z"}
_UNPAID = {name: value for name, value in PAYMENT.items() if name != "receiptId"}


def _order(order: dict[str, Any], before: str | None, by: str) -> dict[str, Any]:
    return {
        "order": order,
        **({} if before is None else {"previousStatus": before}),
        "newStatus": order["status"],
        "changedAt": order["updatedAt"],
        "changedBy": by,
    }


#: The data of each kind of event.
EVENTS: dict[str, dict[str, Any]] = {
    "pet.created": {"pet": PET},
    "pet.updated": {"pet": {**PET, "price": "320.00"}},
    "pet.deleted": {"petId": PET_ID},
    "pet.status_changed": {
        "petId": PET_ID,
        "oldStatus": "AVAILABLE",
        "newStatus": "PENDING",
        "reason": "ORDER_PLACED",
        "pet": _PENDING,
    },
    "pet.availability_changed": {"petId": PET_ID, "available": False},
    "pet.adopted": {
        "pet": _ADOPTED,
        "adopter": {"id": USER_ID, "name": "Alex Meyer", "email": "alex@example.com"},
        "adoptionDate": "2026-03-06T10:12:00.000Z",
    },
    "pet.health_reported": {"petId": PET_ID, "deviceId": DEVICE_ID, "reading": READING},
    "order.created": _order(ORDER, None, USER_ID),
    "order.status_changed": _order(_APPROVED, "PLACED", "store"),
    "payment.processing": {
        "payment": {**_UNPAID, "status": "PROCESSING"},
        "order": ORDER,
    },
    "payment.succeeded": {"payment": PAYMENT, "order": _APPROVED, "receipt": RECEIPT},
    "payment.failed": {
        "payment": {**_UNPAID, "status": "FAILED", "failureReason": "The card was declined."},
        "order": ORDER,
    },
    "payment.refunded": {
        "payment": {**PAYMENT, "status": "REFUNDED"},
        "order": _CANCELLED,
        "receipt": {**RECEIPT, "refundedAt": _CANCELLED["updatedAt"]},
    },
    "adoption.submitted": {"adoption": ADOPTION},
    "adoption.status_changed": {
        "adoption": {**ADOPTION, "status": "APPROVED", "updatedAt": "2026-03-06T10:12:00.000Z"}
    },
    "inventory.changed": {"species": "DOG", "available": 14, "pending": 2, "adopted": 3},
    "chat.opened": {"chat": _WAITING},
    "chat.assigned": {"chat": CHAT},
    "chat.closed": {"chat": {**CHAT, "status": "CLOSED"}},
    "chat.message": {"message": MESSAGE},
    "chat.message_delivered": {"message": _DELIVERED},
    "chat.message_read": {"message": _READ},
    "chat.typing": {"userId": USER_ID, "typing": True},
    "webhook.disabled": {"webhook": {**WEBHOOK, "status": "DISABLED"}, "reason": "FAILING"},
    "webhook.test": {"webhookId": WEBHOOK["id"]},
    "presence.changed": {"userId": USER_ID, "online": True},
}

_TOPICS = ["orders/+/status", "pets/#"]
_NAMED = {"chatId": CHAT_ID}
#: What each command of the live vocabulary is given, and what it is acknowledged with.
COMMANDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "authenticate": ({"token": "eyJhbGciOi…"}, {"user": USER, "expiresAt": "2026-03-03T17:19:40.000Z"}),
    "subscribe": ({"topics": _TOPICS, "cursor": CURSOR}, {"cursor": CURSOR, "topics": _TOPICS}),
    "unsubscribe": ({"topics": ["pets/#"]}, {"cursor": CURSOR, "topics": ["orders/+/status"]}),
    "joinChat": (_NAMED, {"sessionId": SESSION_ID, "user": USER, "chat": CHAT, "cursor": CURSOR}),
    "leaveChat": (_NAMED, _NAMED),
    "chatMessage": (
        {**_NAMED, "text": MESSAGE["text"], "clientMessageId": MESSAGE["clientMessageId"]},
        {"message": MESSAGE},
    ),
    "typingStarted": (_NAMED, _NAMED),
    "typingStopped": (_NAMED, _NAMED),
    "messageRead": ({**_NAMED, "messageId": MESSAGE_ID}, {"message": _READ}),
    "ping": ({}, {"cursor": CURSOR}),
}


def page(*items: dict[str, Any]) -> dict[str, Any]:
    """A collection's only page."""
    count = len(items)
    return {
        "data": list(items),
        "pagination": {"page": 1, "limit": 20, "totalItems": count, "totalPages": 1},
    }
