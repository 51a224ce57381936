"""A device without a browser: its user decides elsewhere, once, in time, and gives no more than they have."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.auth.authorization import check_filters, viewer_of
from core.kernel.caller import CUSTOMER_SCOPES, Role, Scope
from core.kernel.errors import Forbidden, RateLimited, Unauthorized
from core.kernel.ids import SHARED_TENANT, new_id
from core.kernel.limits import Limits
from core.models.auth import LoginSession
from core.models.oauth import DeviceCode, OAuthClient, OAuthGrant
from core.ports.records import Equal, Query
from core.services.oauth import device, pages
from core.services.oauth.clients import COMMAND_LINE, DELETE_OAUTH_CLIENT, command_line, find_client
from core.services.oauth.device import DeviceAuthorization, DeviceRequest
from core.services.oauth.errors import OAuthError, OAuthErrorCode
from core.services.oauth.grant_types import TokenResponse, get_tokens
from core.services.oauth.grants import END_GRANT, LIST_GRANTS
from core.services.oauth.inspection import revoke
from core.services.orders import LIST_ORDERS
from core.services.tenant import RESET_TENANT
from core.services.users import DELETE_USER, UPDATE_USER
from gateway.storage.migration import migrate
from tests.core.accounts import ADDRESS, PASSWORD, by_token, known, log_in
from tests.core.services.oauth_flow import client_of
from tests.core.services.test_auth import Wrist
from tests.core.stores import UNLIMITED, Shop, open_store

DRAFT: dict[str, Any] = {
    "name": "Feeder", "redirectUris": [], "grantTypes": ["DEVICE_CODE", "REFRESH_TOKEN"],
    "scopes": ["read:orders", "write:pets"], "confidential": False,
}  # fmt: skip
GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Feeder:
    """A device of a client, and its user's browser."""

    def __init__(self, shop: Shop, client: OAuthClient) -> None:
        self.shop = shop
        self.store = shop.store
        self.client = client

    async def begin(self, scope: str | None = None) -> DeviceAuthorization:
        return await device.begin(self.store, self.client, scope, ADDRESS)

    async def poll(self, codes: DeviceAuthorization, client: OAuthClient | None = None) -> TokenResponse:
        form = {"grant_type": GRANT, "device_code": codes.device_code}
        return await get_tokens(self.store, client or self.client, form, ADDRESS)

    async def refusal(self, codes: DeviceAuthorization, client: OAuthClient | None = None) -> OAuthErrorCode:
        with pytest.raises(OAuthError) as caught:
            await self.poll(codes, client)
        return caught.value.error

    async def visit(self, username: str = "maria") -> pages.Visit:
        cookie = await pages.log_in(self.store, self.shop.tenant, ADDRESS, username, PASSWORD)
        visit = await pages.find_visit(self.store, self.shop.tenant, cookie)
        assert visit is not None
        return visit

    async def find(self, user_code: str, browser: str = "b", address: str = ADDRESS) -> DeviceRequest | None:
        return await device.find_request(self.store, user_code, browser, address)

    async def decide(
        self, codes: DeviceAuthorization, username: str = "maria", *, allowed: bool = True
    ) -> bool:
        request = await self.find(codes.user_code)
        assert request is not None
        return await device.decide(self.store, request, await self.visit(username), ADDRESS, allowed=allowed)

    async def all_at_once(self, scope: str | None = None) -> TokenResponse:
        codes = await self.begin(scope)
        assert await self.decide(codes)
        return await self.poll(codes)


async def feeder_in(shop: Shop, **changed: Any) -> Feeder:
    await known(shop, "owner")  # The first of a tenant is STAFF.
    await known(shop)
    return Feeder(shop, await client_of(shop, **{**DRAFT, **changed}))


async def refused(call: Awaitable[object]) -> bool:
    """Whether a call is one too many."""
    try:
        await call
    except RateLimited:
        return True
    return False


@pytest.fixture
async def feeder(shop: Shop) -> Feeder:
    return await feeder_in(shop)


@pytest.fixture
def clock() -> Wrist:
    return Wrist()


@pytest.fixture
async def timed(tmp_path: Path, clock: Wrist) -> AsyncIterator[Feeder]:
    """A device whose clock the test sets."""
    async with open_store(tmp_path, clock=clock) as store:
        yield await feeder_in(Shop(store))


async def codes_kept(shop: Shop) -> list[DeviceCode]:
    async with shop.store.storage.read(shop.tenant) as tx:
        return await tx.find(Query(DeviceCode))


