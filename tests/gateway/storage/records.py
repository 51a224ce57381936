"""Records and events to store."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from core.kernel.caller import Role, Scope
from core.kernel.events import PUBLIC, Audience, Event
from core.kernel.ids import TenantId, new_id
from core.models.api_keys import ApiKey
from core.models.auth import LoginSession
from core.models.chats import Message
from core.models.devices import Device
from core.models.idempotency import IdempotencyRecord
from core.models.orders import Order
from core.models.payments import Receipt
from core.models.pets import MedicalInfo, Pet
from core.models.users import Login, User
from core.ports.records import Record
from core.ports.storage import Storage

R = TypeVar("R", bound=Record)

NOW = datetime(2026, 1, 31, 8, 15, 0, 250_000, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def a_tenant() -> TenantId:
    return TenantId(new_id())


def a_pet(tenant: TenantId, number: int = 1, **changes: Any) -> Pet:
    given = {
        "number": number,
        "name": f"Pet {number}",
        "species": "DOG",
        "age_months": 7,
        "price": "75.00",
        "status": "AVAILABLE",
        "photos": ("https://example.org/a.png", "https://example.org/b.png"),
        "medical_info": MedicalInfo(vaccinated=True, health_notes="none"),
    }
    return _make(Pet, tenant, given, changes)


def an_order(tenant: TenantId, number: int = 1, **changes: Any) -> Order:
    pet = new_id()
    given = {
        "number": number,
        "pet_id": pet,
        "items": [{"pet_id": pet, "price": "75.00"}],
        "user_id": new_id(),
        "status": "PLACED",
        "total_amount": "75.00",
        "currency": "EUR",
    }
    return _make(Order, tenant, given, changes)


def a_receipt(tenant: TenantId, number: int = 1, **changes: Any) -> Receipt:
    card = {"object": "card", "name": "Ada", "number": "************4242", "exp_month": 1, "exp_year": 2030}
    given = {
        "number": number,
        "order_id": new_id(),
        "payment_id": new_id(),
        "items": [],
        "amount": "75.00",
        "currency": "EUR",
        "source": card,
        "issued_at": NOW,
    }
    return _make(Receipt, tenant, given, changes)


def a_user(tenant: TenantId, **changes: Any) -> User:
    given = {
        "username": "Ada",
        "email": "ada@example.org",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "roles": (Role.CUSTOMER,),
    }
    return _make(User, tenant, given, changes)


def a_login(tenant: TenantId, name: str, **changes: Any) -> Login:
    given = {"kind": "USER", "username_key": name, "email_key": f"{name}@example.org", "password_hash": "…"}
    return _make(Login, tenant, given, changes)


def a_session(tenant: TenantId, **changes: Any) -> LoginSession:
    return _make(
        LoginSession, tenant, {"owner_id": new_id(), "generation": 1, "expires_at": later(60)}, changes
    )


def an_api_key(tenant: TenantId, key_hash: str, **changes: Any) -> ApiKey:
    given = {"name": "till", "owner_id": new_id(), "scopes": (Scope.READ_PETS,), "key_hash": key_hash}
    return _make(ApiKey, tenant, given, changes)


def a_device(tenant: TenantId, username: str, **changes: Any) -> Device:
    given = {
        "name": "collar",
        "username": username,
        "pet_ids": (new_id(),),
        "order_ids": (),
        "topics": ("pets/#",),
    }
    return _make(Device, tenant, given, changes)


def a_message(tenant: TenantId, **changes: Any) -> Message:
    given = {
        "chat_id": "chat",
        "sender_id": "ada",
        "sender_role": "CUSTOMER",
        "text": "Hello",
        "sent_at": NOW,
    }
    return _make(Message, tenant, given, changes)


def an_answer(tenant: TenantId, **changes: Any) -> IdempotencyRecord:
    return _make(
        IdempotencyRecord, tenant, {"fingerprint": "f", "response": None, "expires_at": NOW}, changes
    )


def _make(kind: type[R], tenant: TenantId, given: dict[str, Any], changes: dict[str, Any]) -> R:
    times = {"created_at": NOW, "updated_at": NOW}
    return kind(**{"id": new_id(), "tenant_id": tenant, **times, **given, **changes})


def an_event(tenant: TenantId, text: str = "", at: datetime = NOW, audience: Audience = PUBLIC) -> Event:
    return Event(
        id=new_id(),
        event_type="pet.updated",
        tenant=tenant,
        topic="pets/1",
        timestamp=at,
        audience=audience,
        data=f'{{"text":"{text}"}}'.encode(),
        aliases=("pets/2", "pets/3"),
        request_id="r-1",
    )


async def put(storage: Storage, *records: Record) -> None:
    """Store records of one tenant in a transaction of their own."""
    async with storage.write(TenantId(records[0].tenant_id)) as tx:
        for record in records:
            await tx.insert(record)


async def announce(storage: Storage, *events: Event) -> list[Event]:
    """Append events of one tenant in a transaction of their own; gives them with their places."""
    epoch = await storage.epoch()
    async with storage.write(events[0].tenant) as tx:
        head = await tx.hold_log()
        placed = [event.at(epoch, head + place) for place, event in enumerate(events, start=1)]
        await tx.append(placed)
    return placed
