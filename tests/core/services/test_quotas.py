"""What a tenant, a customer, a chat, an order and an account may hold at most."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.kernel.clock import utc_now
from core.kernel.errors import Conflict, Unauthorized
from core.kernel.ids import SHARED_TENANT, new_id
from core.kernel.limits import Limits
from core.models import examples
from core.models.auth import LoginSession
from core.models.chats import Message
from core.models.oauth import OAuthClient, OAuthGrant
from core.models.users import User
from core.ports.records import Query
from core.services import chats
from core.services.api_keys import CREATE_API_KEY, DELETE_API_KEY
from core.services.auth import LOG_IN, REFRESH
from core.services.chats import CLOSE_CHAT, GET_CHAT, LIST_CHATS, OPEN_CHAT
from core.services.devices import CREATE_DEVICE, DELETE_DEVICE
from core.services.images import DELETE_IMAGE, UPLOAD_IMAGE
from core.services.messages import LIST_MESSAGES, SEND_MESSAGE
from core.services.oauth import clients
from core.services.oauth.clients import CREATE_OAUTH_CLIENT
from core.services.oauth.registration import register as register_client
from core.services.orders import CANCEL_ORDER, PLACE_ORDER
from core.services.payments import PAY_ORDER
from core.services.pets import CREATE_PET, DELETE_PET, REPLACE_PET
from core.services.tenant import RESET_TENANT
from core.services.users import DELETE_USER, REGISTER, UPDATE_USER
from core.store.operation import AnyOperation
from tests.core.accounts import PASSWORD, by_token, log_in, profile, register
from tests.core.services.oauth_flow import DRAFT
from tests.core.stores import Shop, open_store, user_in
from tests.pictures import PNG

LIMITS = Limits(
    requests_per_minute=0,
    tenant_image_bytes=3 * len(PNG) + 1,
    tenant_records=3,
    logins_per_account=3,
    open_chats_per_customer=2,
    chats_per_customer=4,
    messages_per_chat=5,
    payments_per_order=2,
)


@pytest.fixture
async def shop(database: str, tmp_path: Path) -> AsyncIterator[Shop]:
    """A private tenant of a store with narrow limits."""
    async with open_store(tmp_path, database, limits=LIMITS) as store:
        yield Shop(store)


async def pet_in(shop: Shop) -> str:
    pet = await shop.call(CREATE_PET, body=examples.PET_DRAFT)
    return str(pet.id)


def files_of(shop: Shop, folder: Path) -> int:
    return len(list((folder / "images").glob(f"{shop.tenant}/*")))


# --- images ---


async def test_the_bytes_of_a_tenant_s_images_are_bounded_exactly_however_many_come_at_once(
    shop: Shop, tmp_path: Path
) -> None:
    pets = [await pet_in(shop) for _ in range(3)]
    uploads = [shop.call(UPLOAD_IMAGE, body={"file": PNG}, id=pets[turn % 3]) for turn in range(9)]
    results = await asyncio.gather(*uploads, return_exceptions=True)
    refused = [result for result in results if isinstance(result, Conflict)]
    assert len(refused) == 6
    assert refused[0].detail == (
        f"The tenant's images have {3 * len(PNG)} bytes, and with this one they would have more than "
        f"{LIMITS.tenant_image_bytes}."
    )
    assert files_of(shop, tmp_path) == 3


async def test_removal_makes_room_for_images_whatever_removes_them(shop: Shop) -> None:
    pets = [await pet_in(shop) for _ in range(3)]

    async def upload(place: int) -> Any:
        return await shop.call(UPLOAD_IMAGE, body={"file": PNG}, id=pets[place])

    image, _, _ = [await upload(place) for place in range(3)]
    with pytest.raises(Conflict):
        await upload(0)
    await shop.call(DELETE_IMAGE, id=pets[0], imageId=image.id)
    await upload(0)
    await shop.call(DELETE_PET, id=pets[1])
    await upload(0)
    await shop.call(REPLACE_PET, body=examples.PET_DRAFT, id=pets[2])
    await upload(0)
    with pytest.raises(Conflict):
        await upload(0)
    await shop.add(user_in(shop.tenant, user_id=shop.staff.user_id))
    await shop.call(RESET_TENANT, confirm=shop.tenant)
    pets[0] = await pet_in(shop)
    for _ in range(3):
        await upload(0)


async def test_the_images_of_the_shared_pool_are_bounded_too(shop: Shop) -> None:
    pool = Shop(shop.store, SHARED_TENANT)
    pet = await pet_in(pool)
    for _ in range(3):
        await pool.call(UPLOAD_IMAGE, body={"file": PNG}, id=pet)
    await pool.refusal(Conflict, UPLOAD_IMAGE, body={"file": PNG}, id=pet)


# --- records ---


def _names() -> Any:
    return iter(f"maria{number}" for number in range(100))


@pytest.mark.parametrize(
    ("create", "delete", "bodies"),
    [
        (CREATE_PET, DELETE_PET, lambda: iter(lambda: examples.PET_DRAFT, None)),
        (REGISTER, DELETE_USER, lambda: (profile(name, password=PASSWORD) for name in _names())),
        (CREATE_DEVICE, DELETE_DEVICE, lambda: iter(lambda: {"name": "Collar"}, None)),
        (CREATE_API_KEY, DELETE_API_KEY, lambda: iter(lambda: {"name": "k", "scopes": ["read:pets"]}, None)),
    ],
    ids=["pets", "users", "devices", "keys"],
)
async def test_a_private_tenant_holds_so_many_of_a_kind(
    shop: Shop, create: AnyOperation, delete: AnyOperation, bodies: Any
) -> None:
    given = bodies()
    made = [await shop.call(create, body=next(given)) for _ in range(3)]
    error = await shop.refusal(Conflict, create, body=next(given))
    assert error.detail.endswith("which is as many as it may have.")
    assert not error.taken  # type: ignore[attr-defined]
    await shop.call(delete, id=made[-1].id)
    await shop.call(create, body=next(given))
    await shop.refusal(Conflict, create, body=next(given))
    # Another tenant has room of its own, and the shared pool is for everybody.
    for other, count in ((Shop(shop.store), 3), (Shop(shop.store, SHARED_TENANT), 6)):
        for _ in range(count):
            await other.call(create, body=next(given))


async def test_a_private_tenant_holds_so_many_orders_and_none_goes_before_a_reset(shop: Shop) -> None:
    pet = await pet_in(shop)
    for _ in range(3):
        order = await shop.call(PLACE_ORDER, shop.visitor, {"petId": pet})
        await shop.call(CANCEL_ORDER, id=order.id)
    await shop.refusal(Conflict, PLACE_ORDER, shop.visitor, {"petId": pet})
    await shop.add(user_in(shop.tenant, user_id=shop.staff.user_id))
    await shop.call(RESET_TENANT, confirm=shop.tenant)
    await shop.call(PLACE_ORDER, shop.visitor, {"petId": await pet_in(shop)})


async def test_no_two_take_the_last_room(shop: Shop) -> None:
    drafts = [shop.call(CREATE_PET, body=examples.PET_DRAFT) for _ in range(10)]
    results = await asyncio.gather(*drafts, return_exceptions=True)
    assert sum(isinstance(result, Conflict) for result in results) == 7


async def test_a_deleted_user_s_keys_make_room(shop: Shop) -> None:
    owner = await register(shop)
    boss = await by_token(shop, (await log_in(shop)).access_token)
    for _ in range(3):
        await shop.call(CREATE_API_KEY, boss, {"name": "k", "scopes": ["read:pets"]})
    await shop.refusal(Conflict, CREATE_API_KEY, boss, {"name": "k", "scopes": ["read:pets"]})
    other = await register(shop, "other")
    async with shop.store.storage.write(shop.tenant) as tx:
        found = await tx.get(User, other.id)
        assert found is not None
        await tx.update(found.model_copy(update={"roles": owner.roles}))
    await shop.call(DELETE_USER, id=owner.id)
    await shop.call(CREATE_API_KEY, body={"name": "k", "scopes": ["read:pets"]})


async def test_clients_that_register_themselves_keep_no_other_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_MAX_CLIENTS_OF_TENANT", 3)
    async with open_store(tmp_path) as store:
        shop = Shop(store)
        metadata = {"redirect_uris": ["https://x.example/"]}

        async def registered() -> str:
            return str((await register_client(store, shop.visitor, metadata))["client_id"])

        made = [await registered() for _ in range(3)]
        grant = OAuthGrant(
            id=new_id(), tenant_id=shop.tenant, user_id="u", client_id=made[0], client_name="x",
            scopes=(), created_at=store.clock(), updated_at=store.clock(),
        )  # fmt: skip
        await shop.add(grant)
        made += [await registered(), await registered()]
        # The first has been allowed something; of the others the oldest gave way.
        async with store.storage.read(shop.tenant) as tx:
            left = {client.id for client in await tx.find(Query(OAuthClient))}
        assert left == {made[0], *made[3:]}
        for _ in range(3):
            await shop.call(CREATE_OAUTH_CLIENT, body=DRAFT)
        await shop.refusal(Conflict, CREATE_OAUTH_CLIENT, body=DRAFT)


# --- what one person may hold ---


async def test_the_login_that_was_refreshed_the_longest_time_ago_gives_way(tmp_path: Path) -> None:
    ticks = itertools.count()

    def clock() -> datetime:
        return utc_now() + timedelta(seconds=next(ticks))

    async with open_store(tmp_path, limits=LIMITS, clock=clock) as store:
        shop = Shop(store)
        user = await register(shop)
        first, second = await log_in(shop), await log_in(shop)
        await shop.call(REFRESH, shop.visitor, {"refreshToken": first.refresh_token})
        await log_in(shop)
        await log_in(shop)
        async with store.storage.read(shop.tenant) as tx:
            assert await tx.count(Query(LoginSession)) == 3
        with pytest.raises(Unauthorized):
            await by_token(shop, second.access_token)
        assert (await by_token(shop, first.access_token)).user_id == user.id


async def test_logins_at_once_are_no_more_than_they_may_be(shop: Shop) -> None:
    await register(shop)
    credentials = {"username": "maria", "password": PASSWORD}
    await asyncio.gather(*(shop.call(LOG_IN, shop.visitor, credentials) for _ in range(8)))
    async with shop.store.storage.read(shop.tenant) as tx:
        assert await tx.count(Query(LoginSession)) == 3


async def test_a_changed_password_ends_the_other_logins_in_a_few_statements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(tmp_path) as store:
        shop = Shop(store)
        user = await register(shop)
        tokens = [await log_in(shop) for _ in range(20)]
        caller = await by_token(shop, tokens[7].access_token)
        revocations = 0
        revoke = store.storage.revoke

        async def counted(*arguments: Any) -> None:
            nonlocal revocations
            revocations += 1
            await revoke(*arguments)

        monkeypatch.setattr(store.storage, "revoke", counted)
        change = {"password": "another horse battery", "currentPassword": PASSWORD}
        await shop.call(UPDATE_USER, caller, change, id=user.id)
        assert revocations <= 2
        async with store.storage.read(shop.tenant) as tx:
            assert [session.id for session in await tx.find(Query(LoginSession))] == [caller.session_id]
        for place, one in enumerate(tokens):
            if place != 7:
                with pytest.raises(Unauthorized):
                    await by_token(shop, one.access_token)


async def test_a_customer_has_so_many_open_chats(shop: Shop) -> None:
    (first, *_) = [await shop.call(OPEN_CHAT, shop.customer, {}) for _ in range(2)]
    await shop.refusal(Conflict, OPEN_CHAT, shop.customer, {})
    await shop.call(OPEN_CHAT, shop.staff, {})  # another one's
    await shop.call(CLOSE_CHAT, id=first.id)


async def test_a_customer_s_oldest_closed_chats_go_with_their_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chats, "_BATCH_MESSAGES", 2)
    limits = Limits(requests_per_minute=0, chats_per_customer=4, tenant_records=5)
    async with open_store(tmp_path, limits=limits) as store:
        shop = Shop(store)
        opened = []
        for _ in range(7):
            chat = await shop.call(OPEN_CHAT, shop.customer, {})
            opened.append(chat.id)
            for _ in range(3):
                await shop.call(SEND_MESSAGE, shop.customer, {"text": "Hello"}, id=chat.id)
            await shop.call(GET_CHAT, shop.customer, id=chat.id)
            if len(opened) > 1:
                await shop.call(CLOSE_CHAT, id=chat.id)
        listed = [chat.id for chat in (await shop.call(LIST_CHATS, shop.customer)).data]
        # The first of all is still open.
        assert sorted(listed) == [opened[0], *opened[4:]]
        async with store.storage.read(shop.tenant) as tx:
            assert {message.chat_id for message in await tx.find(Query(Message))} == set(listed)
        with pytest.raises(Exception, match="There is no chat"):
            await shop.call(GET_CHAT, shop.customer, id=opened[2])


async def test_a_chat_has_so_many_messages(shop: Shop) -> None:
    chat = await shop.call(OPEN_CHAT, shop.customer, {})
    for number in range(5):
        await shop.call(
            SEND_MESSAGE, shop.customer, {"text": "Hi", "clientMessageId": str(number)}, id=chat.id
        )
    await shop.refusal(Conflict, SEND_MESSAGE, shop.customer, {"text": "Hi"}, id=chat.id)
    # One that was sent before is still found.
    again = {"text": "Hi", "clientMessageId": "4"}
    await shop.call(SEND_MESSAGE, shop.customer, again, id=chat.id)
    assert len((await shop.call(LIST_MESSAGES, shop.customer, id=chat.id)).data) == 5


async def test_an_order_takes_so_many_payments_that_fail(shop: Shop) -> None:
    order = await shop.call(PLACE_ORDER, shop.visitor, {"petId": await pet_in(shop)})
    declined = {
        "amount": str(order.total_amount), "currency": "USD",
        "source": {
            "object": "card", "name": "Ada", "number": "4000000000000002", "cvc": "123", "expMonth": 12,
            "expYear": 2099,
        },
    }  # fmt: skip
    for _ in range(2):
        assert (await shop.call(PAY_ORDER, shop.visitor, declined, id=order.id)).status == "FAILED"
    await shop.refusal(Conflict, PAY_ORDER, shop.visitor, declined, id=order.id)
