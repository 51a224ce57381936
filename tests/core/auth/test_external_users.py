"""Users of another issuer: an account of their own at first sight, and no more rights than its role has."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.kernel.caller import CUSTOMER_SCOPES, VISITOR_SCOPES, Role, Scope
from core.kernel.clock import utc_now
from core.kernel.errors import Forbidden, Unauthorized
from core.kernel.ids import TenantId
from core.models.users import ExternalIdentity, User
from core.ports.records import Query
from core.ports.security import ExternalToken
from core.services.tenant import RESET_TENANT
from core.services.users import DELETE_USER, GET_ME, UPDATE_USER
from core.store.store import Store
from tests.core.accounts import PASSWORD, by_token, log_in, register
from tests.core.stores import Shop, open_store

ISSUER = "https://login.example"
TENANT = TenantId(str(uuid.uuid4()))
EVERYTHING = " ".join(Scope)


class Tokens:
    """An issuer's tokens by name: good ones, until they expire."""

    def __init__(self) -> None:
        self.good: dict[str, ExternalToken] = {}

    def issue(
        self, subject: str = "7f3a", scope: str = EVERYTHING, issuer: str = ISSUER, **profile: Any
    ) -> str:
        name = f"token {len(self.good)}"
        now = utc_now()
        self.good[name] = ExternalToken(
            TENANT, issuer, subject, frozenset(scope.split()), now, now + timedelta(hours=1), profile
        )
        return name

    async def verify(self, token: str, now: datetime) -> ExternalToken | None:
        return self.good.get(token)


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
async def store(database: str, tmp_path: Path, tokens: Tokens) -> AsyncIterator[Store]:
    async with open_store(tmp_path, database, issuers=tokens) as opened:
        yield opened


@pytest.fixture
def shop(store: Store) -> Shop:
    return Shop(store, TENANT)


async def users(shop: Shop) -> list[User]:
    async with shop.store.storage.read(shop.tenant) as tx:
        return await tx.find(Query(User))


async def test_who_is_seen_for_the_first_time_gets_an_account(shop: Shop, tokens: Tokens) -> None:
    profile: dict[str, Any] = {
        "preferred_username": "maria", "email": "maria@example.com", "email_verified": True, "given_name": "Maria",
        "family_name": "Lopez", "roles": ["STAFF"],
    }  # fmt: skip
    caller = await by_token(shop, tokens.issue(**profile))
    user: User = await shop.call(GET_ME, caller)
    assert (caller.tenant, caller.role, caller.user_id, caller.key) == (
        TENANT, Role.CUSTOMER, user.id, f"user:{user.id}",
    )  # fmt: skip
    assert (user.username, user.email, user.first_name, user.last_name) == (
        "maria", "maria@example.com", "Maria", "Lopez",
    )  # fmt: skip
    again = await by_token(
        shop, tokens.issue(preferred_username="other", email="new@example.com", email_verified=True)
    )
    assert (again.user_id, again.username) == (user.id, "maria")


async def test_two_at_once_are_one_user(shop: Shop, tokens: Tokens) -> None:
    callers = await asyncio.gather(*(by_token(shop, tokens.issue()) for _ in range(8)))
    assert len({caller.user_id for caller in callers}) == len(await users(shop)) == 1


@pytest.mark.parametrize("verified", [True, False])
async def test_nobody_gets_into_an_account_by_its_name_or_address(
    shop: Shop, tokens: Tokens, *, verified: bool
) -> None:
    await register(shop, "owner")
    maria = await register(shop, "maria")
    profile: dict[str, Any] = {
        "preferred_username": "MARIA",
        "email": maria.email,
        "email_verified": verified,
    }
    caller = await by_token(shop, tokens.issue(**profile))
    other: User = await shop.call(GET_ME, caller)
    assert other.id != maria.id
    assert other.username.startswith("user-")
    assert other.email.endswith("@users.invalid")


@pytest.mark.parametrize("verified", [False, None, "true", 1])
async def test_an_address_that_nobody_verified_is_not_kept(
    shop: Shop, tokens: Tokens, verified: object
) -> None:
    profile: dict[str, Any] = {
        "preferred_username": "maria",
        "email": "boss@example.com",
        "email_verified": verified,
    }
    user: User = await shop.call(GET_ME, await by_token(shop, tokens.issue(**profile)))
    assert user.username == "maria"
    assert user.email.endswith("@users.invalid")


