"""A tenant is filled with demo data, and emptied."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from core.kernel.caller import STAFF_SCOPES, Role
from core.kernel.errors import BadRequest, Forbidden, NotFound, Unauthorized
from core.kernel.events import Event
from core.kernel.ids import SHARED_TENANT, TenantId, new_id
from core.models.adoptions import Adoption, AdoptionStatus
from core.models.api_keys import ApiKey
from core.models.auth import LoginSession
from core.models.chats import Chat, Message
from core.models.devices import Device
from core.models.idempotency import IdempotencyRecord
from core.models.images import Image
from core.models.orders import Order, OrderStatus
from core.models.payments import Payment, Receipt
from core.models.pets import Pet, PetStatus, Reservation, Size, Species
from core.models.users import Login, LoginKind, User
from core.ports.records import Equal, Query, Transaction
from core.services import tenant
from core.services.adoptions import LIST_ADOPTIONS
from core.services.images import UPLOAD_IMAGE
from core.services.inventory import GET_INVENTORY
from core.services.orders import CANCEL_ORDER, GET_ORDER, LIST_ORDERS, PLACE_ORDER
from core.services.pets import CREATE_PET, GET_PET, LIST_PETS
from core.services.seed import is_seeded, seed
from core.services.tenant import RESET_TENANT, SEED_TENANT
from core.store.store import Store
from tests.core.stores import Shop, user_in
from tests.pictures import PNG

KINDS: tuple[Any, ...] = (
    Pet,
    Reservation,
    Image,
    Order,
    Payment,
    Receipt,
    Adoption,
    Chat,
    Message,
    Device,
    ApiKey,
    IdempotencyRecord,
    LoginSession,
    User,
    Login,
)


async def counts(shop: Shop) -> dict[str, int]:
    async with shop.store.storage.read(shop.tenant) as tx:
        found = {kind.__name__: await tx.count(Query(kind)) for kind in KINDS}
    return {name: count for name, count in found.items() if count}


def login_of(shop: Shop, login_id: str, kind: LoginKind = LoginKind.USER) -> Login:
    return Login(id=login_id, tenant_id=shop.tenant, kind=kind, username_key=login_id, password_hash="x")


async def populate(shop: Shop) -> dict[str, str]:
    """Demo data, and one of everything that belongs to people; the caller's account is there too."""
    now = shop.store.clock()
    demo, device_id, key_id = user_in(shop.tenant, username="demo"), new_id(), new_id()
    caller = user_in(shop.tenant, user_id=shop.staff.user_id, username="boss", role=Role.STAFF)
    sessions = [
        LoginSession(
            id=new_id(), tenant_id=shop.tenant, owner_id=owner, generation=1, created_at=now, expires_at=now
        )
        for owner in (demo.id, caller.id)
    ]
    device = Device(
        id=device_id,
        tenant_id=shop.tenant,
        name="Collar",
        username="device-1",
        pet_ids=(),
        order_ids=(),
        topics=(),
        created_at=now,
        updated_at=now,
    )
    key = ApiKey(
        id=key_id,
        tenant_id=shop.tenant,
        name="CI",
        owner_id=caller.id,
        scopes=(),
        created_at=now,
        key_hash=key_id,
    )
    logins = [login_of(shop, demo.id), login_of(shop, caller.id), login_of(shop, device_id, LoginKind.DEVICE)]
    await shop.add(demo, caller, *sessions, device, key, *logins)
    await shop.call(SEED_TENANT, key="k")
    [pet] = (await shop.call(LIST_PETS, limit="1")).data
    await shop.call(UPLOAD_IMAGE, body={"file": PNG}, id=pet.id)
    return {"demo": demo.id, "device": device_id, "key": key_id, "caller": caller.id}


# --- filling ---


