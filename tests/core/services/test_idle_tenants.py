"""Private tenants that nobody uses."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.auth.callers import access_claims
from core.kernel.caller import Role
from core.kernel.clock import utc_now
from core.kernel.errors import CursorExpired, NotFound, Unauthorized, Unavailable
from core.kernel.ids import SHARED_TENANT, TenantId, new_id
from core.kernel.limits import Limits
from core.models import examples
from core.models.activity import TenantActivity
from core.models.users import User
from core.ports.records import Query, Transaction
from core.services import idle_tenants, tenant
from core.services.chats import OPEN_CHAT
from core.services.idle_tenants import note_seen, sweep_idle
from core.services.images import UPLOAD_IMAGE
from core.services.orders import PLACE_ORDER
from core.services.payments import settle_abandoned
from core.services.pets import CREATE_PET, GET_PET
from core.services.unpaid_orders import cancel_unpaid
from core.services.users import REGISTER
from core.store.context import Context
from core.store.store import Store
from tests.core.accounts import PASSWORD, by_token, log_in, profile, register
from tests.core.hub.test_subscription import STAFF, VISITOR
from tests.core.services.test_tenant import counts, populate
from tests.core.stores import Shop, open_store, user_in
from tests.pictures import PNG

IDLE = timedelta(days=40)
DAY = timedelta(days=1)


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def store(database: str, tmp_path: Path, time: Time) -> AsyncIterator[Store]:
    limits = Limits(requests_per_minute=0, tenant_idle_days=40)
    async with open_store(tmp_path, database, limits=limits, clock=time) as opened:
        yield opened


async def activity(shop: Shop) -> TenantActivity | None:
    async with shop.store.storage.read(shop.tenant) as tx:
        return await tx.get(TenantActivity, shop.tenant)


async def swept(store: Store, time: Time) -> int:
    """Two rounds, a day apart."""
    first = await sweep_idle(store, IDLE)
    time.ahead += DAY
    return first + await sweep_idle(store, IDLE)


async def test_a_tenant_that_nobody_uses_is_removed_with_all_that_is_its_own(
    shop: Shop, store: Store, time: Time, tmp_path: Path
) -> None:
    pool, other = Shop(store, SHARED_TENANT), Shop(store)
    await pool.call(CREATE_PET, body=examples.PET_DRAFT)
    await register(shop)
    await populate(shop)
    time.ahead += timedelta(days=39)
    await other.call(CREATE_PET, body=examples.PET_DRAFT)
    assert await swept(store, time) == 0
    time.ahead += DAY
    assert await swept(store, time) == 1
    assert await counts(shop) == {}
    assert await activity(shop) is None
    assert (await store.storage.read_log(shop.tenant, 0, 10)).head == 0
    assert not list((tmp_path / "images").glob(f"{shop.tenant}/*"))
    for kept in (pool, other):
        assert await counts(kept) == {"Pet": 1}
    # Nothing of it is left to be found again.
    assert await swept(store, time) == 0


async def test_who_comes_next_begins_anew(shop: Shop, store: Store, time: Time) -> None:
    await register(shop, "first")
    old = await log_in(shop, "first")
    pet = await shop.call(CREATE_PET, body=examples.PET_DRAFT)
    await shop.call(GET_PET, id=pet.id)  # it is in memory
    cursor = await store.hub.cursor_now(shop.tenant)
    time.ahead += IDLE
    assert await swept(store, time) == 1
    await shop.refusal(NotFound, GET_PET, id=pet.id)
    with pytest.raises(Unauthorized):
        await by_token(shop, old.access_token)
    owner = await register(shop, "next")
    assert owner.roles == (Role.STAFF,)
    assert (await shop.call(CREATE_PET, body=examples.PET_DRAFT)).number == 1
    for _ in range(5):
        await shop.call(CREATE_PET, body=examples.PET_DRAFT)
    with pytest.raises(CursorExpired):
        await store.hub.subscribe(shop.tenant, STAFF, ["#"], cursor)
    events = (await store.storage.read_log(shop.tenant, 0, 100)).events
    assert {event.event_type for event in events} == {"pet.created", "inventory.changed"}


async def test_a_clock_that_is_wrong_for_a_while_removes_nothing(
    shop: Shop, store: Store, time: Time
) -> None:
    await register(shop)
    for _ in range(3):
        time.ahead += timedelta(days=400)
        for _ in range(5):
            assert await sweep_idle(store, IDLE) == 0
        time.ahead -= timedelta(days=400)
        assert await sweep_idle(store, IDLE) == 0
        # In its time it is none that has been idle.
        time.ahead += timedelta(days=2)
        assert await sweep_idle(store, IDLE) == 0
    assert (await counts(shop))["User"] == 1


@pytest.mark.parametrize("use", ["write", "login", "reading", "listening"])
async def test_use_keeps_a_tenant(shop: Shop, store: Store, time: Time, use: str) -> None:
    await register(shop)
    for _ in range(4):
        time.ahead += timedelta(days=30)
        match use:
            case "write":
                await shop.call(CREATE_PET, shop.staff, examples.PET_DRAFT)
            case "login":
                await log_in(shop)
            case "reading":
                await by_token(shop, _token(shop, time))
            case _:
                listener = await store.hub.subscribe(shop.tenant, VISITOR, ["#"])
                await note_seen(store)
                listener.close()
        await note_seen(store)
        assert await swept(store, time) == 0
    time.ahead += IDLE
    assert await swept(store, time) == 1


def _token(shop: Shop, time: Time) -> str:
    caller = replace(shop.customer, expires_at=time() + timedelta(hours=1), session_id=new_id())
    return shop.store.signer.sign(access_claims(caller, new_id(), time(), ""))


async def test_what_the_store_does_of_its_own_accord_is_no_use(shop: Shop, store: Store, time: Time) -> None:
    pet = await shop.call(CREATE_PET, body=examples.PET_DRAFT)
    await shop.call(PLACE_ORDER, shop.visitor, {"petId": pet.id})
    before = await activity(shop)
    time.ahead += timedelta(days=2)
    assert await cancel_unpaid(store, timedelta(hours=1)) == 1
    await settle_abandoned(store)
    assert await activity(shop) == before


async def test_reading_visitors_and_refused_writes_leave_no_trace(shop: Shop, store: Store) -> None:
    await shop.refusal(NotFound, GET_PET, shop.visitor, id="019e2d14-2b7c-7a90-8d11-3e5f7a9c1b20")
    await shop.refusal(NotFound, PLACE_ORDER, shop.visitor, {"petId": "019e2d14-2b7c-7a90-8d11-3e5f7a9c1b20"})
    listener = await store.hub.subscribe(shop.tenant, VISITOR, ["#"])
    await note_seen(store)
    assert await activity(shop) is None
    # That somebody listened before there was anything does not keep the first write from being noted.
    await register(shop)
    assert await activity(shop) is not None
    listener.close()


async def test_a_tenant_whose_users_came_without_a_write_is_known_by_their_use(
    shop: Shop, store: Store, time: Time
) -> None:
    await shop.add(user_in(shop.tenant))
    await by_token(shop, _token(shop, time))
    await note_seen(store)
    assert await activity(shop) is not None


async def test_use_is_written_down_once_a_day(shop: Shop, store: Store, time: Time) -> None:
    await shop.call(CREATE_PET, body=examples.PET_DRAFT)
    before = await activity(shop)
    assert before is not None
    time.ahead += timedelta(hours=20)
    await shop.call(CREATE_PET, body=examples.PET_DRAFT)
    await by_token(shop, _token(shop, time))
    await note_seen(store)
    assert await activity(shop) == before
    time.ahead += timedelta(hours=5)
    await shop.call(CREATE_PET, body=examples.PET_DRAFT)
    after = await activity(shop)
    assert after is not None
    assert after.touched_at > before.touched_at + DAY


async def test_many_who_write_in_a_new_tenant_at_once_all_succeed(shop: Shop) -> None:
    await asyncio.gather(*(shop.call(CREATE_PET, body=examples.PET_DRAFT) for _ in range(10)))
    assert await activity(shop) is not None


async def test_nobody_writes_while_a_tenant_is_removed_and_a_removal_that_stopped_goes_on(
    shop: Shop, store: Store, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant, "_BATCH_RECORDS", 2)
    await register(shop)
    pets = [await shop.call(CREATE_PET, body=examples.PET_DRAFT) for _ in range(7)]
    await shop.call(UPLOAD_IMAGE, body={"file": PNG}, id=pets[0].id)
    time.ahead += IDLE
    await sweep_idle(store, IDLE)
    time.ahead += DAY
    commits, write = 0, store.storage.write

    def stops(of: TenantId) -> AbstractAsyncContextManager[Transaction]:
        nonlocal commits
        commits += 1
        if commits == 11:
            raise RuntimeError("the node stops")
        return write(of)

    monkeypatch.setattr(store.storage, "write", stops)
    with pytest.raises(RuntimeError):
        await sweep_idle(store, IDLE)
    monkeypatch.setattr(store.storage, "write", write)
    left = await counts(shop)
    assert 0 < left["Pet"] < 7
    body = profile("next", password=PASSWORD)
    await shop.refusal(Unavailable, REGISTER, shop.visitor, body)
    await shop.refusal(Unavailable, OPEN_CHAT, shop.customer, {})
    assert await counts(shop) == left
    # Two nodes at once, one of which finds nothing left to do.
    assert sum(await asyncio.gather(sweep_idle(store, IDLE), sweep_idle(store, IDLE))) == 1
    assert await counts(shop) == {}
    assert (await register(shop, "next")).roles == (Role.STAFF,)


async def test_a_removal_never_takes_what_has_begun_anew(
    shop: Shop, store: Store, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(shop)
    time.ahead += IDLE
    await sweep_idle(store, IDLE)
    time.ahead += DAY

    async def slowly(ctx: Context, given: Iterable[Any]) -> None:
        steps = list(given)
        await tenant.empty(ctx, steps[:1])
        # Another node is done meanwhile, and somebody has come.
        monkeypatch.setattr(idle_tenants, "empty", tenant.empty)
        assert await sweep_idle(store, IDLE) == 1
        await register(shop, "next")
        await tenant.empty(ctx, steps)

    monkeypatch.setattr(idle_tenants, "empty", slowly)
    assert await sweep_idle(store, IDLE) == 0
    async with store.storage.read(shop.tenant) as tx:
        assert [user.username for user in await tx.find(Query(User))] == ["next"]