@pytest.mark.parametrize(
    "odd",
    [{"preferred_username": value} for value in ("", "x" * 51, "a b", "\ud800", "mаria", 5, None, ["maria"])]
    + [{"email": value, "email_verified": True} for value in ("x", "", 5, {"a": 1}, "a@b\0.example")]
    + [{"given_name": 1, "family_name": "\ud800"}, {"given_name": "x" * 1000}],
)  # fmt: skip
async def test_what_cannot_be_used_of_a_profile_is_left_out(
    shop: Shop, tokens: Tokens, odd: dict[str, Any]
) -> None:
    user: User = await shop.call(GET_ME, await by_token(shop, tokens.issue(**odd)))
    assert user.username.startswith("user-")


async def test_the_same_subject_of_two_issuers_is_two_users(shop: Shop, tokens: Tokens) -> None:
    one = await by_token(shop, tokens.issue())
    other = await by_token(shop, tokens.issue(issuer="https://other.example"))
    # Nor does it help to move a letter from one to the other.
    third = await by_token(shop, tokens.issue(issuer=f"{ISSUER}7", subject="f3a"))
    assert len({one.user_id, other.user_id, third.user_id}) == 3


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        ("", VISITOR_SCOPES),
        ("openid profile read:orders rule:all", VISITOR_SCOPES | {Scope.READ_ORDERS}),
        (EVERYTHING, CUSTOMER_SCOPES),
    ],
)
async def test_a_token_has_those_of_its_scopes_that_the_role_has(
    shop: Shop, tokens: Tokens, scope: str, scopes: frozenset[Scope]
) -> None:
    caller = await by_token(shop, tokens.issue(scope=scope))
    assert caller.scopes == scopes
    if scope != EVERYTHING:
        await shop.refusal(Forbidden, GET_ME, caller)


async def test_they_never_become_a_tenants_owner_and_nobody_becomes_it_after_them(
    shop: Shop, tokens: Tokens
) -> None:
    assert (await by_token(shop, tokens.issue())).role is Role.CUSTOMER
    assert (await register(shop, "latecomer")).roles == (Role.CUSTOMER,)


async def test_they_have_no_password(shop: Shop, tokens: Tokens) -> None:
    caller = await by_token(shop, tokens.issue(preferred_username="maria"))
    for password in ("", "maria", PASSWORD):
        with pytest.raises(Unauthorized):
            await log_in(shop, "maria", password or "\0")
    body = {"password": PASSWORD, "currentPassword": ""}
    await shop.refusal(Forbidden, UPDATE_USER, caller, body, id=caller.user_id)
    body = {"email": "other@example.com", "currentPassword": ""}
    await shop.refusal(Forbidden, UPDATE_USER, caller, body, id=caller.user_id)


async def test_who_has_left_has_left_and_may_come_back_as_somebody_new(shop: Shop, tokens: Tokens) -> None:
    name = tokens.issue()
    caller = await by_token(shop, name)
    await shop.call(DELETE_USER, id=caller.user_id)
    with pytest.raises(Unauthorized):
        await by_token(shop, name)
    async with shop.store.storage.read(shop.tenant) as tx:
        assert await tx.find(Query(ExternalIdentity)) == []
    later = tokens.issue()
    tokens.good[later] = tokens.good[later]._replace(issued_at=utc_now() + timedelta(seconds=1))
    assert (await by_token(shop, later)).user_id != caller.user_id


async def test_a_tenant_that_is_emptied_keeps_none_of_them(shop: Shop, tokens: Tokens) -> None:
    await by_token(shop, tokens.issue())
    await shop.call(RESET_TENANT, confirm=TENANT)
    async with shop.store.storage.read(shop.tenant) as tx:
        assert await tx.find(Query(ExternalIdentity)) == []


async def test_their_tokens_count_in_the_tenant_of_the_issuer_alone(shop: Shop, tokens: Tokens) -> None:
    name = tokens.issue()
    for _ in range(2):
        with pytest.raises(Forbidden):
            await by_token(shop, name, tenant=str(uuid.uuid4()))


async def test_a_role_that_is_given_counts_for_them_too(shop: Shop, tokens: Tokens) -> None:
    caller = await by_token(shop, tokens.issue())
    async with shop.store.storage.write(TENANT) as tx:
        user = await tx.get(User, str(caller.user_id), lock=True)
        assert user is not None
        await tx.update(user.model_copy(update={"roles": (Role.STAFF,)}))
    promoted = await by_token(shop, tokens.issue(scope="write:pets"))
    assert (promoted.role, promoted.scopes) == (Role.STAFF, VISITOR_SCOPES | {Scope.WRITE_PETS})
    assert promoted.user_id == caller.user_id
