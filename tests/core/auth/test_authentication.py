"""From credentials to a caller: what counts, what does not, and in which tenant."""

import base64
import json
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.auth import authentication
from core.auth.authentication import tenant_of
from core.kernel.caller import CUSTOMER_SCOPES, STAFF_SCOPES, Credentials, Role, Scope
from core.kernel.clock import utc_now
from core.kernel.errors import BadRequest, Forbidden, Unauthorized
from core.kernel.ids import SHARED_TENANT, new_id
from core.services.api_keys import CREATE_API_KEY, DELETE_API_KEY
from core.services.devices import CREATE_DEVICE, DELETE_DEVICE
from core.store.store import Store
from gateway.security.tokens import HmacSigner
from tests.core.accounts import ADDRESS, by_key, by_token, known, log_in, register
from tests.core.stores import Shop, open_store


def claims(**changes: Any) -> dict[str, object]:
    now = int(utc_now().timestamp())
    return {
        "sub": new_id(), "tid": str(uuid.uuid4()), "roles": ["CUSTOMER"], "scope": "read:pets", "iat": now,
        "exp": now + 60, "jti": new_id(), "sid": new_id(), "username": "maria",
    } | changes  # fmt: skip


# --- tenants ---


async def test_without_anything_a_client_is_a_visitor_of_the_shared_pool(store: Store) -> None:
    caller = await store.authenticator.authenticate(Credentials(ADDRESS))
    assert (caller.tenant, caller.role, caller.key) == (SHARED_TENANT, Role.VISITOR, f"address:{ADDRESS}")
    assert await store.authenticator.authenticate(Credentials(ADDRESS)) is caller


@pytest.mark.parametrize(
    "tenant",
    [
        "6afbf3e4-9710-4ea1-9a0f-5d76e4b89561",
        "01a20239-510e-7000-a057-ed14d54c804c",
        "20E2D83C-ADB7-45E5-A01E-F24E500374DD",
    ],
)
async def test_a_visitor_names_his_tenant(store: Store, tenant: str) -> None:
    credentials = Credentials(ADDRESS, tenant=tenant)
    assert (
        (await store.authenticator.authenticate(credentials)).tenant
        == tenant.lower()
        == tenant_of(credentials)
    )


@pytest.mark.parametrize(
    "tenant",
    [
        "",
        "x",
        "f2702262-e648-11f1-b80d-02fc00000001",
        " e99b6bcd-32bd-4c90-b728-f434309f521d",
        "054fe2915ec140d7adfb8afeae24938a",
        "{62758625-169f-4d1d-9030-eba1e37ecee2}",
    ],
)
async def test_another_name_is_no_tenant(store: Store, tenant: str) -> None:
    credentials = Credentials(ADDRESS, tenant=tenant)
    assert tenant_of(credentials) is None
    with pytest.raises(BadRequest):
        await store.authenticator.authenticate(credentials)


async def test_visitors_in_memory_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "_MAX_CALLERS", 3)
    for number in range(10):
        await store.authenticator.authenticate(Credentials(f"192.0.2.{number}"))
    assert len(store.authenticator._callers._visitors) <= 3


# --- tokens ---


async def test_a_token_says_who_calls_and_where(shop: Shop) -> None:
    await register(shop, "owner")
    maria = await register(shop)
    token = (await log_in(shop)).access_token
    caller = await by_token(shop, token)
    assert (caller.tenant, caller.role, caller.user_id) == (shop.tenant, Role.CUSTOMER, maria.id)
    assert (caller.key, caller.username, caller.scopes) == (f"user:{maria.id}", "maria", CUSTOMER_SCOPES)
    assert caller.subjects == (f"user:{maria.id}", f"session:{caller.session_id}")
    assert await by_token(shop, token, tenant=shop.tenant.upper()) is caller


async def test_a_token_counts_in_no_other_tenant(shop: Shop) -> None:
    await register(shop)
    token = (await log_in(shop)).access_token
    for _ in range(2):  # read, and from memory
        with pytest.raises(Forbidden):
            await by_token(shop, token, tenant=str(uuid.uuid4()))
    pool = Shop(shop.store, SHARED_TENANT)
    await register(pool)
    with pytest.raises(Forbidden):
        await by_token(pool, (await log_in(pool)).access_token, tenant=shop.tenant)


async def test_a_bad_token_is_never_a_visitors(shop: Shop) -> None:
    good = (await known_token(shop)).split(".")
    unsigned = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).rstrip(b"=").decode()
    now = int(utc_now().timestamp())
    for token in (
        "", "x", "a.b.c", ".".join([*good[:2], "AAAA"]), f"{unsigned}.{good[1]}.", f"{good[0]}.{good[1]}.",
        HmacSigner("another secret, just as long as ours is").sign(claims()),
        shop.store.signer.sign(claims(iat=now - 3600, exp=now - 1)),
    ):  # fmt: skip
        with pytest.raises(Unauthorized):
            await by_token(shop, token)
        admission = await shop.store.admit(Credentials(ADDRESS, tenant=shop.tenant, token=token))
        assert isinstance(admission.refusal, Unauthorized)


async def known_token(shop: Shop) -> str:
    await register(shop)
    return (await log_in(shop)).access_token