async def test_demo_data_is_many_and_varied(shop: Shop) -> None:
    seeded = await shop.call(SEED_TENANT)
    stock = await shop.call(GET_INVENTORY)
    assert (seeded.pets, seeded.orders) == (stock.total, 12)
    assert stock.total >= 60
    assert stock.available >= 45
    assert (stock.pending, stock.adopted, stock.not_available) == (6, 8, 3)
    pages = [await shop.call(LIST_PETS, status="ALL", limit="100", page=str(page)) for page in (1, 2)]
    pets = [pet for page in pages for pet in page.data]
    assert {pet.species for pet in pets} == set(Species)
    assert {pet.size for pet in pets} == set(Size)
    assert len({pet.name for pet in pets}) == len(pets)
    assert all(pet.breed and pet.color and pet.description and pet.medical_info for pet in pets)


async def test_demo_pets_match_their_orders(shop: Shop) -> None:
    await shop.call(SEED_TENANT)
    orders = (await shop.call(LIST_ORDERS, limit="100")).data
    assert Counter(order.status for order in orders) == {
        OrderStatus.DELIVERED: 6,
        OrderStatus.SHIPPED: 1,
        OrderStatus.APPROVED: 2,
        OrderStatus.PLACED: 2,
        OrderStatus.CANCELLED: 1,
    }
    expected = {OrderStatus.DELIVERED: PetStatus.ADOPTED, OrderStatus.CANCELLED: PetStatus.AVAILABLE}
    for order in orders:
        assert order.user_id == shop.staff.user_id
        for item in order.items:
            pet = await shop.call(GET_PET, id=item.pet_id)
            assert pet.status is expected.get(order.status, PetStatus.PENDING)
            assert pet.owner_id == (order.user_id if pet.status is PetStatus.ADOPTED else None)
    placed = next(order for order in orders if order.status is OrderStatus.PLACED)
    await shop.call(CANCEL_ORDER, id=placed.id)
    assert (await shop.call(GET_PET, id=placed.pet_id)).status is PetStatus.AVAILABLE


async def test_demo_applications_are_the_customers(shop: Shop) -> None:
    demo = user_in(shop.tenant, username="demo")
    await shop.add(demo)
    seeded = await shop.call(SEED_TENANT)
    adoptions = (await shop.call(LIST_ADOPTIONS, limit="100")).data
    assert seeded.adoptions == len(adoptions) == 4
    assert {adoption.user_id for adoption in adoptions} == {demo.id}
    assert {adoption.status for adoption in adoptions} == set(AdoptionStatus) - {AdoptionStatus.APPROVED}
    for adoption in adoptions:
        assert (await shop.call(GET_PET, id=adoption.pet_id)).status is PetStatus.AVAILABLE


async def test_demo_data_is_announced_like_everything_else(shop: Shop) -> None:
    await shop.call(SEED_TENANT)
    events = await shop.events()
    kinds = Counter(event["eventType"] for event in events)
    assert (kinds["pet.created"], kinds["order.created"], kinds["pet.adopted"]) == (66, 12, 8)
    assert kinds["payment.succeeded"] == 9
    # Each species' stock is told once, at the end, as it is then.
    stock = await shop.call(GET_INVENTORY)
    told = {event["data"]["species"]: event["data"] for event in events[-6:]}
    assert kinds["inventory.changed"] == len(told) == 6
    for species, counted in stock.by_species.items():
        assert told[species]["available"] == counted.available


async def test_demo_chats_need_somebody_to_talk(shop: Shop) -> None:
    customer = user_in(shop.tenant, username="demo")
    agent = user_in(shop.tenant, username="demo-staff", role=Role.STAFF)
    await shop.add(customer, agent)
    assert (await shop.call(SEED_TENANT)).chats == 2
    async with shop.store.storage.read(shop.tenant) as tx:
        waiting, assigned = await tx.find(Query(Chat))
        said = await tx.find(Query(Message, (Equal("chat_id", assigned.id),)))
    assert (waiting.customer_id, waiting.agent_id, waiting.status) == (customer.id, None, "WAITING")
    assert (assigned.agent_id, assigned.status) == (agent.id, "ASSIGNED")
    assert [message.sender_id for message in said] == [customer.id, agent.id, customer.id]
    chats = [event for event in await shop.events() if event["topic"].startswith("chats/")]
    assert {event["audience"] for event in chats} == {customer.id}
    assert Counter(event["eventType"] for event in chats) == {
        "chat.opened": 2,
        "chat.assigned": 1,
        "chat.message": 4,
    }


