"""Logging in, refreshing and logging out; what slows guessing down."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from core.auth import passwords
from core.kernel.caller import Caller, Credentials, Role, visitor
from core.kernel.clock import utc_now
from core.kernel.errors import Forbidden, RateLimited, Unauthorized, Unavailable
from core.kernel.ids import SHARED_TENANT
from core.kernel.limits import Limits
from core.models.auth import LoginSession, Tokens
from core.models.users import Login
from core.ports.records import Query, TransientFailure
from core.services import auth
from core.services.auth import LOG_IN, LOG_OUT, REFRESH
from core.services.devices import CREATE_DEVICE
from core.services.tokens import Spent, spend
from core.services.users import REGISTER, UPDATE_USER
from core.store.store import Store
from gateway.security.passwords import Argon2Hasher
from tests.core.accounts import ADDRESS, PASSWORD, by_token, known, log_in, profile, register
from tests.core.stores import Shop, open_store


class Wrist:
    """A clock that a test sets forward."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Wrist:
    return Wrist()


@pytest.fixture
async def timed(tmp_path: Path, clock: Wrist) -> AsyncIterator[Shop]:
    """A shop whose clock the test sets."""
    async with open_store(tmp_path, clock=clock) as store:
        yield Shop(store)


async def refresh(shop: Shop, token: str, caller: Caller | None = None) -> Tokens:
    tokens: Tokens = await shop.call(REFRESH, caller or shop.visitor, {"refreshToken": token})
    return tokens


# --- logging in ---


async def test_a_login_answers_all_that_a_client_needs(shop: Shop) -> None:
    user = await register(shop)
    before = utc_now()
    tokens = await log_in(shop)
    shown = tokens.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert shown == {
        "accessToken": tokens.access_token,
        "token": tokens.access_token,
        "tokenType": "Bearer",
        "expiresIn": 3600,
        "expiresAt": shown["expiresAt"],
        "refreshToken": tokens.refresh_token,
        "scope": "admin:tenant chat:agent chat:write read:orders read:pets read:user write:devices write:orders "
        "write:pets write:user write:webhooks",
        "user": {"id": user.id, "username": "maria", "email": "maria@example.com"},
    }
    assert timedelta(minutes=59) < tokens.expires_at - before <= timedelta(hours=1)


async def test_the_token_says_who_it_is_for(shop: Shop) -> None:
    await register(shop, "owner")
    user, tokens = await register(shop), await log_in(shop)
    claims = shop.store.signer.verify(tokens.access_token, utc_now())
    assert claims is not None
    assert {name: claims[name] for name in ("sub", "tid", "roles", "scope")} == {
        "sub": user.id,
        "tid": shop.tenant,
        "roles": ["CUSTOMER"],
        "scope": "chat:write read:orders read:pets read:user write:orders write:user",
    }
    assert claims["exp"] == int(tokens.expires_at.timestamp()) == int(str(claims["iat"])) + 3600
    assert claims["jti"] != (await _claims(shop))["jti"]


async def _claims(shop: Shop) -> dict[str, object]:
    claims = shop.store.signer.verify((await log_in(shop)).access_token, utc_now())
    assert claims is not None
    return claims


async def test_no_secret_shows_in_a_repr(shop: Shop) -> None:
    await register(shop)
    tokens = await log_in(shop)
    assert tokens.access_token not in repr(tokens)
    assert tokens.refresh_token not in repr(tokens)


async def test_a_name_is_known_in_any_case_and_a_password_in_its_own(shop: Shop) -> None:
    await register(shop)
    await log_in(shop, "MARIA")
    with pytest.raises(Unauthorized):
        await log_in(shop, password=PASSWORD.upper())


async def test_a_login_counts_in_its_tenant_only(store: Store, shop: Shop) -> None:
    await register(shop)
    with pytest.raises(Unauthorized):
        await log_in(Shop(store))


async def test_a_wrong_name_and_a_wrong_password_look_alike(shop: Shop) -> None:
    await register(shop)
    body = {"username": "maria", "password": "wrong"}
    wrong = await shop.refusal(Unauthorized, LOG_IN, shop.visitor, body)
    nobody = await shop.refusal(Unauthorized, LOG_IN, shop.visitor, {**body, "username": "nobody"})
    assert wrong.detail == nobody.detail


