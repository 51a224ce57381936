"""The device grant from outside: what a device asks, and the page on which its user decides."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.demo import APPLICATION_ID, LAMP_ID
from tests.device_approval import Person, allow
from tests.http_clients import ask
from tests.process import Gateway

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("store"), "--demo") as gateway:
        yield gateway


def post(store: Gateway, path: str, **form: str) -> httpx.Response:
    return ask("POST", f"{store.url}/v1/oauth/{path}", data={"client_id": LAMP_ID, **form})


def begin(store: Gateway, **form: str) -> dict[str, Any]:
    answer = post(store, "device_authorization", **form)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    codes: dict[str, Any] = answer.json()
    return codes


def poll(store: Gateway, codes: dict[str, Any], **form: str) -> httpx.Response:
    return post(store, "token", grant_type=GRANT, device_code=codes["device_code"], **form)


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


def test_a_device_is_told_where_its_user_goes(store: Gateway) -> None:
    codes = begin(store)
    page = f"{store.url}/v1/oauth/device"
    assert re.fullmatch(r"[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}", codes["user_code"])
    assert (codes["verification_uri"], codes["expires_in"], codes["interval"]) == (page, 600, 5)
    assert codes["verification_uri_complete"] == f"{page}?user_code={codes['user_code']}"
    metadata = ask("GET", f"{store.url}/.well-known/oauth-authorization-server").json()
    assert metadata["device_authorization_endpoint"] == f"{store.url}/v1/oauth/device_authorization"
    assert GRANT in metadata["grant_types_supported"]


def test_the_user_sees_which_device_asks_for_what_and_allows_it(store: Gateway) -> None:
    codes = begin(store)
    assert error_of(poll(store, codes)) == (400, "authorization_pending")
    assert error_of(poll(store, codes)) == (400, "slow_down")
    with Person(codes["verification_uri"]) as person:
        assert 'name="user_code"' in person.answer.text
    with Person(
        f"{codes['verification_uri']}?user_code={codes['user_code'].lower().replace('-', ' ')}"
    ) as person:
        assert "Demo lamp" in person.text
        person.log_in(password="wrong")
        assert (person.answer.status_code, "wrong" in person.text) == (403, True)
        person.log_in()
        for words in ("Demo lamp", codes["user_code"], "127.0.0.1", "logged in as demo", "Read your orders"):
            assert words in person.text
        assert "Done" in (person.submit("allow"), person.text)[1]
    tokens = poll(store, codes)
    assert (tokens.status_code, tokens.json()["scope"]) == (200, "read:orders")
    headers = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
    assert ask("GET", f"{store.url}/v1/orders", headers=headers).status_code == 200
    assert ask("GET", f"{store.url}/v1/users/me", headers=headers).status_code == 403
    assert error_of(poll(store, codes)) == (400, "invalid_grant")


@pytest.mark.parametrize("logged_in", [True, False])
def test_the_user_says_no(store: Gateway, *, logged_in: bool) -> None:
    codes = begin(store)
    with Person(codes["verification_uri_complete"]) as person:
        if logged_in:
            person.log_in()
        person.submit("deny")
        assert "Not allowed" in person.text
    assert error_of(poll(store, codes)) == (400, "access_denied")


def test_who_has_logged_in_need_not_again_and_may_be_somebody_else(store: Gateway) -> None:
    first, second = begin(store), begin(store)
    with Person(first["verification_uri_complete"]) as person:
        person.log_in()
        person.submit("allow")
        person.answer = person._client.get(second["verification_uri_complete"])
        assert "logged in as demo" in person.text
        person.submit("logout")
        assert "Password" in person.text
        person.log_in("demo-staff", "demo-staff-password")
        assert "of the staff" in person.text


def test_forms_of_others_do_nothing(store: Gateway) -> None:
    codes, other = begin(store), begin(store)
    with Person(codes["verification_uri_complete"]) as person:
        person.log_in()
        page = person.answer
        for token in ("", "x", "\u00e9"):
            assert person.submit("allow", form_token=token).status_code == 403
            person.answer = page
        # The form of one code does not allow another one.
        person.answer = person._client.post(
            other["verification_uri_complete"],
            data={"action": "allow", "form_token": _form_token(page)},
        )
        assert person.answer.status_code == 403
        stranger = ask(
            "POST",
            codes["verification_uri_complete"],
            data={"action": "allow", "form_token": _form_token(page)},
        )
        assert stranger.status_code == 403
    for each in (codes, other):
        assert error_of(poll(store, each)) == (400, "authorization_pending")


def _form_token(page: httpx.Response) -> str:
    found = re.search(r'name="form_token" value="([^"]*)"', page.text)
    assert found is not None
    return found[1]


def test_no_page_is_shown_in_a_frame_or_kept(store: Gateway) -> None:
    codes = begin(store)
    for page in (codes["verification_uri"], codes["verification_uri_complete"]):
        headers = ask("GET", page, headers={"Origin": "https://evil.example"}).headers
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "form-action 'self';" in headers["content-security-policy"]
        assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
        assert "access-control-allow-origin" not in headers
        cookie = headers["set-cookie"]
        assert all(words in cookie for words in ("HttpOnly", "SameSite=Lax", "Path=/v1/oauth"))


@pytest.mark.parametrize(
    "typed", ["BBBB-BBBB", "x", "%00", "%F0%9F%90%88", "B" * 900, "&user_code=", "<script>alert(1)</script>"]
)
def test_codes_that_are_none_are_told_and_guesses_end(store: Gateway, typed: str) -> None:
    # Without a cookie each of them counts for all who come without one; with one, they are the browser's own.
    with httpx.Client() as browser:
        browser.get(f"{store.url}/v1/oauth/device")
        answers = [browser.get(f"{store.url}/v1/oauth/device?user_code={typed}") for _ in range(7)]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [404] * 5 + [429] * 2 or set(statuses) <= {200, 400}
    assert "<script>" not in answers[0].text


def test_a_device_that_may_not_is_refused(store: Gateway) -> None:
    for form, error in (
        ({"scope": "write:pets"}, (400, "invalid_scope")),
        ({"client_id": APPLICATION_ID}, (400, "unauthorized_client")),
        ({"client_id": "nobody"}, (401, "invalid_client")),
    ):
        assert error_of(post(store, "device_authorization", **form)) == error
    codes = begin(store)
    assert error_of(poll(store, codes, client_id=APPLICATION_ID)) == (400, "unauthorized_client")
    assert error_of(post(store, "token", grant_type=GRANT)) == (400, "invalid_request")
    assert error_of(post(store, "token", grant_type=GRANT, device_code="x")) == (400, "invalid_grant")
    assert ask("GET", f"{store.url}/v1/oauth/device_authorization").status_code == 405


def test_nothing_of_it_is_in_the_log(store: Gateway) -> None:
    codes = begin(store)
    allow(codes["verification_uri_complete"])
    tokens = poll(store, codes).json()
    log = store.log_file.read_text()
    for secret in (
        codes["user_code"],
        codes["device_code"],
        tokens["access_token"],
        tokens["refresh_token"],
    ):
        assert secret not in log