async def test_without_an_agent_every_demo_chat_waits(shop: Shop) -> None:
    await shop.call(SEED_TENANT)
    async with shop.store.storage.read(shop.tenant) as tx:
        assert {chat.status for chat in await tx.find(Query(Chat))} == {"WAITING"}
        assert await tx.count(Query(Message)) == 2


async def test_without_a_user_demo_orders_are_anonymous_and_nobody_chats(shop: Shop) -> None:
    async with shop.context(shop.visitor) as ctx:
        assert not await is_seeded(await ctx.tx())
        seeded = await seed(ctx)
        assert await is_seeded(await ctx.tx())
    assert (seeded.pets, seeded.chats) == (66, 0)
    assert {order.user_id for order in (await shop.call(LIST_ORDERS)).data} == {None}


async def test_a_tenant_is_seeded_once_even_when_many_ask_at_once(shop: Shop) -> None:
    results = await asyncio.gather(*(shop.call(SEED_TENANT) for _ in range(4)))
    assert sorted(result.pets for result in results) == [0, 0, 0, 66]
    assert (await shop.call(GET_INVENTORY)).total == 66


async def test_the_shared_pool_may_be_seeded_too(store: Store) -> None:
    assert (await Shop(store, SHARED_TENANT).call(SEED_TENANT)).pets == 66


# --- emptying ---


async def test_an_emptied_tenant_keeps_only_the_callers_account(shop: Shop) -> None:
    ids = await populate(shop)
    other = Shop(shop.store)
    await other.call(SEED_TENANT)
    before = await counts(other)
    assert set(await counts(shop)) == {kind.__name__ for kind in KINDS}
    assert await shop.call(RESET_TENANT, confirm=shop.tenant) is None
    assert await counts(shop) == {"LoginSession": 1, "User": 1, "Login": 1}
    async with shop.store.storage.read(shop.tenant) as tx:
        assert await tx.get(User, ids["caller"]) is not None
        assert await tx.get(Login, ids["caller"]) is not None
        assert [session.owner_id for session in await tx.find(Query(LoginSession))] == [ids["caller"]]
    assert await counts(other) == before


async def test_emptying_ends_the_rights_of_whoever_is_removed(shop: Shop) -> None:
    ids, ended = await populate(shop), set[str]()
    shop.store.revocations.watchers.append(ended.update)
    await shop.call(RESET_TENANT, confirm=shop.tenant)
    assert ended == {f"user:{ids['demo']}", f"device:{ids['device']}", f"key:{ids['key']}"}


async def test_emptying_is_announced_so_that_nobody_shows_what_is_gone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await populate(shop)
    orders = (await shop.call(LIST_ORDERS, limit="100")).data
    for order in orders:
        await shop.call(GET_ORDER, id=order.id)  # now they are in the cache
    async with shop.store.storage.read(shop.tenant) as tx:
        [image] = await tx.find(Query(Image))
    told: list[Event] = []
    publish = shop.store.hub.publish

    def heard(tenant: TenantId, events: Sequence[Event]) -> None:
        told.extend(events)
        publish(tenant, events)

    monkeypatch.setattr(shop.store.hub, "publish", heard)
    await shop.call(RESET_TENANT, confirm=shop.tenant)
    events = [json.loads(event.envelope) for event in told]
    kinds = Counter(event["eventType"] for event in events)
    assert kinds == {
        "pet.deleted": 66,
        "order.status_changed": 12,
        "adoption.status_changed": 2,
        "chat.closed": 2,
        "inventory.changed": 6,
    }
    moved = {
        event["data"]["order"]["id"]: event["data"]
        for event in events
        if event["eventType"].startswith("order")
    }
    for order in orders:
        data = moved[order.id]
        assert (data["previousStatus"], data["newStatus"]) == (order.status, "CANCELLED")
        assert data["changedBy"] == shop.staff.user_id
        await shop.refusal(NotFound, GET_ORDER, id=order.id)
    for event in (event for event in events if event["eventType"] == "inventory.changed"):
        assert {**event["data"], "species": ""} == {"species": "", "available": 0, "pending": 0, "adopted": 0}
    assert await shop.store.images.get(shop.tenant, image.id) is None