@pytest.mark.parametrize(
    "odd",
    [{"sub": None}, {"sub": 5}, {"tid": None}, {"roles": []}, {"roles": "STAFF"}, {"roles": ["KING"]}, {"scope": 1},
     {"scope": "rule:all"}, {"sid": None}, {"username": None}, {"iat": "now"}, {"exp": 1e12}, {"exp": 10**30}],
)  # fmt: skip
async def test_a_signed_token_that_is_not_of_ours_is_refused(shop: Shop, odd: dict[str, object]) -> None:
    with pytest.raises(Unauthorized):
        await by_token(shop, shop.store.signer.sign(claims(**odd)))


async def test_callers_in_memory_are_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "_MAX_CALLERS", 3)
    for _ in range(5):
        await by_token(shop, shop.store.signer.sign(claims()))
    assert len(shop.store.authenticator._callers._known) == 3


async def test_memory_lasts_a_minute(tmp_path: Path) -> None:
    now = [utc_now()]
    async with open_store(tmp_path, clock=lambda: now[0]) as store:
        shop = Shop(store)
        token = store.signer.sign(claims(exp=int(now[0].timestamp()) + 3600))
        first = await by_token(shop, token)
        assert await by_token(shop, token) is first
        now[0] += timedelta(seconds=60)
        assert await by_token(shop, token) is not first


async def test_a_revocation_noted_by_another_node_counts_here(shop: Shop) -> None:
    token = await known_token(shop)
    caller = await by_token(shop, token)
    now = utc_now()
    await shop.store.storage.revoke([f"session:{caller.session_id}"], now, now + timedelta(hours=2))
    await by_token(shop, token)
    await shop.store.tend()
    with pytest.raises(Unauthorized, match="revoked"):
        await by_token(shop, token)


# --- API keys ---


async def test_an_api_key_acts_for_its_maker_in_the_chosen_scopes(shop: Shop) -> None:
    owner = await known(shop, "owner")
    made = await shop.call(CREATE_API_KEY, owner, {"name": "Report", "scopes": ["READ:orders", "read:pets"]})
    caller = await by_key(shop, made.key)
    assert (caller.tenant, caller.role, caller.user_id) == (shop.tenant, Role.STAFF, owner.user_id)
    assert caller.scopes == {Scope.READ_ORDERS, Scope.READ_PETS}
    assert (caller.key, caller.username, caller.session_id) == (f"key:{made.id}", "owner", None)
    assert await by_key(shop, made.key, tenant=shop.tenant) is caller


async def test_an_api_key_counts_in_its_tenant_only(shop: Shop) -> None:
    made = await shop.call(CREATE_API_KEY, await known(shop), {"name": "k", "scopes": ["read:pets"]})
    with pytest.raises(Forbidden):
        await by_key(shop, made.key, tenant=str(uuid.uuid4()))


@pytest.mark.parametrize("key", ["", "psk_x", "\ud800", "\0", "x" * 100_000])
async def test_an_unknown_api_key_is_refused(shop: Shop, key: str) -> None:
    with pytest.raises(Unauthorized):
        await by_key(shop, key)


async def test_a_token_goes_before_an_api_key(shop: Shop) -> None:
    token = await known_token(shop)
    made = await shop.call(
        CREATE_API_KEY, await by_token(shop, token), {"name": "k", "scopes": ["read:pets"]}
    )
    both = Credentials(ADDRESS, token=token, api_key=made.key)
    assert (await shop.store.authenticator.authenticate(both)).scopes == STAFF_SCOPES
    with pytest.raises(Unauthorized):
        await shop.store.authenticator.authenticate(Credentials(ADDRESS, token="bad", api_key=made.key))


async def test_a_deleted_api_key_ends_at_once(shop: Shop) -> None:
    owner = await known(shop)
    made = await shop.call(CREATE_API_KEY, owner, {"name": "k", "scopes": ["read:pets"]})
    await by_key(shop, made.key)
    await shop.call(DELETE_API_KEY, owner, id=made.id)
    for _ in range(2):
        with pytest.raises(Unauthorized):
            await by_key(shop, made.key)


async def test_an_api_key_expires(tmp_path: Path) -> None:
    now = [utc_now()]
    async with open_store(tmp_path, clock=lambda: now[0]) as store:
        shop = Shop(store)
        body = {
            "name": "k",
            "scopes": ["read:pets"],
            "expiresAt": (now[0] + timedelta(seconds=30)).isoformat(),
        }
        made = await shop.call(CREATE_API_KEY, await known(shop), body)
        assert (await by_key(shop, made.key)).expires_at == now[0] + timedelta(seconds=30)
        now[0] += timedelta(seconds=31)
        with pytest.raises(Unauthorized, match="expired"):
            await by_key(shop, made.key)


async def test_the_key_of_somebody_who_is_not_there_is_refused(shop: Shop) -> None:
    made = await shop.call(CREATE_API_KEY, body={"name": "k", "scopes": ["read:pets"]})
    with pytest.raises(Unauthorized, match="staff"):
        await by_key(shop, made.key)


# --- devices ---


async def test_a_deleted_devices_token_ends_at_once(shop: Shop) -> None:
    device = await shop.call(CREATE_DEVICE, body={"name": "Collar"})
    token = (await log_in(shop, device.username, device.password)).access_token
    assert (await by_token(shop, token)).topics == frozenset()
    await shop.call(DELETE_DEVICE, id=device.id)
    with pytest.raises(Unauthorized):
        await by_token(shop, token)
    with pytest.raises(Unauthorized):
        await log_in(shop, device.username, device.password)


async def test_a_token_of_a_device_that_is_not_there_is_refused(shop: Shop) -> None:
    with pytest.raises(Unauthorized, match="device"):
        await by_token(shop, shop.store.signer.sign(claims(roles=["DEVICE"])))