async def test_a_device_gets_tokens_for_the_user_who_allowed_it(feeder: Feeder) -> None:
    codes = await feeder.begin("read:orders")
    assert (codes.expires_in, codes.interval) == (600, 5)
    assert await feeder.refusal(codes) is OAuthErrorCode.AUTHORIZATION_PENDING
    request = await feeder.find(codes.user_code)
    assert request is not None
    assert (request.client.name, request.code.address, request.tenant) == (
        "Feeder",
        ADDRESS,
        feeder.shop.tenant,
    )
    assert await feeder.decide(codes)
    tokens = await feeder.poll(codes)
    caller = await by_token(feeder.shop, tokens.access_token)
    assert (caller.username, caller.role, caller.client_id) == ("maria", Role.CUSTOMER, feeder.client.id)
    assert caller.scopes == tokens.scopes == {Scope.READ_ORDERS}
    form = {"grant_type": "refresh_token", "refresh_token": str(tokens.refresh_token)}
    assert (await get_tokens(feeder.store, feeder.client, form, ADDRESS)).refresh_token


async def test_what_is_kept_of_the_codes_are_hashes(feeder: Feeder) -> None:
    codes = await feeder.begin()
    [kept] = await codes_kept(feeder.shop)
    text = kept.model_dump_json()
    assert codes.device_code not in text
    assert codes.user_code.replace("-", "") not in text


async def test_a_user_code_is_easy_to_type(feeder: Feeder) -> None:
    user_code = (await feeder.begin()).user_code
    assert len(user_code) == 9
    for typed in (user_code.lower(), user_code.replace("-", ""), f" {user_code.replace('-', ' ')} "):
        assert await feeder.find(typed, browser=typed) is not None


@pytest.mark.parametrize(
    "typed", ["", "BCDF", "AEIO-UAEI", "B" * 9, "\ud800" * 8, "B" * 100_000, "0123-4567", "ВСDF-GHJK"]
)
async def test_what_no_code_looks_like_finds_nothing(feeder: Feeder, typed: str) -> None:
    await feeder.begin()
    assert await feeder.find(typed) is None


