"""Realistic values for the documents: what goes in and what comes out."""

from typing import Any

TENANT_ID = "3f2b8c1e-7d54-4a6b-9c0f-5e1d2a3b4c5d"
PET_ID = "019e2d10-4c7a-7b31-9f02-6a1c5d8e7f40"
ORDER_ID = "019e2d11-0b52-7c44-8a13-2f4e6b9d1c05"
USER_ID = "019e2d0f-9a11-7e20-b4d6-81c3f5a2e970"
PAYMENT_ID = "019e2d12-3d90-7f18-a6b7-4c2e8d1f0a33"
RECEIPT_ID = "019e2d12-3d92-7a05-8e41-7b9d3c5f2e16"
IMAGE_ID = "019e2d13-61c8-7d2f-9b50-1e7a4c8d3f62"

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
    "ownerId": None,
    **PET_DRAFT,
    "status": "AVAILABLE",
    "medicalInfo": {**PET_DRAFT["medicalInfo"], "healthNotes": None},
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
    "url": f"/v1/pets/{PET_ID}/images/{IMAGE_ID}",
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
            "street": "Lindenstraße 5",
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
    "expMonth": 12,
    "expYear": 2029,
    "billingAddress": {**PAYMENT_DRAFT["source"]["billingAddress"], "state": None},
}
PAYMENT: dict[str, Any] = {
    "id": PAYMENT_ID,
    "tenantId": TENANT_ID,
    "orderId": ORDER_ID,
    "amount": "350.00",
    "currency": "USD",
    "status": "SUCCEEDED",
    "failureReason": None,
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


def page(*items: dict[str, Any]) -> dict[str, Any]:
    """A collection's only page."""
    count = len(items)
    return {
        "data": list(items),
        "pagination": {"page": 1, "limit": 20, "totalItems": count, "totalPages": 1},
    }
