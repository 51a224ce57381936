"""The pages, as a browser without scripts and whoever means ill see them."""

import re
from urllib.parse import parse_qsl

import pytest

from core.kernel.caller import Role, Scope
from protocols.oauth.pages import in_words
from tests.http_clients import ask
from tests.process import Gateway
from tests.protocols.oauth.person import CALLBACK, App, Page, browser, code_for, log_in, visit


@pytest.fixture(scope="module")
def app(gateway: Gateway) -> App:
    """A confidential client."""
    return App.register(gateway.url)


def test_a_user_logs_in_and_allows_and_is_led_back(gateway: Gateway, app: App) -> None:
    with browser(gateway.url) as client:
        page = visit(client, app, scope="read:pets read:orders", state="odd & é \n\0 %0d%0a")
        assert page.heading == "Log in"
        page = page.send(action="login", username="demo", password="demo-password")
        assert page.heading == "Allow Paws & <b>Claws</b>?"
        assert "Read pets and the stock." in page.text
        assert "Take part in support chats" not in page.text
        back = page.send(action="allow")
        assert back.answer.headers["location"].startswith(CALLBACK + "?code=")
        assert back.led_to.keys() == {"code", "state", "iss"}
        assert back.led_to["state"] == "odd & é \n\0 %0d%0a"
        assert back.led_to["iss"] == gateway.url
        tokens = app.redeem(back.led_to["code"])
        assert tokens.status_code == 200
        assert tokens.json()["scope"] == "read:orders read:pets"
        # It is remembered, for this and for less.
        assert "code" in visit(client, app, scope="read:pets").led_to
        assert visit(client, app, scope="write:orders").heading.startswith("Allow")


def test_a_user_says_no(gateway: Gateway, app: App) -> None:
    with browser(gateway.url) as client:
        back = visit(client, app).send(action="deny")
        assert back.led_to["error"] == "access_denied"
        assert (back.led_to["state"], back.led_to["iss"]) == ("s-1", gateway.url)


def test_a_wrong_password_is_told_and_somebody_else_can_log_in(gateway: Gateway, app: App) -> None:
    with browser(gateway.url) as client:
        page = visit(client, app, scope="write:orders")
        for username, password in (
            ("demo", "wrong"),
            ("nobody", "demo-password"),
            ("", ""),
            ("demo", "\x00"),
        ):
            page = page.send(action="login", username=username, password=password)
            assert page.status in (400, 403)
            assert 'role="alert"' in page.text
            assert page.heading == "Log in"
        page = page.send(action="login", username="demo-staff", password="demo-staff-password")
        assert "demo-staff" in page.text
        cookie = client.cookies["petstore-pages"]
        page = page.send(action="logout")
        assert page.heading == "Log in"
        assert client.cookies["petstore-pages"] != cookie
        client.cookies.set("petstore-pages", cookie, domain="127.0.0.1", path="/v1/oauth")
        client.cookies.clear()
        assert visit(client, app).heading == "Log in"


def test_a_login_gets_a_new_cookie_that_is_good_for_nothing_else(gateway: Gateway, app: App) -> None:
    with browser(gateway.url) as client:
        page = visit(client, app, scope="write:orders")
        before = page.answer.headers["set-cookie"]
        assert re.fullmatch(
            r"petstore-pages=[\w-]+; Path=/v1/oauth; Max-Age=3600; HttpOnly; SameSite=Lax", before
        )
        page.send(action="login", username="demo", password="demo-password")
        cookie = client.cookies["petstore-pages"]
        assert cookie not in before
    for headers in (
        {"Cookie": f"petstore-pages={cookie}"},
        {"Authorization": f"Bearer {cookie}"},
        {"X-API-Key": cookie},
    ):
        assert ask("GET", f"{gateway.url}/v1/users/me", headers=headers).status_code == 401


def test_a_page_is_framed_by_nobody_and_runs_nothing(gateway: Gateway, app: App) -> None:
    with browser(gateway.url) as client:
        login = visit(client, app)
        consent = login.send(action="login", username="demo-staff", password="demo-staff-password")
        error = Page(client.get("/v1/oauth/authorize"), client)
        for page in (login, consent, error):
            headers = page.answer.headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'; style-src 'self'; form-action 'self'" in policy
            assert "frame-ancestors 'none'; base-uri 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in headers
            assert '<html lang="en">' in page.text
            assert "<script" not in page.text
            assert "style=" not in page.text
        assert "form-action 'self' https://app.example;" in login.answer.headers["content-security-policy"]
        assert "<b>Claws" not in consent.text
        for field in ("username", "password"):
            assert f'<label for="{field}">' in login.text


