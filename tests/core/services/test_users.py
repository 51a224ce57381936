"""Users: registering, who may see and change whom, and what ends with a user."""

import asyncio
from dataclasses import replace

import pytest

from core.kernel.caller import Credentials, Role
from core.kernel.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    PreconditionFailed,
    RateLimited,
    Unauthorized,
    ValidationFailed,
)
from core.kernel.ids import SHARED_TENANT, new_id
from core.models.users import Login, User
from core.ports.records import Query
from core.services.api_keys import CREATE_API_KEY
from core.services.auth import REFRESH
from core.services.users import (
    DELETE_USER,
    GET_ME,
    GET_USER,
    LIST_USERS,
    REGISTER,
    REPLACE_USER,
    UPDATE_USER,
)
from core.store.store import Store
from tests.core.accounts import PASSWORD, by_key, by_token, known, log_in, profile, register
from tests.core.stores import Shop

# --- registering ---


async def test_the_first_user_of_a_private_tenant_is_its_owner(shop: Shop) -> None:
    assert (await register(shop, "owner")).roles == (Role.STAFF,)
    assert (await register(shop, "maria")).roles == (Role.CUSTOMER,)


async def test_nobody_owns_the_shared_pool(store: Store) -> None:
    assert (await register(Shop(store, SHARED_TENANT))).roles == (Role.CUSTOMER,)


async def test_of_many_who_register_at_once_one_is_the_owner(shop: Shop) -> None:
    users = await asyncio.gather(*(register(shop, f"user{number}") for number in range(8)))
    assert sum(Role.STAFF in user.roles for user in users) == 1


async def test_a_registration_that_fails_leaves_the_ownership_to_the_next(shop: Shop) -> None:
    await shop.violations(REGISTER, shop.visitor, profile(password="short"))
    assert (await register(shop)).roles == (Role.STAFF,)


async def test_a_user_is_shown_without_his_password(shop: Shop) -> None:
    user = await register(shop, phone="+4930901820", preferences={"newsletter": True})
    shown = user.encoded.decode()
    assert "assword" not in shown
    assert PASSWORD not in shown
    assert user.model_dump(mode="json", by_alias=True, exclude_none=True) == {
        "id": user.id,
        "tenantId": shop.tenant,
        **profile(),
        "phone": "+4930901820",
        "preferences": {"newsletter": True, "notifications": True},
        "roles": ["STAFF"],
        "createdAt": shown.split('"createdAt":"')[1][:24],
        "updatedAt": shown.split('"updatedAt":"')[1][:24],
    }


async def test_the_password_is_kept_as_a_hash_that_no_repr_shows(shop: Shop) -> None:
    await register(shop)
    async with shop.store.storage.read(shop.tenant) as tx:
        [login] = await tx.find(Query(Login))
    assert login.password_hash.startswith("$argon2id$")
    assert login.password_hash not in repr(login)


@pytest.mark.parametrize(
    "taken",
    [
        {"username": "MARIA", "email": "other@example.com"},
        {"username": "other", "email": "Maria@Example.COM"},
    ],
)
async def test_a_name_or_address_is_taken_whatever_its_case(shop: Shop, taken: dict[str, str]) -> None:
    await register(shop)
    error = await shop.refusal(Conflict, REGISTER, shop.visitor, {**profile(), **taken, "password": PASSWORD})
    assert isinstance(error, Conflict)
    assert error.taken
    assert ("e-mail" in error.detail) == (taken["username"] == "other")