async def test_two_polls_at_once_redeem_it_once(feeder: Feeder) -> None:
    codes = await feeder.begin()
    await feeder.decide(codes)
    outcomes = await asyncio.gather(*(feeder.poll(codes) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(outcome, TokenResponse) for outcome in outcomes) == 1
    assert await feeder.refusal(codes) is OAuthErrorCode.INVALID_GRANT


async def test_a_device_that_polls_too_fast_waits_longer_each_time(timed: Feeder, clock: Wrist) -> None:
    codes = await timed.begin()

    async def after(seconds: float) -> OAuthErrorCode:
        clock.now += timedelta(seconds=seconds)
        return await timed.refusal(codes)

    pending, slow = OAuthErrorCode.AUTHORIZATION_PENDING, OAuthErrorCode.SLOW_DOWN
    assert await after(0) is pending
    assert await after(4.5) is pending  # The network hurried it on.
    assert await after(3) is slow
    assert await after(5) is slow  # It is 10 seconds now, and 15 after this.
    assert await after(14.5) is pending
    assert await after(10) is slow
    assert await after(20) is pending
    assert await timed.decide(codes)
    assert await timed.poll(codes)


async def test_who_says_no_is_heard(feeder: Feeder) -> None:
    codes = await feeder.begin()
    assert await feeder.decide(codes, allowed=False)
    assert await feeder.find(codes.user_code) is None
    assert await feeder.refusal(codes) is OAuthErrorCode.ACCESS_DENIED
    assert await feeder.refusal(codes) is OAuthErrorCode.INVALID_GRANT
    async with feeder.store.storage.read(feeder.shop.tenant) as tx:
        assert await tx.count(Query(OAuthGrant)) == 0


async def test_codes_expire(timed: Feeder, clock: Wrist) -> None:
    codes, allowed = await timed.begin(), await timed.begin()
    late = await timed.find(codes.user_code)
    await timed.decide(allowed)
    clock.now += timedelta(minutes=10)
    assert await timed.find(codes.user_code) is None
    assert late is not None
    assert not await device.decide(timed.store, late, await timed.visit(), ADDRESS, allowed=True)
    for each in (codes, allowed):
        assert await timed.refusal(each) is OAuthErrorCode.EXPIRED_TOKEN
    clock.now += timedelta(minutes=10, seconds=1)
    await timed.store.storage.sweep(clock.now)
    assert await codes_kept(timed.shop) == []


async def test_a_decision_is_made_once(feeder: Feeder) -> None:
    codes = await feeder.begin()
    request = await feeder.find(codes.user_code)
    assert request is not None
    visit = await feeder.visit()
    outcomes = [
        await device.decide(feeder.store, request, visit, ADDRESS, allowed=said) for said in (False, True)
    ]
    assert outcomes == [True, False]


async def test_nobody_gives_what_they_do_not_have(feeder: Feeder) -> None:
    tokens = await feeder.all_at_once()
    assert tokens.scopes == {Scope.READ_ORDERS}
    codes = await feeder.begin("write:pets")
    assert not await feeder.decide(codes)
    assert await feeder.refusal(codes) is OAuthErrorCode.AUTHORIZATION_PENDING


async def test_a_code_is_its_clients_alone(feeder: Feeder) -> None:
    codes = await feeder.begin()
    await feeder.decide(codes)
    other = await client_of(feeder.shop, **DRAFT)
    assert await feeder.refusal(codes, other) is OAuthErrorCode.INVALID_GRANT
    assert await feeder.poll(codes)


async def test_a_client_asks_for_what_it_is_registered_for(feeder: Feeder) -> None:
    for scope in ("", "read:pets", "read:orders rule:all"):
        with pytest.raises(OAuthError) as caught:
            await feeder.begin(scope)
        assert caught.value.error is OAuthErrorCode.INVALID_SCOPE
    feeder.client = await client_of(feeder.shop)
    with pytest.raises(OAuthError) as caught:
        await feeder.begin()
    assert caught.value.error is OAuthErrorCode.UNAUTHORIZED_CLIENT


async def test_wrong_codes_are_few_of_a_browser_and_of_a_network(tmp_path: Path) -> None:
    limits = Limits(requests_per_minute=100_000, network_failed_logins_per_minute=12)
    async with open_store(tmp_path, limits=limits) as store:
        feeder = await feeder_in(Shop(store))
        codes = await feeder.begin()
        for _ in range(5):
            assert await feeder.find("BBBB-BBBB", "one") is None
        with pytest.raises(RateLimited):
            await feeder.find(codes.user_code, "one")
        assert await feeder.find(codes.user_code, "another")
        outcomes = [await refused(feeder.find("BBBB-BBBB", f"browser {number}")) for number in range(20)]
        assert outcomes == [number >= 12 - 5 for number in range(20)]
        assert await feeder.find(codes.user_code, "one", address="198.51.100.7")


async def test_devices_that_wait_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_store(tmp_path, limits=Limits(requests_per_minute=100_000)) as store:
        feeder = await feeder_in(Shop(store))
        assert [await refused(feeder.begin()) for _ in range(31)] == [False] * 30 + [True]
    async with open_store(tmp_path, limits=UNLIMITED) as store:
        feeder = await feeder_in(Shop(store))
        monkeypatch.setattr(device, "_MAX_WAITING", 2)
        for _ in range(2):
            await feeder.begin()
        with pytest.raises(RateLimited):
            await feeder.begin()


@pytest.mark.parametrize("end", ["user", "client", "grant", "tenant"])
async def test_what_ends_meanwhile_gives_no_tokens(feeder: Feeder, end: str) -> None:
    codes = await feeder.begin()
    await feeder.decide(codes)
    visit = await feeder.visit()
    shop = feeder.shop
    match end:
        case "user":
            await shop.call(DELETE_USER, id=visit.account.id)
        case "client":
            await shop.call(DELETE_OAUTH_CLIENT, id=feeder.client.id)
        case "grant":
            async with shop.store.storage.read(shop.tenant) as tx:
                [grant] = await tx.find(Query(OAuthGrant))
            person = await by_token(shop, (await log_in(shop)).access_token)
            await shop.call(END_GRANT, person, id=grant.id)
        case _:
            await shop.call(RESET_TENANT, confirm=shop.tenant)
            assert await codes_kept(shop) == []
    assert await feeder.refusal(codes) in (OAuthErrorCode.ACCESS_DENIED, OAuthErrorCode.INVALID_GRANT)


async def test_a_new_password_ends_what_was_allowed_with_the_old_one(feeder: Feeder) -> None:
    shop = feeder.shop
    allowed, waiting, of_owner = await feeder.begin(), await feeder.begin(), await feeder.begin()
    await feeder.decide(allowed)
    await feeder.decide(of_owner, "owner")
    visit, request = await feeder.visit(), await feeder.find(waiting.user_code)
    assert request is not None
    person = await by_token(shop, (await log_in(shop)).access_token)
    body = {"password": "another good one", "currentPassword": PASSWORD}
    await shop.call(UPDATE_USER, person, body, id=person.user_id)
    assert await feeder.refusal(allowed) is OAuthErrorCode.INVALID_GRANT
    # A page that was shown before it allows nothing after it.
    with pytest.raises(Unauthorized):
        await device.decide(feeder.store, request, visit, ADDRESS, allowed=True)
    assert await feeder.refusal(waiting) is OAuthErrorCode.AUTHORIZATION_PENDING
    assert await feeder.poll(of_owner)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def busy(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Feeder]:
    """A device on each storage."""
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/store.db"}.get(request.param)
    url = url or str(request.getfixturevalue("postgres_url"))
    await migrate(url)
    async with open_store(tmp_path, url) as store:
        yield await feeder_in(Shop(store))


@pytest.mark.database
@pytest.mark.parametrize("end", ["password", "user"])
async def test_what_is_redeemed_or_allowed_while_its_login_ends_ends_with_it(busy: Feeder, end: str) -> None:
    shop, user_id = busy.shop, (await busy.visit()).account.id
    allowed = [await busy.begin() for _ in range(4)]
    waiting = [await busy.begin() for _ in range(4)]
    for codes in allowed:
        assert await busy.decide(codes)
    visit = await busy.visit()
    requests = [await busy.find(codes.user_code) for codes in waiting]
    if end == "user":
        ended = shop.call(DELETE_USER, id=user_id)
    else:
        ended = shop.call(UPDATE_USER, body={"password": "another good one"}, id=user_id)
    calls = [
        *(busy.poll(codes) for codes in allowed),
        *(device.decide(busy.store, one, visit, ADDRESS, allowed=True) for one in requests if one),
    ]
    results = await asyncio.gather(*calls[::2], ended, *calls[1::2], return_exceptions=True)
    for result in results:
        assert not isinstance(result, BaseException) or isinstance(result, OAuthError | Unauthorized), result
        if isinstance(result, TokenResponse):
            with pytest.raises(Unauthorized):
                await by_token(shop, result.access_token)
    for codes in (*allowed, *waiting):
        assert await busy.refusal(codes)
    async with busy.store.storage.read(shop.tenant) as tx:
        assert await tx.count(Query(LoginSession, (Equal("owner_id", user_id),))) == 0


# --- the command line ---


async def test_every_tenant_knows_the_command_line(shop: Shop) -> None:
    await known(shop, "owner")
    person = await known(shop)
    client = await find_client(shop.store, COMMAND_LINE, shop.tenant)
    assert client == command_line(shop.tenant)
    feeder = Feeder(shop, command_line(shop.tenant))
    tokens = await feeder.all_at_once()
    caller = await by_token(shop, tokens.access_token)
    assert (caller.tenant, caller.scopes) == (shop.tenant, CUSTOMER_SCOPES)
    [grant] = (await shop.call(LIST_GRANTS, person)).data
    assert grant.client_name == "Petstore command line"
    elsewhere = command_line(SHARED_TENANT)
    form = {"grant_type": "refresh_token", "refresh_token": str(tokens.refresh_token)}
    with pytest.raises(OAuthError):
        await get_tokens(shop.store, elsewhere, form, ADDRESS)
    await revoke(shop.store, client, str(tokens.refresh_token), ADDRESS)
    with pytest.raises(Unauthorized):
        await by_token(shop, tokens.access_token)


# --- what a device with one scope sees ---


async def test_a_device_that_may_read_orders_hears_of_its_users_orders_and_of_nothing_else(
    feeder: Feeder,
) -> None:
    shop = feeder.shop
    tokens = await feeder.all_at_once("read:orders")
    caller = await by_token(shop, tokens.access_token)
    await shop.call(LIST_ORDERS, caller)
    viewer = viewer_of(caller)
    assert (viewer.kind, viewer.user_id) == ("user", caller.user_id)
    await check_filters(
        shop.store.storage, UNLIMITED, caller, ["orders/+/status", "payments/#", "#", "pets/#"]
    )
    for hidden in ("chats/#", "chats/+/messages", f"chats/{new_id()}/#", "telemetry/#"):
        with pytest.raises(Forbidden):
            await check_filters(shop.store.storage, UNLIMITED, caller, [hidden])
