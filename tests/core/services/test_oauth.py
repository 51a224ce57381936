"""OAuth 2.0: what clients get for codes, refresh tokens and themselves; what users allow and end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.auth.authorization import viewer_of
from core.kernel.caller import Role, Scope
from core.kernel.errors import Conflict, Forbidden, NotFound, Unauthorized
from core.kernel.ids import new_id
from core.live.durable_sessions import DurableSessions
from core.models.auth import LoginSession
from core.models.oauth import AuthorizationCode, OAuthClient, OAuthGrant, same_redirect_uri
from core.ports.records import Query
from core.services.api_keys import CREATE_API_KEY
from core.services.auth import REFRESH
from core.services.chats import OPEN_CHAT
from core.services.oauth import authorization, pages, registration
from core.services.oauth.clients import (
    CREATE_OAUTH_CLIENT,
    DELETE_OAUTH_CLIENT,
    GET_OAUTH_CLIENT,
    LIST_OAUTH_CLIENTS,
    authenticate,
)
from core.services.oauth.errors import OAuthError, OAuthErrorCode, RefusedAuthorization
from core.services.oauth.grant_types import TokenResponse, issue_by_browser
from core.services.oauth.grants import END_GRANT, LIST_GRANTS
from core.services.oauth.inspection import introspect, revoke
from core.services.orders import LIST_ORDERS
from core.services.tenant import RESET_TENANT
from core.services.users import DELETE_USER, GET_ME, UPDATE_USER
from core.store.store import Store
from tests.core.accounts import ADDRESS, PASSWORD, by_token, known, log_in, register
from tests.core.services.oauth_flow import CALLBACK, DRAFT, Flow, client_of, flow_of
from tests.core.services.test_auth import Wrist
from tests.core.stores import Shop, open_store


@pytest.fixture
def clock() -> Wrist:
    return Wrist()


@pytest.fixture
async def timed(tmp_path: Path, clock: Wrist) -> AsyncIterator[Shop]:
    """A shop whose clock the test sets."""
    async with open_store(tmp_path, clock=clock) as store:
        yield Shop(store)


async def refused(flow: Flow, **form: str) -> OAuthErrorCode:
    """The error that a form for tokens ends with."""
    with pytest.raises(OAuthError) as caught:
        await flow.tokens(**form)
    return caught.value.error


async def answer_to(flow: Flow, code: str) -> TokenResponse | OAuthError:
    try:
        return await flow.redeem(code)
    except OAuthError as error:
        return error


async def records(shop: Shop, kind: type[Any]) -> int:
    async with shop.store.storage.read(shop.tenant) as tx:
        return await tx.count(Query(kind))


# --- clients ---


async def test_a_secret_is_shown_once_and_kept_as_a_hash(shop: Shop) -> None:
    made = await shop.call(CREATE_OAUTH_CLIENT, body=DRAFT)
    assert made.secret.startswith("pcs_")
    assert made.secret not in repr(made)
    client = await authenticate(shop.store, ADDRESS, made.id, made.secret)
    assert made.secret not in str(client.model_dump())
    shown = await shop.call(GET_OAUTH_CLIENT, id=made.id)
    assert (await shop.call(LIST_OAUTH_CLIENTS)).data == [shown]
    assert not hasattr(shown, "secret")
    public = await shop.call(CREATE_OAUTH_CLIENT, body={**DRAFT, "confidential": False})
    assert public.secret is None
    await authenticate(shop.store, ADDRESS, public.id, None)


async def test_a_client_shows_its_own_secret_and_no_other(shop: Shop) -> None:
    made = await shop.call(CREATE_OAUTH_CLIENT, body=DRAFT)
    other = await shop.call(CREATE_OAUTH_CLIENT, body=DRAFT)
    public = await client_of(shop, confidential=False)
    for client_id, secret in (
        (made.id, None),
        (made.id, ""),
        (made.id, other.secret),
        (public.id, made.secret),
        (public.id, ""),
        (new_id(), made.secret),
        ("", None),
        ("\ud800", "\ud800"),
        ("x" * 100_000, None),
    ):
        with pytest.raises(OAuthError) as caught:
            await authenticate(shop.store, "198.51.100.7", client_id, secret)
        assert caught.value.error is OAuthErrorCode.INVALID_CLIENT


async def test_clients_are_registered_by_staff_in_person(shop: Shop) -> None:
    made = await shop.call(CREATE_OAUTH_CLIENT, body=DRAFT)
    for operation, body in (
        (CREATE_OAUTH_CLIENT, DRAFT),
        (LIST_OAUTH_CLIENTS, None),
        (GET_OAUTH_CLIENT, None),
        (DELETE_OAUTH_CLIENT, None),
    ):
        await shop.refusal(Forbidden, operation, shop.customer, body, id=made.id)
        await shop.refusal(Unauthorized, operation, shop.visitor, body, id=made.id)
    other = Shop(shop.store)
    await other.refusal(NotFound, GET_OAUTH_CLIENT, id=made.id)
    await other.refusal(NotFound, DELETE_OAUTH_CLIENT, id=made.id)


async def test_what_does_not_fit_together_is_told(shop: Shop) -> None:
    async def told(**changed: Any) -> dict[str, str]:
        return await shop.violations(CREATE_OAUTH_CLIENT, body={**DRAFT, **changed})

    assert await told(redirectUris=[]) == {"redirectUris": "REQUIRED_FIELD"}
    assert await told(grantTypes=["CLIENT_CREDENTIALS"], confidential=False) == {
        "confidential": "OUT_OF_RANGE"
    }
    assert await told(grantTypes=["CLIENT_CREDENTIALS"], scopes=["chat:agent"]) == {"scopes": "OUT_OF_RANGE"}
    implicit = {"grantTypes": ["IMPLICIT"], "scopes": ["read:pets", "write:pets"]}
    await shop.call(CREATE_OAUTH_CLIENT, body={**DRAFT, **implicit})
    assert await told(**implicit | {"redirectUris": []}) == {"redirectUris": "REQUIRED_FIELD"}
    assert await told(**implicit | {"scopes": ["read:orders"]}) == {"scopes": "OUT_OF_RANGE"}
    assert await told(**implicit | {"grantTypes": ["IMPLICIT", "REFRESH_TOKEN"]}) == {
        "grantTypes": "OUT_OF_RANGE"
    }
    assert await told(grantTypes=["REFRESH_TOKEN"]) == {"grantTypes": "OUT_OF_RANGE"}
    assert await told(grantTypes=["PASSWORD"], name=" ") == {
        "grantTypes[0]": "INVALID_ENUM_VALUE",
        "name": "INVALID_LENGTH",
    }


@pytest.mark.parametrize(
    "uri",
    [
        "https://blog.example",
        "https://blog.example:8443/cb?x=1&y=%20",
        "http://127.0.0.1/cb",
        "http://127.0.0.1:51004/cb",
        "http://[::1]:80/",
        "http://localhost/cb",
        "com.example.app:/oauth",
    ],
)
async def test_where_browsers_can_be_sent(shop: Shop, uri: str) -> None:
    await shop.call(CREATE_OAUTH_CLIENT, body={**DRAFT, "redirectUris": [uri]})


@pytest.mark.parametrize(
    "uri",
    [
        "http://blog.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.1@evil.example/cb",
        "http://localhost.evil.example/",
        "https://user@blog.example/",
        "https://blog.example/#part",
        "https://*.example/",
        "https://blog.example\\@evil.example/",
        "https://blog.example/a b",
        "https://blog.example/\r\nSet-Cookie:x=1",
        "https://blog.example;script-src/*",
        "https://blög.example/",
        "HTTPS://blog.example/",
        "//blog.example/",
        "/callback",
        "javascript:alert(1)",
        "data:text/html,x",
        "blog",
        "https:",
        "https://",
    ],
)
async def test_where_browsers_are_never_sent(shop: Shop, uri: str) -> None:
    assert "redirectUris[0]" in await shop.violations(
        CREATE_OAUTH_CLIENT, body={**DRAFT, "redirectUris": [uri]}
    )


def test_redirect_uris_are_compared_to_the_letter_but_for_ports_of_loopback() -> None:
    uri = "https://blog.example/callback"
    assert same_redirect_uri(uri, uri)
    for place in range(len(uri) + 1):
        assert not same_redirect_uri(uri, uri[:place] + "x" + uri[place:])
        if place < len(uri):
            assert not same_redirect_uri(uri, uri[:place] + uri[place + 1 :])
    assert not same_redirect_uri(uri, "https://blog.example:443/callback")
    for host in ("127.0.0.1", "[::1]", "localhost"):
        assert same_redirect_uri(f"http://{host}/cb", f"http://{host}:51004/cb")
        assert same_redirect_uri(f"http://{host}:1/cb", f"http://{host}/cb")
        assert not same_redirect_uri(f"http://{host}/cb", f"http://{host}:51004/cb/")
        assert not same_redirect_uri(f"http://{host}/cb", f"http://{host}:123456/cb")
        assert not same_redirect_uri(f"http://{host}/cb", f"http://{host}:1@evil.example/cb")
    assert not same_redirect_uri("http://127.0.0.1/cb", "http://localhost/cb")


async def test_clients_that_register_themselves_take_no_room_from_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.services.oauth.clients._MAX_CLIENTS_OF_TENANT", 2)
    metadata = {"redirect_uris": [CALLBACK]}
    for _ in range(3):  # Of those that nobody uses the oldest gives way.
        await registration.register(shop.store, shop.visitor, metadata)
    assert await records(shop, OAuthClient) == 2
    for _ in range(2):
        await client_of(shop)
    await shop.refusal(Conflict, CREATE_OAUTH_CLIENT, body=DRAFT)


# --- the request ---


async def test_nobody_is_sent_where_no_client_registered(shop: Shop) -> None:
    flow = await flow_of(shop)
    for changed in (
        {"client_id": None},
        {"client_id": new_id()},
        {"client_id": "'"},
        {"redirect_uri": CALLBACK + "x"},
        {"redirect_uri": "https://evil.example/"},
        {"state": "s" * 5000},
    ):
        with pytest.raises(OAuthError) as caught:
            await flow.request(**changed)
        assert type(caught.value) is OAuthError
    two = Flow(shop, await client_of(shop, redirectUris=[CALLBACK, "https://other.example/"]))
    with pytest.raises(OAuthError, match="missing"):
        await two.request(redirect_uri=None)
    for name in ("client_id", "redirect_uri", "state"):
        parameters = [*flow.parameters().items(), (name, "x")]
        with pytest.raises(OAuthError, match="more than once") as caught:
            await authorization.read_request(shop.store, parameters)
        assert type(caught.value) is OAuthError


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unauthorized_client"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request": "e30."}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"scope": "write:pets"}, "invalid_scope"),
        ({"scope": "read:pets bogus"}, "invalid_scope"),
        ({"scope": " "}, "invalid_scope"),
    ],
)
async def test_a_client_is_told_what_is_wrong_with_its_request(
    shop: Shop, changed: dict[str, str | None], error: str
) -> None:
    flow = Flow(shop, await client_of(shop))
    with pytest.raises(RefusedAuthorization) as caught:
        await flow.request(**changed)
    assert (caught.value.error, caught.value.state, caught.value.redirect_uri) == (error, "xyz", CALLBACK)


async def test_a_client_that_acts_for_itself_asks_no_user(shop: Shop) -> None:
    flow = Flow(shop, await client_of(shop, grantTypes=["CLIENT_CREDENTIALS"]))
    with pytest.raises(RefusedAuthorization) as caught:
        await flow.request()
    assert caught.value.error is OAuthErrorCode.UNAUTHORIZED_CLIENT


async def test_a_user_gives_no_more_than_they_have(shop: Shop) -> None:
    flow = await flow_of(shop, scopes=["read:pets", "write:pets", "admin:tenant"])
    tokens = await flow.all_at_once()
    assert tokens.scopes == {"read:pets"}
    with pytest.raises(RefusedAuthorization) as caught:
        await flow.code(scope="write:pets admin:tenant")
    assert caught.value.error is OAuthErrorCode.INVALID_SCOPE


# --- consent ---


async def test_consent_is_remembered_for_what_was_allowed(shop: Shop) -> None:
    flow = await flow_of(shop)
    visit = await flow.visit()

    async def remembered(**changed: str) -> bool:
        return await authorization.is_remembered(shop.store, await flow.request(**changed), visit)

    assert not await remembered(scope="read:pets")
    await flow.code(visit, scope="read:pets")
    assert await remembered(scope="read:pets")
    assert not await remembered(scope="read:pets read:orders")
    await flow.code(visit, scope="read:orders")
    assert await remembered(scope="read:pets read:orders")
    assert await records(shop, OAuthGrant) == 1


async def test_whoever_anybody_can_pass_for_is_asked_about_each_time(shop: Shop) -> None:
    flow = await flow_of(shop, confidential=False, redirectUris=["http://127.0.0.1/cb", CALLBACK])
    visit = await flow.visit()
    flow.redirect_uri = "http://127.0.0.1:51004/cb"
    await flow.code(visit)
    assert not await authorization.is_remembered(shop.store, await flow.request(), visit)
    assert await authorization.is_remembered(shop.store, await flow.request(redirect_uri=CALLBACK), visit)


# --- codes ---


async def test_a_code_becomes_tokens_of_the_user_with_what_they_allowed(shop: Shop) -> None:
    flow = await flow_of(shop)
    tokens = await flow.redeem(await flow.code(scope="read:pets chat:write"))
    caller = await by_token(shop, tokens.access_token)
    me = await by_token(shop, (await log_in(shop)).access_token)
    assert caller.identity == me.identity
    assert (caller.role, caller.client_id, caller.is_program) == (Role.CUSTOMER, flow.client.id, True)
    assert caller.scopes == {Scope.READ_PETS, Scope.CHAT_WRITE} == tokens.scopes
    await shop.refusal(Forbidden, GET_ME, caller)
    with pytest.raises(Forbidden):
        await by_token(shop, tokens.access_token, new_id())


async def test_a_client_without_refreshing_gets_no_refresh_token(shop: Shop) -> None:
    flow = await flow_of(shop, grantTypes=["AUTHORIZATION_CODE"])
    tokens = await flow.all_at_once()
    assert tokens.refresh_token is None
    await by_token(shop, tokens.access_token)


async def test_a_code_that_comes_again_ends_what_came_of_it(shop: Shop) -> None:
    flow = await flow_of(shop)
    code = await flow.code()
    tokens = await flow.redeem(code)
    assert await refused(flow, **flow.form(code)) == "invalid_grant"
    with pytest.raises(Unauthorized):
        await by_token(shop, tokens.access_token)
    assert tokens.refresh_token is not None
    assert (
        await refused(flow, grant_type="refresh_token", refresh_token=tokens.refresh_token) == "invalid_grant"
    )


async def test_of_many_who_redeem_a_code_one_succeeds(shop: Shop) -> None:
    flow = await flow_of(shop)
    code = await flow.code()
    answers = await asyncio.gather(*(flow.redeem(code) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(answer, TokenResponse) for answer in answers) == 1
    assert all(isinstance(answer, (TokenResponse, OAuthError)) for answer in answers)


async def test_a_code_is_bound_to_who_began_it(shop: Shop) -> None:
    flow = await flow_of(shop)
    other = Flow(shop, await client_of(shop), verifier=flow.verifier)
    code = await flow.code()
    assert await refused(other, **flow.form(code)) == "invalid_grant"
    for changed in (
        {"code_verifier": Flow(shop, flow.client).verifier},
        {"code_verifier": "é" * 43},
        {"redirect_uri": CALLBACK + "/"},
        {"code": code[:-1] + ("A" if code[-1] != "A" else "B")},
    ):
        assert await refused(flow, **(flow.form(code) | changed)) == "invalid_grant"
    assert await refused(flow, **flow.form(code, redirect_uri=None)) == "invalid_grant"
    assert await refused(flow, **flow.form(code, code_verifier=None)) == "invalid_request"
    # None of this has spent it.
    await flow.redeem(code)


async def test_a_code_is_worth_nothing_in_another_tenant(store: Store) -> None:
    here, there = Shop(store), Shop(store)
    flow, other = await flow_of(here), await flow_of(there)
    other.verifier = flow.verifier
    code = await flow.code()
    assert await refused(other, **flow.form(code)) == "invalid_grant"
    cookie = await pages.log_in(store, here.tenant, ADDRESS, "maria", PASSWORD)
    assert await pages.find_visit(store, there.tenant, cookie) is None


async def test_a_code_expires_within_a_minute(timed: Shop, clock: Wrist) -> None:
    flow = await flow_of(timed)
    code = await flow.code()
    clock.forward(seconds=60)
    assert await refused(flow, **flow.form(code)) == "invalid_grant"
    clock.forward(minutes=10)
    await timed.store.storage.sweep(clock())
    assert await records(timed, AuthorizationCode) == 0


async def test_codes_that_wait_are_bounded(shop: Shop) -> None:
    flow = await flow_of(shop)
    visit = await flow.visit()
    codes = [await flow.code(visit) for _ in range(20)]
    assert await records(shop, AuthorizationCode) == 5
    kept = [code for code in codes if not isinstance(await answer_to(flow, code), OAuthError)]
    assert len(kept) == 5


async def test_what_one_client_holds_of_a_user_is_bounded(shop: Shop) -> None:
    flow = await flow_of(shop)
    visit = await flow.visit()
    first = await flow.redeem(await flow.code(visit))
    for _ in range(20):
        await flow.redeem(await flow.code(visit))
    async with shop.store.storage.read(shop.tenant) as tx:
        sessions = await tx.find(Query(LoginSession))
    assert sum(session.client_id == flow.client.id for session in sessions) == 20
    with pytest.raises(Unauthorized):
        await by_token(shop, first.access_token)


# --- refreshing ---


async def test_refreshing_rotates_and_reuse_ends_the_family(shop: Shop) -> None:
    flow = await flow_of(shop)
    first = await flow.all_at_once()
    assert first.refresh_token is not None
    second = await flow.tokens(grant_type="refresh_token", refresh_token=first.refresh_token)
    assert second.scopes == first.scopes
    await by_token(shop, second.access_token)
    assert (
        await refused(flow, grant_type="refresh_token", refresh_token=first.refresh_token) == "invalid_grant"
    )
    with pytest.raises(Unauthorized):
        await by_token(shop, second.access_token)
    assert second.refresh_token is not None
    assert (
        await refused(flow, grant_type="refresh_token", refresh_token=second.refresh_token) == "invalid_grant"
    )


async def test_a_refresh_may_ask_for_less_and_never_for_more(shop: Shop) -> None:
    flow = await flow_of(shop)
    tokens = await flow.redeem(await flow.code(scope="read:pets read:orders"))
    assert tokens.refresh_token is not None
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
    assert await refused(flow, **form, scope="read:pets chat:write") == "invalid_scope"
    less = await flow.tokens(**form, scope="read:pets")
    assert less.scopes == {"read:pets"}
    assert less.refresh_token is not None
    again = await flow.tokens(grant_type="refresh_token", refresh_token=less.refresh_token)
    assert again.scopes == {"read:pets", "read:orders"}


async def test_a_refresh_token_is_its_clients_alone(shop: Shop) -> None:
    flow = await flow_of(shop)
    other = Flow(shop, await client_of(shop))
    tokens = await flow.all_at_once()
    assert tokens.refresh_token is not None
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
    assert await refused(other, **form) == "invalid_grant"
    # Neither at the store's own door: there no client shows its secret. Nor the other way round.
    await shop.refusal(Unauthorized, REFRESH, shop.visitor, {"refreshToken": tokens.refresh_token})
    own = await log_in(shop)
    assert await refused(flow, grant_type="refresh_token", refresh_token=own.refresh_token) == "invalid_grant"
    await flow.tokens(**form)
    await shop.call(REFRESH, shop.visitor, {"refreshToken": own.refresh_token})


async def test_other_grant_types_are_refused(shop: Shop) -> None:
    flow = await flow_of(shop)
    assert await refused(flow) == "invalid_request"
    assert (
        await refused(flow, grant_type="password", username="maria", password=PASSWORD)
        == "unsupported_grant_type"
    )
    assert await refused(flow, grant_type="client_credentials") == "unauthorized_client"
    assert await refused(flow, grant_type="authorization_code") == "invalid_request"
    assert await refused(flow, grant_type="refresh_token") == "invalid_request"
    assert await refused(flow, grant_type="refresh_token", refresh_token="x") == "invalid_grant"


# --- client credentials ---


async def test_a_client_of_its_own_accord_is_its_scopes_and_nobody(shop: Shop) -> None:
    flow = Flow(
        shop, await client_of(shop, grantTypes=["CLIENT_CREDENTIALS"], scopes=["read:orders", "chat:agent"])
    )
    tokens = await flow.tokens(grant_type="client_credentials")
    assert tokens.refresh_token is None
    caller = await by_token(shop, tokens.access_token)
    assert (caller.key, caller.user_id) == (f"client:{flow.client.id}", None)
    assert caller.scopes == {Scope.READ_ORDERS}
    assert caller.is_program
    assert viewer_of(caller).kind == "device"
    await shop.call(LIST_ORDERS, caller)
    await shop.refusal(Forbidden, GET_ME, caller)
    assert await refused(flow, grant_type="client_credentials", scope="chat:agent") == "invalid_scope"
    assert await refused(flow, grant_type="client_credentials", scope="read:pets") == "invalid_scope"


# --- what a client never may ---


async def test_a_client_does_not_take_an_account_over(shop: Shop) -> None:
    flow = await flow_of(shop, scopes=[scope.value for scope in Scope])
    flow.username = "owner"  # STAFF
    caller = await by_token(shop, (await flow.all_at_once()).access_token)
    assert caller.user_id is not None
    for body in (
        {"password": "another good one"},
        {"password": "another good one", "currentPassword": PASSWORD},
    ):
        await shop.refusal(Forbidden, UPDATE_USER, caller, body, id=caller.user_id)
    key = {"name": "k", "scopes": ["read:pets"]}
    await shop.refusal(Forbidden, CREATE_API_KEY, caller, key)
    await shop.refusal(Forbidden, CREATE_OAUTH_CLIENT, caller, DRAFT)
    await shop.refusal(Forbidden, LIST_GRANTS, caller)
    await shop.refusal(Forbidden, END_GRANT, caller, id=new_id())


async def test_what_is_kept_for_a_user_is_not_their_applications(shop: Shop) -> None:
    flow = await flow_of(shop)
    theirs = await by_token(shop, (await flow.all_at_once()).access_token)
    own = await by_token(shop, (await log_in(shop)).access_token)
    body = {"subject": "Does Biscuit like cats?"}
    assert not (await shop.outcome(OPEN_CHAT, own, body, key="k")).replayed
    assert not (await shop.outcome(OPEN_CHAT, theirs, body, key="k")).replayed
    assert (await shop.outcome(OPEN_CHAT, theirs, body, key="k")).replayed
    assert DurableSessions.id_of(own, "lamp") != DurableSessions.id_of(theirs, "lamp")
    renewed = await by_token(shop, (await flow.all_at_once()).access_token)
    assert renewed.owner == theirs.owner


# --- ending ---


async def test_users_see_and_end_what_they_allowed(shop: Shop) -> None:
    flow = await flow_of(shop)
    tokens = await flow.all_at_once()
    waiting = await flow.code()
    me = await by_token(shop, (await log_in(shop)).access_token)
    [grant] = (await shop.call(LIST_GRANTS, me)).data
    assert (grant.client_id, grant.client_name) == (flow.client.id, "Paws & Claws blog")
    somebody = await by_token(shop, (await log_in(shop, "owner")).access_token)
    assert (await shop.call(LIST_GRANTS, somebody)).data == []
    await shop.refusal(NotFound, END_GRANT, somebody, id=grant.id)
    ended: list[frozenset[str]] = []
    shop.store.revocations.watchers.append(ended.append)
    caller = await by_token(shop, tokens.access_token)
    await shop.call(END_GRANT, me, id=grant.id)
    assert any(subjects.intersection(caller.subjects) for subjects in ended)
    with pytest.raises(Unauthorized):
        await by_token(shop, tokens.access_token)
    assert tokens.refresh_token is not None
    assert (
        await refused(flow, grant_type="refresh_token", refresh_token=tokens.refresh_token) == "invalid_grant"
    )
    assert await refused(flow, **flow.form(waiting)) == "invalid_grant"
    assert (await shop.call(LIST_GRANTS, me)).data == []
    # Allowed again it works again, though within the same second.
    await by_token(shop, (await flow.all_at_once()).access_token)


async def test_a_removed_client_has_nothing_left(shop: Shop) -> None:
    flow = await flow_of(shop, grantTypes=["AUTHORIZATION_CODE", "CLIENT_CREDENTIALS", "REFRESH_TOKEN"])
    of_user = await flow.all_at_once()
    own = await flow.tokens(grant_type="client_credentials")
    await shop.call(DELETE_OAUTH_CLIENT, id=flow.client.id)
    for tokens in (of_user, own):
        with pytest.raises(Unauthorized):
            await by_token(shop, tokens.access_token)
    assert await records(shop, OAuthGrant) == await records(shop, AuthorizationCode) == 0
    await shop.refusal(NotFound, GET_OAUTH_CLIENT, id=flow.client.id)


async def test_a_new_password_ends_what_was_begun_with_the_old_one(shop: Shop) -> None:
    flow = await flow_of(shop)
    tokens, waiting = await flow.all_at_once(), await flow.code()
    cookie = await pages.log_in(shop.store, shop.tenant, ADDRESS, "maria", PASSWORD)
    me = await by_token(shop, (await log_in(shop)).access_token)
    body = {"password": "another good one", "currentPassword": PASSWORD}
    await shop.call(UPDATE_USER, me, body, id=me.user_id)
    with pytest.raises(Unauthorized):
        await by_token(shop, tokens.access_token)
    assert await refused(flow, **flow.form(waiting)) == "invalid_grant"
    assert await pages.find_visit(shop.store, shop.tenant, cookie) is None


@pytest.mark.parametrize("end", ["password", "user", "logout"])
async def test_a_page_that_was_shown_before_a_login_ended_allows_nothing(shop: Shop, end: str) -> None:
    flow = await flow_of(shop, scopes=["read:pets"])
    browser = Flow(shop, await client_of(shop, grantTypes=["IMPLICIT"], scopes=["read:pets"]))
    cookie = await pages.log_in(shop.store, shop.tenant, ADDRESS, "maria", PASSWORD)
    visit = await pages.find_visit(shop.store, shop.tenant, cookie)
    assert visit is not None
    request = await browser.request(response_type="token", code_challenge=None, code_challenge_method=None)
    match end:
        case "password":
            await shop.call(UPDATE_USER, body={"password": "another good one"}, id=visit.account.id)
        case "user":
            await shop.call(DELETE_USER, id=visit.account.id)
        case _:
            await pages.log_out(shop.store, shop.tenant, ADDRESS, cookie)
    with pytest.raises(Unauthorized):
        await flow.code(visit)
    with pytest.raises(Unauthorized):
        await issue_by_browser(shop.store, request, visit, ADDRESS)
    assert await records(shop, OAuthGrant) == await records(shop, AuthorizationCode) == 0


async def test_a_deleted_user_allowed_nobody(shop: Shop) -> None:
    flow = await flow_of(shop)
    tokens, waiting = await flow.all_at_once(), await flow.code()
    me = await by_token(shop, (await log_in(shop)).access_token)
    await shop.call(DELETE_USER, me, id=me.user_id)
    with pytest.raises(Unauthorized):
        await by_token(shop, tokens.access_token)
    assert await refused(flow, **flow.form(waiting)) == "invalid_grant"
    assert await records(shop, OAuthGrant) == 0


async def test_an_emptied_tenant_has_no_clients(shop: Shop) -> None:
    flow = await flow_of(shop)
    await flow.all_at_once()
    await flow.code()
    await shop.call(RESET_TENANT, confirm=shop.tenant)
    for kind in (OAuthClient, OAuthGrant, AuthorizationCode):
        assert await records(shop, kind) == 0


# --- introspection and revocation ---


async def test_who_may_look_into_tokens(shop: Shop) -> None:
    flow = await flow_of(shop)
    tokens = await flow.all_at_once()
    stranger = await client_of(shop)
    server = await client_of(shop, grantTypes=["CLIENT_CREDENTIALS"], scopes=["read:user"])
    public = await client_of(shop, confidential=False)
    assert tokens.refresh_token is not None
    for token in (tokens.access_token, tokens.refresh_token):
        for client in (flow.client, server):
            said = await introspect(shop.store, client, token, ADDRESS)
            assert (said["active"], said["client_id"]) == (True, flow.client.id)
            assert set(str(said["scope"]).split()) == tokens.scopes
        assert await introspect(shop.store, stranger, token, ADDRESS) == {"active": False}
        with pytest.raises(OAuthError):
            await introspect(shop.store, public, token, ADDRESS)
    assert await introspect(shop.store, server, "nonsense", ADDRESS) == {"active": False}
    own = await log_in(shop)
    assert (await introspect(shop.store, server, own.access_token, ADDRESS))["username"] == "maria"
    assert await introspect(shop.store, flow.client, own.access_token, ADDRESS) == {"active": False}
    assert await introspect(shop.store, server, own.refresh_token, ADDRESS) == {"active": False}
    elsewhere = Shop(shop.store)
    there = await client_of(elsewhere, grantTypes=["CLIENT_CREDENTIALS"], scopes=["read:user"])
    assert await introspect(shop.store, there, tokens.access_token, ADDRESS) == {"active": False}


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_a_client_ends_its_tokens(shop: Shop, which: str) -> None:
    flow = await flow_of(shop)
    tokens = await flow.all_at_once()
    assert tokens.refresh_token is not None
    with pytest.raises(OAuthError):
        await revoke(shop.store, await client_of(shop), getattr(tokens, which), ADDRESS)
    await by_token(shop, tokens.access_token)
    await revoke(shop.store, flow.client, getattr(tokens, which), ADDRESS)
    with pytest.raises(Unauthorized):
        await by_token(shop, tokens.access_token)
    assert (
        await refused(flow, grant_type="refresh_token", refresh_token=tokens.refresh_token) == "invalid_grant"
    )
    assert await introspect(shop.store, flow.client, getattr(tokens, which), ADDRESS) == {"active": False}
    await revoke(shop.store, flow.client, getattr(tokens, which), ADDRESS)
    await revoke(shop.store, flow.client, "nonsense", ADDRESS)


async def test_a_client_ends_a_token_of_its_own(shop: Shop) -> None:
    flow = Flow(shop, await client_of(shop, grantTypes=["CLIENT_CREDENTIALS"]))
    first, second = [await flow.tokens(grant_type="client_credentials") for _ in range(2)]
    await revoke(shop.store, flow.client, first.access_token, ADDRESS)
    with pytest.raises(Unauthorized):
        await by_token(shop, first.access_token)
    await by_token(shop, second.access_token)


# --- the pages' logins ---


async def test_a_cookie_is_good_for_the_pages_only(shop: Shop) -> None:
    await register(shop)
    cookie = await pages.log_in(shop.store, shop.tenant, ADDRESS, "maria", PASSWORD)
    with pytest.raises(Unauthorized):
        await by_token(shop, cookie)
    await shop.refusal(Unauthorized, REFRESH, shop.visitor, {"refreshToken": cookie})
    tokens = await log_in(shop)
    for other in (tokens.access_token, tokens.refresh_token, pages.new_cookie(), "", "\ud800"):
        assert await pages.find_visit(shop.store, shop.tenant, other) is None
    assert await pages.find_visit(shop.store, shop.tenant, cookie) is not None
    await pages.log_out(shop.store, shop.tenant, ADDRESS, cookie)
    assert await pages.find_visit(shop.store, shop.tenant, cookie) is None
    await by_token(shop, tokens.access_token)


async def test_a_login_at_the_pages_lasts_an_hour(timed: Shop, clock: Wrist) -> None:
    await known(timed)
    cookie = await pages.log_in(timed.store, timed.tenant, ADDRESS, "maria", PASSWORD)
    clock.forward(minutes=59)
    assert await pages.find_visit(timed.store, timed.tenant, cookie) is not None
    clock.forward(minutes=1)
    assert await pages.find_visit(timed.store, timed.tenant, cookie) is None


async def test_a_form_belongs_to_its_browser(shop: Shop) -> None:
    first, second = pages.new_cookie(), pages.new_cookie()
    token = pages.form_token(shop.store, first, "this")
    assert token == pages.form_token(shop.store, first, "this")
    assert token not in (
        pages.form_token(shop.store, second, "this"),
        pages.form_token(shop.store, first, "that"),
    )