async def test_nothing_of_before_is_left_in_the_log_of_an_emptied_tenant(shop: Shop) -> None:
    await populate(shop)
    head = await shop.head()
    await shop.call(RESET_TENANT, confirm=shop.tenant)
    page = await shop.store.storage.read_log(shop.tenant, 0, 1)
    assert (page.events, page.floor) == ([], page.head)
    assert page.head > head
    await shop.call(CREATE_PET, body={"name": "Rex", "species": "CAT", "ageMonths": 1, "price": 1})
    assert {event["eventType"] for event in await shop.events(page.head)} == {
        "pet.created", "inventory.changed",
    }  # fmt: skip


async def test_a_large_tenant_is_emptied_in_batches(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant, "_BATCH_RECORDS", 3)
    await populate(shop)
    for _ in range(5):
        await shop.add(user_in(shop.tenant, username=new_id()))
    commits = 0
    write = shop.store.storage.write

    def counted(of: TenantId) -> AbstractAsyncContextManager[Transaction]:
        nonlocal commits
        commits += 1
        return write(of)

    monkeypatch.setattr(shop.store.storage, "write", counted)
    await shop.call(RESET_TENANT, confirm=shop.tenant)
    assert commits > 66 / 3
    assert await counts(shop) == {"User": 1, "Login": 1, "LoginSession": 1}


async def test_an_emptied_tenant_can_be_filled_again_and_goes_on_counting(shop: Shop) -> None:
    await shop.call(SEED_TENANT)
    await shop.call(RESET_TENANT, confirm=shop.tenant.upper())
    assert (await shop.call(SEED_TENANT)).pets == 66
    assert (await shop.call(LIST_PETS, limit="1")).data[0].number == 67


async def test_emptying_while_pets_are_ordered_leaves_no_order_without_its_pet(shop: Shop) -> None:
    for number in range(5):
        await shop.call(CREATE_PET, body={"name": f"P{number}", "species": "CAT", "ageMonths": 1, "price": 1})
    pets = (await shop.call(LIST_PETS)).data
    await asyncio.gather(
        *(shop.call(PLACE_ORDER, shop.visitor, {"petId": pet.id}) for pet in pets),
        shop.call(RESET_TENANT, confirm=shop.tenant),
        return_exceptions=True,
    )
    assert await counts(shop) == {}


async def test_only_staff_of_a_private_tenant_empties_it_and_says_which(shop: Shop) -> None:
    for operation in (RESET_TENANT, SEED_TENANT):
        await shop.refusal(Unauthorized, operation, shop.visitor, confirm=shop.tenant)
        await shop.refusal(Forbidden, operation, shop.customer, confirm=shop.tenant)
        program = replace(shop.customer, scopes=STAFF_SCOPES)
        await shop.refusal(Forbidden, operation, program, confirm=shop.tenant)
    await shop.refusal(BadRequest, RESET_TENANT)
    await shop.refusal(BadRequest, RESET_TENANT, confirm=new_id())
    shared = Shop(shop.store, SHARED_TENANT)
    await shared.refusal(Forbidden, RESET_TENANT, confirm=SHARED_TENANT)


async def test_a_customer_with_a_wider_key_is_no_staff(shop: Shop) -> None:
    wider = replace(shop.customer, scopes=shop.staff.scopes)
    await shop.refusal(Forbidden, RESET_TENANT, wider, confirm=shop.tenant)
    await shop.refusal(Forbidden, SEED_TENANT, wider)