def test_a_form_of_another_page_or_browser_does_nothing(gateway: Gateway, app: App) -> None:
    with browser(gateway.url) as victim, browser(gateway.url) as attacker:
        mine = visit(attacker, app)
        theirs = visit(victim, app).send(
            action="login", username="demo-staff", password="demo-staff-password"
        )
        address = str(theirs.answer.request.url)
        token = theirs.field("form_token")
        for form in (
            {"action": "allow"},
            {"action": "allow", "form_token": ""},
            {"action": "allow", "form_token": mine.field("form_token")},
            {"action": "allow", "form_token": "é"},
        ):
            answer = victim.post(address, data=form)
            assert answer.status_code == 403
            assert "expired" in answer.text
        # A token of this very browser, but for what it was not asked.
        wider = visit(victim, app, scope="write:orders")
        other = victim.post(str(wider.answer.request.url), data={"action": "allow", "form_token": token})
        assert other.status_code == 403
        # Without the cookie it is nobody's.
        assert ask("POST", address, data={"action": "allow", "form_token": token}).status_code == 403
        assert attacker.post(address, data={"action": "allow", "form_token": token}).status_code == 403
        assert (
            "code" in Page(victim.post(address, data={"action": "allow", "form_token": token}), victim).led_to
        )


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": None},
        {"client_id": "nobody"},
        {"client_id": "00000000-0000-7000-8000-000000000000"},
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": CALLBACK.replace("app", "apq")},
        {"redirect_uri": CALLBACK.upper()},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": CALLBACK + "\r\nSet-Cookie: x=1"},
        {"state": "x" * 10_000},
    ],
)
def test_nobody_is_led_to_where_no_client_registered(
    gateway: Gateway, app: App, changed: dict[str, str | None]
) -> None:
    with browser(gateway.url) as client:
        page = visit(client, app, **changed)
        assert page.status == 400
        assert "location" not in page.answer.headers
        assert page.heading == "This does not work"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"scope": "admin:tenant"}, "invalid_scope"),
    ],
)
def test_a_client_is_told_of_its_faults_by_way_of_the_browser(
    gateway: Gateway, app: App, changed: dict[str, str | None], error: str
) -> None:
    with browser(gateway.url) as client:
        back = visit(client, app, **changed)
        assert back.led_to["error"] == error
        assert (back.led_to["state"], back.led_to["iss"]) == ("s-1", gateway.url)