async def test_a_hash_is_checked_even_where_there_is_no_user(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(shop)
    checked: list[str | None] = []
    verify = Argon2Hasher.verify

    async def noted(self: Argon2Hasher, password: str, hashed: str | None, network: str) -> bool:
        checked.append(hashed)
        return await verify(self, password, hashed, network)

    monkeypatch.setattr(Argon2Hasher, "verify", noted)
    for name in ("maria", "nobody"):
        with pytest.raises(Unauthorized):
            await log_in(shop, name, "wrong")
    assert [hashed is None for hashed in checked] == [False, True]


async def test_a_body_that_is_no_login_is_told_all_its_violations(shop: Shop) -> None:
    assert await shop.violations(LOG_IN, shop.visitor, {"username": "", "password": 1, "x": 1}) == {
        "username": "INVALID_LENGTH",
        "password": "INVALID_TYPE",
        "x": "UNKNOWN_FIELD",
    }


async def test_a_password_changed_meanwhile_lets_nobody_in(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    maria = await known(shop)
    check = shop.store.passwords.check

    async def overtaken(*given: str) -> Login:
        monkeypatch.undo()
        login = await check(shop.tenant, *given[1:])
        change = {"password": "another good one", "currentPassword": PASSWORD}
        await shop.call(UPDATE_USER, maria, change, id=maria.user_id)
        return login

    monkeypatch.setattr(shop.store.passwords, "check", overtaken)
    with pytest.raises(Unauthorized):
        await log_in(shop)


# --- guessing ---


@pytest.fixture
async def guarded(database: str, tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop with limits by network."""
    async with open_store(tmp_path, database, limits=Limits()) as opened:
        yield Shop(opened)


async def test_nobody_keeps_somebody_out_from_elsewhere(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_SLOWED_SECONDS", 0.0)
    await register(shop)
    for number in range(6):
        guesser = visitor(shop.tenant, f"198.51.100.{number}")
        for _ in range(5):
            await shop.refusal(Unauthorized, LOG_IN, guesser, {"username": "maria", "password": "wrong"})
        await shop.refusal(RateLimited, LOG_IN, guesser, {"username": "maria", "password": PASSWORD})
    assert (await log_in(shop)).user.username == "maria"


async def test_after_many_failures_anywhere_each_attempt_with_a_name_is_slowed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_SLOWED_SECONDS", 7.0)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await register(shop)
    for number in range(4):
        guesser = visitor(shop.tenant, f"198.51.100.{number}")
        for _ in range(5):
            await shop.refusal(Unauthorized, LOG_IN, guesser, {"username": "maria", "password": "wrong"})
    monkeypatch.setattr(asyncio, "sleep", sleep)
    await log_in(shop)
    assert slept == [7.0]


async def test_five_failures_for_a_name_close_it_for_a_while(shop: Shop) -> None:
    await register(shop)
    for _ in range(5):
        with pytest.raises(Unauthorized):
            await log_in(shop, password="wrong")
    error = await shop.refusal(RateLimited, LOG_IN, shop.visitor, {"username": "Maria", "password": PASSWORD})
    assert isinstance(error, RateLimited)
    assert 0 < error.retry_after <= 60
    await register(shop, "peter")
    await log_in(shop, "peter")


async def test_a_burst_of_guesses_gets_no_further(shop: Shop) -> None:
    await register(shop)
    answers = await asyncio.gather(
        *(log_in(shop, password="wrong") for _ in range(30)), return_exceptions=True
    )
    assert sum(isinstance(answer, Unauthorized) for answer in answers) == 5
    assert sum(isinstance(answer, RateLimited) for answer in answers) == 25


async def test_good_logins_are_not_counted(shop: Shop) -> None:
    await register(shop)
    assert len(await asyncio.gather(*(log_in(shop) for _ in range(30)))) == 30


@pytest.mark.parametrize(
    ("address", "near", "far"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:1::1", "2001:db8:1:1:ffff::2", "2001:db8:1:2::1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2"),
    ],
)
async def test_thirty_failures_close_a_network_for_a_while(
    guarded: Shop, address: str, near: str, far: str
) -> None:
    shop = guarded
    await register(shop)
    for number in range(30):
        caller = visitor(shop.tenant, address)
        await shop.refusal(Unauthorized, LOG_IN, caller, {"username": f"name{number}", "password": PASSWORD})
    body = {"username": "maria", "password": PASSWORD}
    await shop.refusal(RateLimited, LOG_IN, visitor(shop.tenant, near), body)
    # In whatever tenant.
    other = Shop(shop.store)
    await other.refusal(RateLimited, LOG_IN, visitor(other.tenant, near), body)
    await shop.call(LOG_IN, visitor(shop.tenant, far), body)


async def test_registrations_are_bounded_by_network_over_all_tenants(guarded: Shop) -> None:
    for _ in range(30):
        await register(Shop(guarded.store))
    other = Shop(guarded.store)
    await other.refusal(RateLimited, REGISTER, other.visitor, profile(password=PASSWORD))
    elsewhere = visitor(other.tenant, "198.51.100.7")
    await other.call(REGISTER, elsewhere, profile(password=PASSWORD))


async def test_requests_are_bounded_by_network_over_all_tenants(guarded: Shop) -> None:
    def credentials(address: str) -> Credentials:
        return Credentials(address, str(uuid.uuid4()))

    refused = 0
    for _ in range(1010):
        admission = await guarded.store.admit(credentials("192.0.2.1"))
        refused += isinstance(admission.refusal, RateLimited)
    assert refused == 10
    assert (await guarded.store.admit(credentials("192.0.2.2"))).refusal is None


async def test_an_account_gives_no_further_guesses(guarded: Shop) -> None:
    shop = guarded
    await register(shop)
    token = (await log_in(shop)).access_token
    here = await by_token(shop, token)
    elsewhere = await shop.store.authenticator.authenticate(Credentials("198.51.100.7", token=token))
    for number in range(30):
        await shop.refusal(Unauthorized, LOG_IN, here, {"username": f"name{number}", "password": "wrong"})
    for caller in (shop.visitor, here):
        await shop.refusal(RateLimited, LOG_IN, caller, {"username": "maria", "password": PASSWORD})
    await shop.call(LOG_IN, elsewhere, {"username": "maria", "password": PASSWORD})


# --- refreshing ---


async def test_a_refresh_token_brings_new_tokens_of_the_same_login(shop: Shop) -> None:
    await register(shop)
    old = await log_in(shop)
    new = await refresh(shop, old.refresh_token)
    assert new.refresh_token != old.refresh_token
    assert new.access_token != old.access_token
    one, two = await by_token(shop, old.access_token), await by_token(shop, new.access_token)
    assert (one.session_id, one.user_id, one.scopes) == (two.session_id, two.user_id, two.scopes)
    assert new.user == old.user


async def test_a_spent_refresh_token_ends_its_family(shop: Shop) -> None:
    await register(shop)
    old, other = await log_in(shop), await log_in(shop)
    new = await refresh(shop, old.refresh_token)
    for token in (old.refresh_token, old.refresh_token, new.refresh_token):
        await shop.refusal(Unauthorized, REFRESH, shop.visitor, {"refreshToken": token})
    for token in (old.access_token, new.access_token):
        with pytest.raises(Unauthorized):
            await by_token(shop, token)
    await by_token(shop, other.access_token)
    await refresh(shop, other.refresh_token)


async def test_of_two_who_refresh_at_once_one_wins_and_the_family_ends(shop: Shop) -> None:
    await register(shop)
    old = await log_in(shop)
    answers = await asyncio.gather(
        *(refresh(shop, old.refresh_token) for _ in range(6)), return_exceptions=True
    )
    won = [answer for answer in answers if isinstance(answer, Tokens)]
    assert len(won) == 1
    assert sum(isinstance(answer, Unauthorized) for answer in answers) == 5
    with pytest.raises(Unauthorized):
        await refresh(shop, won[0].refresh_token)


async def test_a_refresh_token_of_another_tenant_is_forbidden(store: Store, shop: Shop) -> None:
    await register(shop)
    tokens = await log_in(shop)
    await Shop(store).refusal(Forbidden, REFRESH, Shop(store).visitor, {"refreshToken": tokens.refresh_token})
    pool = Shop(store, SHARED_TENANT)
    await pool.refusal(Forbidden, REFRESH, pool.customer, {"refreshToken": tokens.refresh_token})
    await refresh(shop, tokens.refresh_token)


async def test_who_names_no_tenant_means_the_refresh_tokens(store: Store, shop: Shop) -> None:
    user = await register(shop)
    tokens = await refresh(shop, (await log_in(shop)).refresh_token, visitor(SHARED_TENANT, ADDRESS))
    caller = await by_token(shop, tokens.access_token)
    assert (caller.tenant, caller.user_id) == (shop.tenant, user.id)


@pytest.mark.parametrize("bad", ["x", "", "ä", "AAAA", "A" * 1000, "A" * 80])
async def test_garbage_refreshes_nothing(shop: Shop, bad: str) -> None:
    if bad:
        await shop.refusal(Unauthorized, REFRESH, shop.visitor, {"refreshToken": bad})
    else:
        await shop.violations(REFRESH, shop.visitor, {"refreshToken": bad})


async def test_a_changed_refresh_token_refreshes_nothing(shop: Shop) -> None:
    await register(shop)
    token = (await log_in(shop)).refresh_token
    for place in (0, 20, 47, 79):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        await shop.refusal(Unauthorized, REFRESH, shop.visitor, {"refreshToken": changed})
    await refresh(shop, token)


async def test_an_access_token_is_no_refresh_token(shop: Shop) -> None:
    await register(shop)
    token = (await log_in(shop)).access_token
    await shop.refusal(Unauthorized, REFRESH, shop.visitor, {"refreshToken": token})


async def test_a_refresh_that_loses_to_other_writers_is_tried_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(shop)
    token = (await log_in(shop)).refresh_token
    failures = [1]

    async def lost(*given: object) -> Spent | None:
        if failures[0]:
            failures[0] -= 1
            raise TransientFailure
        return await spend(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(auth, "spend", lost)
    renewed = await refresh(shop, token)
    failures[0] = 1_000_000
    monkeypatch.setattr("core.store.transactions._DEADLINE_SECONDS", 0.1)
    await shop.refusal(Unavailable, REFRESH, shop.visitor, {"refreshToken": renewed.refresh_token})


# --- time ---


async def test_a_login_lasts_an_hour_and_its_renewal_thirty_days(timed: Shop, clock: Wrist) -> None:
    await register(timed)
    tokens = await log_in(timed)
    clock.forward(minutes=59)
    await by_token(timed, tokens.access_token)
    clock.forward(minutes=1, seconds=1)
    with pytest.raises(Unauthorized):
        await by_token(timed, tokens.access_token)
    clock.forward(days=29)
    tokens = await refresh(timed, tokens.refresh_token)
    clock.forward(days=30, seconds=1)
    await timed.refusal(Unauthorized, REFRESH, timed.visitor, {"refreshToken": tokens.refresh_token})


async def test_a_token_in_memory_expires_too(timed: Shop, clock: Wrist) -> None:
    await register(timed)
    tokens = await log_in(timed)
    clock.forward(minutes=59, seconds=30)
    await by_token(timed, tokens.access_token)
    clock.forward(seconds=31)
    with pytest.raises(Unauthorized, match="expired"):
        await by_token(timed, tokens.access_token)


# --- logging out ---


async def test_logging_out_ends_the_login_at_once(shop: Shop) -> None:
    await register(shop)
    here, there = await log_in(shop), await log_in(shop)
    await shop.call(LOG_OUT, await by_token(shop, here.access_token))
    with pytest.raises(Unauthorized):
        await by_token(shop, here.access_token)
    await shop.refusal(Unauthorized, REFRESH, shop.visitor, {"refreshToken": here.refresh_token})
    await by_token(shop, there.access_token)
    async with shop.store.storage.read(shop.tenant) as tx:
        assert await tx.count(Query(LoginSession)) == 1


async def test_who_logs_in_again_within_the_same_second_is_in(shop: Shop) -> None:
    await register(shop)
    await shop.call(LOG_OUT, await by_token(shop, (await log_in(shop)).access_token))
    await by_token(shop, (await log_in(shop)).access_token)


async def test_visitors_and_api_keys_have_nothing_to_log_out_of(shop: Shop) -> None:
    await shop.refusal(Unauthorized, LOG_OUT, shop.visitor)
    await shop.refusal(Forbidden, LOG_OUT, Caller(shop.tenant, Role.STAFF, "key:1", frozenset(), user_id="1"))


# --- devices ---


async def test_a_device_logs_in_with_its_own_name_and_password(shop: Shop) -> None:
    device = await shop.call(CREATE_DEVICE, body={"name": "Collar", "topics": ["pets/+/status"]})
    tokens = await log_in(shop, device.username, device.password)
    assert tokens.user.model_dump() == {"id": device.id, "username": device.username, "email": None}
    assert tokens.scope == "read:pets"
    caller = await by_token(shop, (await refresh(shop, tokens.refresh_token)).access_token)
    assert (caller.role, caller.device_id, caller.user_id) == (Role.DEVICE, device.id, None)
    assert caller.topics == {"pets/+/status"}
    with pytest.raises(Unauthorized):
        await log_in(shop, device.username, "wrong")