async def test_of_many_who_want_one_name_one_gets_it(shop: Shop) -> None:
    answers = await asyncio.gather(
        *(register(shop, "maria", email=f"m{number}@example.com") for number in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, User) for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 4


async def test_tenants_do_not_share_names(store: Store, shop: Shop) -> None:
    await register(shop)
    assert (await register(Shop(store))).roles == (Role.STAFF,)


async def test_every_violation_of_a_registration_is_told(shop: Shop) -> None:
    assert await shop.violations(
        REGISTER, shop.visitor, {"username": "ab", "email": "x", "password": "short", "role": "STAFF"}
    ) == {
        "username": "INVALID_LENGTH",
        "email": "INVALID_FORMAT",
        "password": "INVALID_LENGTH",
        "firstName": "REQUIRED_FIELD",
        "lastName": "REQUIRED_FIELD",
        "role": "UNKNOWN_FIELD",
    }
    assert await shop.violations(
        REGISTER,
        shop.visitor,
        profile(
            " maria lopez",
            password="long enough\ud800",
            firstName=" ",
            phone="123",
            preferences={"spam": True},
        ),
    ) == {
        "username": "INVALID_FORMAT",
        "email": "INVALID_FORMAT",
        "password": "INVALID_FORMAT",
        "firstName": "INVALID_LENGTH",
        "phone": "INVALID_FORMAT",
        "preferences.spam": "UNKNOWN_FIELD",
    }
    assert await shop.violations(REGISTER, shop.visitor, profile(password=12345678)) == {
        "password": "INVALID_TYPE"
    }
    assert await shop.violations(REGISTER, shop.visitor, profile(password="x" * 129)) == {
        "password": "INVALID_LENGTH"
    }


async def test_a_violation_does_not_repeat_the_password(shop: Shop) -> None:
    error = await shop.refusal(ValidationFailed, REGISTER, shop.visitor, profile(password="geheim"))
    assert isinstance(error, ValidationFailed)
    assert "geheim" not in f"{error!r} {error.violations}"


async def test_nobody_gives_himself_a_role(shop: Shop) -> None:
    await register(shop, "owner")
    assert (await register(shop, roles=["STAFF"])).roles == (Role.CUSTOMER,)


async def test_a_repeated_registration_with_its_key_answers_the_same(shop: Shop) -> None:
    body = profile(password=PASSWORD)
    first = await shop.outcome(REGISTER, shop.visitor, body, key="k1")
    again = await shop.outcome(REGISTER, shop.visitor, body, key="k1")
    assert again.replayed
    assert again.value == first.value


# --- reading ---


async def test_a_user_sees_himself(shop: Shop) -> None:
    maria = await known(shop)
    assert (await shop.call(GET_ME, maria)).username == "maria"
    assert (await shop.call(GET_USER, maria, id=maria.user_id)).username == "maria"


async def test_another_user_looks_like_a_missing_one(shop: Shop) -> None:
    owner, maria = await known(shop, "owner"), await known(shop)
    there = await shop.refusal(NotFound, GET_USER, maria, id=owner.user_id)
    missing_id = new_id()
    missing = await shop.refusal(NotFound, GET_USER, maria, id=missing_id)
    assert there.detail.replace(str(owner.user_id), "") == missing.detail.replace(missing_id, "")
    assert (await shop.call(GET_USER, owner, id=maria.user_id)).username == "maria"
    await shop.refusal(NotFound, GET_USER, owner, id=missing_id)


async def test_another_tenants_user_does_not_exist(store: Store, shop: Shop) -> None:
    maria, other = await register(shop), Shop(store)
    await other.refusal(NotFound, GET_USER, id=maria.id)
    await other.refusal(NotFound, DELETE_USER, id=maria.id)
    assert (await other.call(LIST_USERS)).pagination.total_items == 0


async def test_visitors_see_no_users(shop: Shop) -> None:
    await shop.refusal(Unauthorized, GET_ME, shop.visitor)
    await shop.refusal(Unauthorized, GET_USER, shop.visitor, id=new_id())
    await shop.refusal(Unauthorized, LIST_USERS, shop.visitor)


async def test_a_bad_id_is_a_bad_request(shop: Shop) -> None:
    await shop.refusal(BadRequest, GET_USER, id="1")


async def test_staff_lists_users_by_name_and_address(shop: Shop) -> None:
    for name in ("owner", "maria", "peter"):
        await register(shop, name)
    page = await shop.call(LIST_USERS, limit=2)
    assert [user.username for user in page.data] == ["owner", "maria"]
    assert page.pagination.total_items == 3
    assert [user.username for user in (await shop.call(LIST_USERS, username="PETER")).data] == ["peter"]
    assert [user.username for user in (await shop.call(LIST_USERS, email="maria@EXAMPLE.com")).data] == [
        "maria"
    ]
    assert (await shop.call(LIST_USERS, username="maria", email="peter@example.com")).data == []
    await shop.refusal(Forbidden, LIST_USERS, shop.customer)


# --- changing ---


async def test_reading_changing_and_writing_back_works(shop: Shop) -> None:
    maria = await known(shop)
    shown = (await shop.call(GET_ME, maria)).model_dump(mode="json", by_alias=True, exclude_none=True)
    changed = await shop.call(
        REPLACE_USER, maria, {**shown, "lastName": "Meyer", "roles": []}, id=maria.user_id
    )
    assert changed.last_name == "Meyer"
    assert changed.roles == (Role.STAFF,)
    assert (await shop.call(GET_ME, maria)) == changed
    await log_in(shop)


async def test_a_patch_changes_what_it_names(shop: Shop) -> None:
    maria = await known(shop)
    await shop.call(UPDATE_USER, maria, {"phone": "+4930901820"}, id=maria.user_id)
    user = await shop.call(UPDATE_USER, maria, {"preferences": {"newsletter": True}}, id=maria.user_id)
    assert (user.phone, user.preferences.newsletter, user.preferences.notifications) == (
        "+4930901820",
        True,
        True,
    )
    assert (await shop.call(UPDATE_USER, maria, {"phone": None}, id=maria.user_id)).phone is None
    assert await shop.violations(UPDATE_USER, maria, {"phone": "+1415555012"}, id=maria.user_id) == {
        "phone": "INVALID_FORMAT"
    }
    assert await shop.violations(
        UPDATE_USER, maria, {"email": None, "x": 1, "password": "short"}, id=maria.user_id
    ) == {
        "email": "REQUIRED_FIELD",
        "x": "UNKNOWN_FIELD",
        "password": "INVALID_LENGTH",
    }


async def test_a_new_name_is_the_one_to_log_in_with(shop: Shop) -> None:
    maria = await known(shop)
    await shop.call(UPDATE_USER, maria, {"username": "Mary"}, id=maria.user_id)
    assert (await log_in(shop, "mary")).user.username == "Mary"
    await register(shop, "maria", email="second@example.com")


async def test_a_name_cannot_be_changed_into_a_taken_one(shop: Shop) -> None:
    await register(shop, "owner")
    maria = await known(shop)
    for body in ({"username": "Owner"}, {"email": "OWNER@example.com", "currentPassword": PASSWORD}):
        error = await shop.refusal(Conflict, UPDATE_USER, maria, body, id=maria.user_id)
        assert isinstance(error, Conflict)
        assert error.taken
    assert (await shop.call(UPDATE_USER, maria, {"username": "MARIA"}, id=maria.user_id)).username == "MARIA"


async def test_a_stale_change_is_refused(shop: Shop) -> None:
    maria = await known(shop)
    user = await shop.call(GET_ME, maria)
    await shop.call(UPDATE_USER, maria, {"lastName": "Meyer"}, id=user.id, if_match=user.etag)
    for operation, body in ((UPDATE_USER, {"lastName": "X"}), (REPLACE_USER, profile()), (DELETE_USER, None)):
        await shop.refusal(PreconditionFailed, operation, maria, body, id=user.id, if_match=user.etag)


async def test_nobody_changes_another_user_but_staff(shop: Shop) -> None:
    owner, maria = await known(shop, "owner"), await known(shop)
    for operation, body in (
        (UPDATE_USER, {"lastName": "X", "password": "a new password"}),
        (REPLACE_USER, profile("owner", password="a new password")),
        (DELETE_USER, None),
    ):
        await shop.refusal(NotFound, operation, maria, body, id=owner.user_id)
        await shop.refusal(Unauthorized, operation, shop.visitor, body, id=owner.user_id)
    changed = await shop.call(UPDATE_USER, owner, {"lastName": "Meyer"}, id=maria.user_id)
    assert changed.last_name == "Meyer"


async def test_no_program_changes_what_a_user_logs_in_with(shop: Shop) -> None:
    owner, maria = await known(shop, "owner"), await known(shop)
    made = await shop.call(CREATE_API_KEY, owner, {"name": "k", "scopes": ["read:user", "write:user"]})
    programs = (
        await by_key(shop, made.key),
        replace(owner, client_id="c"),
        replace(owner, client_id="c", key="client:c", user_id=None),
        replace(maria, client_id="c"),
    )
    for program in programs:
        for user in (maria, owner) if program.is_staff else (maria,):
            shown = await shop.call(GET_USER, user, id=user.user_id)
            whole = profile(shown.username)
            for change in (
                {"password": "another good one"},
                {"email": "mallory@example.com"},
                {"email": shown.email.upper()},
                {"username": "mallory"},
                {"username": shown.username.upper()},
            ):
                for more in ({}, {"currentPassword": PASSWORD}):
                    body = {**change, **more}
                    await shop.refusal(Forbidden, UPDATE_USER, program, body, id=user.user_id)
                    await shop.refusal(Forbidden, REPLACE_USER, program, whole | body, id=user.user_id)
            same = {"email": shown.email, "username": shown.username, "phone": "+4930901820"}
            changed = await shop.call(UPDATE_USER, program, same, id=user.user_id)
            changed = await shop.call(REPLACE_USER, program, {**whole, "lastName": "M"}, id=user.user_id)
            assert changed.last_name == "M"
    await log_in(shop)
    await log_in(shop, "owner")


async def test_a_connection_that_is_just_opened_with_the_old_password_is_refused(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await known(shop, "owner")
    maria = await register(shop)
    verify = shop.store.hasher.verify

    async def slowly(password: str, hashed: str | None, network: str) -> bool:
        good = await verify(password, hashed, network)
        monkeypatch.undo()
        await shop.call(UPDATE_USER, body={"password": "another good one"}, id=maria.id)
        return good

    monkeypatch.setattr(shop.store.hasher, "verify", slowly)
    old = Credentials("127.0.0.1", shop.tenant, username="maria", password=PASSWORD)
    with pytest.raises(Unauthorized):
        await shop.store.authenticator.authenticate(old)
    new = await shop.store.authenticator.authenticate(old._replace(password="another good one"))
    assert new.user_id == maria.id


async def test_a_new_password_ends_the_other_logins(shop: Shop) -> None:
    await register(shop)
    here, there = await log_in(shop), await log_in(shop)
    maria = await by_token(shop, here.access_token)
    with_it = Credentials("127.0.0.1", shop.tenant, username="maria", password=PASSWORD)
    by_password = (await shop.store.admit(with_it)).caller
    ended: list[frozenset[str]] = []
    shop.store.revocations.watchers.append(ended.append)
    change = {"password": "another good one", "currentPassword": PASSWORD}
    await shop.call(UPDATE_USER, maria, change, id=maria.user_id)
    assert await by_token(shop, here.access_token) == maria
    # A connection that was opened with the old password, such as an MQTT client's, ends.
    assert set(by_password.subjects) & frozenset().union(*ended)
    assert not set(maria.subjects) & frozenset().union(*ended)
    with pytest.raises(Unauthorized):
        await by_token(shop, there.access_token)
    await shop.refusal(Unauthorized, REFRESH, shop.visitor, {"refreshToken": there.refresh_token})
    await shop.call(REFRESH, shop.visitor, {"refreshToken": here.refresh_token})
    with pytest.raises(Unauthorized):
        await log_in(shop)
    await log_in(shop, password="another good one")


@pytest.mark.parametrize("change", [{"password": "another good one"}, {"email": "new@example.com"}])
async def test_who_changes_their_password_or_address_gives_the_current_password(
    shop: Shop, change: dict[str, str]
) -> None:
    await register(shop, "owner")
    maria = await known(shop)
    whole = {**profile(), **change}
    for operation, body in ((UPDATE_USER, change), (REPLACE_USER, whole)):
        missing = await shop.violations(operation, maria, body, id=maria.user_id)
        assert missing == {"currentPassword": "REQUIRED_FIELD"}
        wrong = await shop.violations(
            operation, maria, {**body, "currentPassword": "wrong"}, id=maria.user_id
        )
        assert wrong == {"currentPassword": "INVALID_FORMAT"}
        malformed = await shop.violations(operation, maria, {**body, "currentPassword": 7}, id=maria.user_id)
        assert malformed == {"currentPassword": "INVALID_TYPE"}
        await shop.call(operation, maria, {**body, "currentPassword": PASSWORD}, id=maria.user_id)
        back = {"password": PASSWORD, "email": "maria@example.com"}
        current = change.get("password", PASSWORD)
        await shop.call(UPDATE_USER, maria, {**back, "currentPassword": current}, id=maria.user_id)


@pytest.mark.parametrize(
    ("username", "code"),
    [
        ("d\u0435mo-staff", "INVALID_FORMAT"),  # its second letter is Cyrillic
        ("p\u03b1ul", "INVALID_FORMAT"),  # Greek
        ("ab c", "INVALID_FORMAT"),
        ("a!bc", "INVALID_FORMAT"),
        ("me@example.com", "INVALID_FORMAT"),
        ("\u200bmaria", "INVALID_FORMAT"),
        ("\ufb001", "INVALID_LENGTH"),
        ("\ufdfa" * 4, "INVALID_FORMAT"),  # eighteen letters and spaces each
    ],
)
async def test_a_name_that_looks_like_anothers_is_refused(shop: Shop, username: str, code: str) -> None:
    body = profile(username, password=PASSWORD, email="maria@example.com")
    assert await shop.violations(REGISTER, shop.visitor, body) == {"username": code}


@pytest.mark.parametrize(
    "username",
    [
        "M\u00e4ria_1",
        "\u043c\u0430\u0440\u0438\u044f",
        "\u5c71\u7530\u30ab\u30ca",
        "\u674e\u5c0f\u9f8d",
        "a.b-c_d",
    ],
)
async def test_names_of_one_script_are_names(shop: Shop, username: str) -> None:
    made = await register(shop, username, email="maria@example.com")
    assert made.username == username


async def test_letters_of_full_width_are_those_of_the_usual_width(shop: Shop) -> None:
    await register(shop, "owner")
    body = profile("\uff4f\uff57\uff4e\uff45\uff52", password=PASSWORD, email="other@example.com")
    await shop.refusal(Conflict, REGISTER, shop.visitor, body)
    assert (await log_in(shop, "\uff2f\uff37\uff2e\uff25\uff32")).user.username == "owner"


async def test_the_current_password_cannot_be_guessed(shop: Shop) -> None:
    maria = await known(shop)
    guess = {"password": "another good one", "currentPassword": "a guess"}
    for _ in range(5):
        await shop.violations(UPDATE_USER, maria, guess, id=maria.user_id)
    await shop.refusal(
        RateLimited, UPDATE_USER, maria, {**guess, "currentPassword": PASSWORD}, id=maria.user_id
    )


async def test_staff_sets_a_password_and_all_logins_of_that_user_end(shop: Shop) -> None:
    owner, _ = await known(shop, "owner"), await register(shop)
    tokens = await log_in(shop)
    await shop.call(REPLACE_USER, owner, profile(password="another good one"), id=tokens.user.id)
    with pytest.raises(Unauthorized):
        await by_token(shop, tokens.access_token)
    await log_in(shop, password="another good one")
    assert (await shop.call(GET_ME, owner)).username == "owner"


# --- the end ---


async def test_the_last_staff_of_a_tenant_stays(shop: Shop) -> None:
    owner, other = await known(shop, "owner"), await known(shop, "other")
    await shop.refusal(Conflict, DELETE_USER, owner, id=owner.user_id)
    assert owner.user_id is not None
    assert other.user_id is not None
    await promote(shop, other.user_id)
    outcomes = await asyncio.gather(
        *(shop.call(DELETE_USER, id=user_id) for user_id in (owner.user_id, other.user_id)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 1


async def test_a_tenant_that_lost_its_people_has_no_ownership_to_give(shop: Shop) -> None:
    owner = await register(shop, "owner")
    async with shop.store.storage.write(shop.tenant) as tx:
        await tx.delete_all(Login)
        await tx.delete_all(User)
    assert (await register(shop, "owner")).roles == (Role.CUSTOMER,)
    assert owner.roles == (Role.STAFF,)


async def promote(shop: Shop, user_id: str) -> None:
    async with shop.store.storage.write(shop.tenant) as tx:
        user = await tx.get(User, user_id, lock=True)
        assert user is not None
        await tx.update(user.model_copy(update={"roles": (Role.STAFF,)}))


async def test_with_a_user_end_his_logins_and_keys(shop: Shop) -> None:
    await register(shop, "owner")
    await promote(shop, (await register(shop, "second")).id)
    tokens = await log_in(shop, "owner")
    owner = await by_token(shop, tokens.access_token)
    key = await shop.call(CREATE_API_KEY, owner, {"name": "k", "scopes": ["read:pets"]})
    assert (await by_key(shop, key.key)).user_id == owner.user_id
    await shop.call(DELETE_USER, owner, id=owner.user_id)
    for attempt in (by_token(shop, tokens.access_token), by_key(shop, key.key), log_in(shop, "owner")):
        with pytest.raises(Unauthorized):
            await attempt
    await shop.refusal(Unauthorized, REFRESH, shop.visitor, {"refreshToken": tokens.refresh_token})
    await shop.refusal(NotFound, GET_USER, id=owner.user_id)
    assert (await register(shop, "owner")).id != owner.user_id


async def test_staff_deletes_a_user(shop: Shop) -> None:
    await register(shop, "owner")
    maria = await known(shop)
    await shop.call(DELETE_USER, id=maria.user_id)
    await shop.refusal(NotFound, GET_ME, maria)
    await shop.refusal(NotFound, DELETE_USER, id=maria.user_id)


async def test_a_caller_who_is_no_user_has_no_account(shop: Shop) -> None:
    await shop.refusal(Forbidden, GET_ME, replace(shop.staff, user_id=None))