def test_who_registered_itself_has_nobody_sent_there_by_a_link_alone(gateway: Gateway) -> None:
    """Such a link would begin with the store's own address (RFC 9700, section 4.11.2)."""
    metadata = {"client_name": "Itself", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
    made = ask("POST", f"{gateway.url}/v1/oauth/register", json=metadata).json()
    app = App(gateway.url, made["client_id"])
    with browser(gateway.url) as client:
        page = visit(client, app, scope="bogus")
        assert (page.status, "location" in page.answer.headers) == (400, False)
        found = re.search(r'<a href="([^"]+)"[^>]*>', page.text)
        assert found is not None
        assert found[1].startswith(f"{CALLBACK}?error=invalid_scope&amp;")
        # Who presses a button has decided.
        assert visit(client, app).send(action="deny").led_to["error"] == "access_denied"


def test_clients_of_the_classic_document_alone_get_a_token_by_the_browser(gateway: Gateway, app: App) -> None:
    classic = App.register(
        gateway.url, grantTypes=["IMPLICIT"], scopes=["read:pets", "write:pets"], confidential=False
    )
    plain = {"response_type": "token", "code_challenge": None, "code_challenge_method": None}
    with browser(gateway.url) as client:
        back = visit(client, classic, **plain).allowed("demo-staff")
        where, _, fragment = back.answer.headers["location"].partition("#")
        told = dict(parse_qsl(fragment))
        assert where == CALLBACK
        assert told.keys() == {"access_token", "token_type", "expires_in", "scope", "state", "iss"}
        assert (told["scope"], told["state"], told["iss"]) == ("read:pets write:pets", "s-1", gateway.url)
        # It is never remembered, and no other client gets one.
        assert visit(client, classic, **plain).heading.startswith("Allow")
        refused = visit(client, app, **plain).answer.headers["location"]
        assert refused.startswith(f"{CALLBACK}#error=unauthorized_client&")
        assert visit(client, classic).led_to["error"] == "unauthorized_client"
    bearer = {"Authorization": f"Bearer {told['access_token']}"}
    assert ask("GET", f"{gateway.url}/v1/orders", headers=bearer).status_code == 403
    pet = {"name": "Pixel", "species": "CAT", "ageMonths": 7, "price": "75.00"}
    assert ask("POST", f"{gateway.url}/v1/pets", json=pet, headers=bearer).status_code == 201


def test_odd_requests_are_shown_as_errors(gateway: Gateway, app: App) -> None:
    path = f"{gateway.url}/v1/oauth/authorize"
    query = f"client_id={app.id}&redirect_uri={CALLBACK}&state="
    for text in (
        query + "%ff",
        query + "%C3",
        "&".join(["a=1"] * 1000),
        f"client_id={app.id}&client_id={app.id}",
    ):
        answer = ask("GET", f"{path}?{text}")
        assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert ask("GET", f"{path}?{query}{'x' * 65_000}").status_code in (400, 414, 431)
    assert ask("GET", f"{path}?{query}{'x' * 40_000}").status_code in (400, 414, 431)
    for content in (b"x" * 1_000_000, b"a=1&" * 10_000, b"\xff=\xff"):
        answer = ask(
            "POST",
            f"{path}?{query}",
            content=content,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code in (303, 400, 413)
    assert ask("PUT", path).status_code == 405


def test_a_client_of_a_private_tenant_asks_that_tenants_users(gateway: Gateway) -> None:
    tenant = "7b1f2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
    profile = {
        "username": "owner", "password": "owner-password", "email": "owner@example.com",
        "firstName": "O", "lastName": "W",
    }  # fmt: skip
    there = {"X-Tenant-ID": tenant}
    assert ask("POST", f"{gateway.url}/v1/users", json=profile, headers=there).status_code == 201
    body = {"username": "owner", "password": "owner-password"}
    token = ask("POST", f"{gateway.url}/v1/auth/tokens", json=body, headers=there).json()["accessToken"]
    draft = {
        "name": "Private", "redirectUris": [CALLBACK], "grantTypes": ["AUTHORIZATION_CODE"],
        "scopes": ["read:pets"],
    }  # fmt: skip
    made = ask(
        "POST", f"{gateway.url}/v1/oauth/clients", json=draft, headers={"Authorization": f"Bearer {token}"}
    ).json()
    app = App(gateway.url, made["id"])
    with browser(gateway.url) as client:
        page = visit(client, app).send(action="login", username="demo", password="demo-password")
        assert page.status == 403
        back = page.send(action="login", username="owner", password="owner-password").send(action="allow")
        # The login of one tenant is none in another.
        assert visit(client, App.register(gateway.url)).heading == "Log in"
    answer = app.redeem(back.led_to["code"])
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert ask("GET", f"{gateway.url}/v1/pets", headers=bearer).json()["data"] == []
    pool = {**bearer, "X-Tenant-ID": "00000000-0000-0000-0000-000000000000"}
    assert ask("GET", f"{gateway.url}/v1/pets", headers=pool).status_code == 403


def test_nothing_of_it_is_logged(gateway: Gateway, app: App) -> None:
    code = code_for(app, state="a-state-of-this-test")
    tokens = app.redeem(code).json()
    app.redeem(code)
    printed = gateway.log_file.read_text().splitlines()
    log = [line for line in printed if line.startswith("{")]
    secrets = [
        code,
        tokens["access_token"],
        tokens["refresh_token"],
        app.secret,
        app.verifier,
        "demo-password",
    ]
    for secret in (*secrets, "a-state-of-this-test"):
        assert secret is not None
        assert not any(secret in line for line in log)


def test_users_see_and_end_what_they_allowed_and_streams_end_with_it(gateway: Gateway) -> None:
    app = App.register(gateway.url)
    tokens = app.redeem(code_for(app)).json()
    me = log_in(gateway.url, "demo")
    granted = ask("GET", f"{gateway.url}/v1/users/me/grants?limit=100", headers=me).json()["data"]
    [grant] = [grant for grant in granted if grant["clientId"] == app.id]
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    with (
        browser(gateway.url) as client,
        client.stream("GET", "/v1/events?topics=%23", headers=bearer) as live,
    ):
        lines = live.iter_lines()
        assert next(lines)
        ended = ask("DELETE", f"{gateway.url}/v1/users/me/grants/{grant['id']}", headers=me)
        assert ended.status_code == 204
        assert "event: closed" in list(lines)
    assert ask("GET", f"{gateway.url}/v1/orders", headers=bearer).status_code == 401
    answer = app.post("token", grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert answer.json()["error"] == "invalid_grant"


def test_a_page_promises_an_application_no_more_than_it_gets() -> None:
    for role in (Role.CUSTOMER, Role.STAFF):
        assert "log in" in in_words(Scope.WRITE_USER, role) or "no password" in in_words(
            Scope.WRITE_USER, role
        )
    assert "decide" not in in_words(Scope.WRITE_ORDERS, Role.CUSTOMER)
    # STAFF decides on applications, and reads them, in person alone.
    assert "in person" in in_words(Scope.WRITE_ORDERS, Role.STAFF)
    assert "in person" in in_words(Scope.READ_ORDERS, Role.STAFF)
