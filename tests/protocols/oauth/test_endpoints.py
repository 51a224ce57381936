"""What clients ask for, how they say who they are, and what they are told."""

import asyncio
import base64
from typing import Any

import httpx
import pytest

from tests.http_clients import TLS, ask
from tests.process import Gateway
from tests.protocols.oauth.person import App, code_for
from tests.waiting import TIMEOUT_SECONDS


@pytest.fixture(scope="module")
def app(gateway: Gateway) -> App:
    """A confidential client."""
    return App.register(gateway.url)


@pytest.fixture(scope="module")
def service(gateway: Gateway) -> App:
    """A client that acts of its own accord."""
    return App.register(
        gateway.url, grantTypes=["CLIENT_CREDENTIALS"], redirectUris=[], scopes=["read:orders", "read:user"]
    )


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{secret}'.encode()).decode()}"}


def test_tokens_are_for_no_cache(app: App) -> None:
    answer = app.redeem(code_for(app))
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    tokens = answer.json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 3600)
    assert tokens.keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}


def test_how_clients_say_who_they_are(gateway: Gateway, service: App) -> None:
    url, form = f"{gateway.url}/v1/oauth/token", {"grant_type": "client_credentials"}
    assert service.secret is not None
    for headers, more, status, error in (
        (basic(service.id, service.secret), {}, 200, None),
        (basic(service.id, service.secret.replace("_", "%5f")), {}, 200, None),
        (basic(service.id, service.secret), {"client_id": service.id}, 200, None),
        ({}, {"client_id": service.id, "client_secret": service.secret}, 200, None),
        ({}, {}, 401, "invalid_client"),
        ({}, {"client_id": service.id}, 401, "invalid_client"),
        (basic(service.id, "wrong"), {}, 401, "invalid_client"),
        (basic(service.id, ""), {}, 401, "invalid_client"),
        ({"Authorization": "Basic !"}, {}, 401, "invalid_client"),
        ({"Authorization": "Basic"}, {}, 401, "invalid_client"),
        (basic("%ff", "%ff"), {}, 401, "invalid_client"),
        (basic(service.id, service.secret), {"client_secret": service.secret}, 400, "invalid_request"),
        (basic(service.id, service.secret), {"client_id": "another"}, 400, "invalid_request"),
    ):
        answer = ask("POST", url, data=form | more, headers=headers)
        assert answer.status_code == status, (headers, more, answer.text)
        if status != 200:
            assert answer.json()["error"] == error
            assert answer.headers["cache-control"] == "no-store"
        assert ("www-authenticate" in answer.headers) == (status == 401)
    there = ask(
        "POST", url, data=form,
        headers={**basic(service.id, service.secret), "X-Tenant-ID": "7b1f2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4e"},
    )  # fmt: skip
    assert there.json()["error"] == "invalid_client"
    # The secret is for the body or the header, never for the address.
    query = ask("POST", f"{url}?client_id={service.id}&client_secret={service.secret}", data=form)
    assert query.status_code == 401


def test_what_is_no_form_is_refused_in_the_shape_of_the_protocol(gateway: Gateway, service: App) -> None:
    url = f"{gateway.url}/v1/oauth/token"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for content, headers, status in (
        (b'{"grant_type": "client_credentials"}', {"Content-Type": "application/json"}, 415),
        (b"", {}, 415),
        (b"", kind, 401),
        (b"grant_type=%ff", kind, 400),
        ("grant_type=é".encode(), kind, 400),
        (b"a=1&a=2", kind, 400),
        (b"&".join(b"a%d=1" % number for number in range(100)), kind, 400),
        (b"x=" + b"y" * 1_000_000, kind, 413),
        (b"grant_type=x", {**kind, "Content-Encoding": "gzip"}, 415),
        (b"grant_type=x", {**kind, "X-Tenant-ID": "nonsense"}, 400),
        (b"grant_type=x", {**kind, "Authorization": "Bearer nonsense"}, 401),
    ):
        answer = ask("POST", url, content=content, headers=headers)
        assert answer.status_code == status, (content[:40], answer.text)
        assert answer.json().keys() == {"error", "error_description"}
    assert ask("GET", url).status_code == 405
    assert service.post("token").json()["error"] == "invalid_request"
    assert service.post("token", grant_type="password").json()["error"] == "unsupported_grant_type"
    odd = service.post("token", grant_type="client_credentials", scope='"\\é\x00')
    assert (odd.status_code, odd.json()["error"]) == (400, "invalid_scope")


def test_codes_are_redeemed_once_and_by_who_began(gateway: Gateway, app: App) -> None:
    code = code_for(app)
    other = App.register(gateway.url)
    assert other.redeem(code, code_verifier=app.verifier).json()["error"] == "invalid_grant"
    assert app.redeem(code, code_verifier=other.verifier).json()["error"] == "invalid_grant"
    assert app.redeem(code, redirect_uri=app.redirect_uri + "x").json()["error"] == "invalid_grant"
    tokens = app.redeem(code).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert ask("GET", f"{gateway.url}/v1/orders", headers=bearer).status_code == 200
    again = app.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert ask("GET", f"{gateway.url}/v1/orders", headers=bearer).status_code == 401


async def test_of_many_at_once_one_redeems_a_code(gateway: Gateway, app: App) -> None:
    code = await asyncio.to_thread(code_for, app)
    answers = await asyncio.gather(*(asyncio.to_thread(app.redeem, code) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7


def test_looking_into_tokens_and_ending_them(gateway: Gateway, app: App, service: App) -> None:
    tokens = app.redeem(code_for(app)).json()
    for client, token in ((app, "access_token"), (service, "access_token"), (app, "refresh_token")):
        said = client.post("introspect", token=tokens[token], token_type_hint="nonsense").json()
        assert (said["active"], said["client_id"], said["iss"]) == (True, app.id, gateway.url)
    public = App.register(gateway.url, confidential=False)
    assert public.post("introspect", token=tokens["access_token"]).json()["error"] == "unauthorized_client"
    assert App(gateway.url, app.id).post("introspect", token=tokens["access_token"]).status_code == 401
    assert app.post("introspect").json()["error"] == "invalid_request"
    assert public.post("revoke", token=tokens["refresh_token"]).json()["error"] == "unauthorized_client"
    for _ in range(2):
        ended = app.post("revoke", token=tokens["refresh_token"])
        assert (ended.status_code, ended.content) == (200, b"")
    assert app.post("introspect", token=tokens["access_token"]).json() == {"active": False}
    assert app.post("revoke", token="nonsense").status_code == 200


def test_pages_of_others_may_ask_for_tokens_but_not_users(gateway: Gateway) -> None:
    origin = {"Origin": "https://spa.example", "Access-Control-Request-Method": "POST"}
    allowed = ask("OPTIONS", f"{gateway.url}/v1/oauth/token", headers=origin)
    assert allowed.headers["access-control-allow-origin"] == "https://spa.example"
    refused = ask("OPTIONS", f"{gateway.url}/v1/oauth/authorize", headers=origin)
    assert "access-control-allow-origin" not in refused.headers


def test_a_client_registers_itself(gateway: Gateway) -> None:
    def register(**metadata: Any) -> httpx.Response:
        return ask("POST", f"{gateway.url}/v1/oauth/register", json=metadata)

    made = register(
        client_name="Itself", redirect_uris=["http://127.0.0.1/cb"], token_endpoint_auth_method="none",
        grant_types=["authorization_code", "refresh_token"], scope="read:pets", logo_uri="https://x.example/",
    )  # fmt: skip
    assert made.status_code == 201
    shown = made.json()
    assert shown["grant_types"] == ["authorization_code", "refresh_token"]
    assert "client_secret" not in shown
    app = App(gateway.url, shown["client_id"], redirect_uri="http://127.0.0.1:4711/cb")
    assert app.redeem(code_for(app)).json()["scope"] == "read:pets"
    secret = register(redirect_uris=["https://x.example/"]).json()
    assert secret["client_secret_expires_at"] == 0
    for metadata, error in (
        ({"redirect_uris": ["http://x.example/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": "https://x.example/"}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_client_metadata"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"grant_types": ["password"]}, "invalid_client_metadata"),
        ({"grant_types": {}}, "invalid_client_metadata"),
        ({"scope": "write:pets"}, "invalid_client_metadata"),
        ({"scope": 1}, "invalid_client_metadata"),
        ({"client_name": "a\nb"}, "invalid_client_metadata"),
        ({"client_name": 1}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": []}, "invalid_client_metadata"),
        ({"response_types": ["token"]}, "invalid_client_metadata"),
    ):
        answer = register(**{"redirect_uris": ["https://x.example/"], **metadata})
        assert (answer.status_code, answer.json()["error"]) == (400, error), metadata
    for content in (b"[]", b"nonsense", b"[" * 60_000, b"\xff"):
        answer = ask(
            "POST", f"{gateway.url}/v1/oauth/register", content=content,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


def test_the_metadata_say_what_there_is(gateway: Gateway) -> None:
    said = ask("GET", f"{gateway.url}/.well-known/oauth-authorization-server").json()
    assert said["issuer"] == gateway.url
    for name, url in said.items():
        if name.endswith(("_endpoint", "_uri")):
            assert ask("OPTIONS", url).status_code == 204, name


def test_guessing_secrets_is_slowed_like_guessing_passwords(gateway: Gateway) -> None:
    app = App.register(gateway.url)
    with httpx.Client(verify=TLS, timeout=TIMEOUT_SECONDS) as client:
        guess = {"grant_type": "client_credentials", "client_id": app.id, "client_secret": "guess"}
        seen = [client.post(f"{gateway.url}/v1/oauth/token", data=guess) for _ in range(6)]
    assert [answer.status_code for answer in seen] == [401] * 5 + [429]
    assert int(seen[-1].headers["retry-after"]) > 0
    assert seen[-1].json()["error"] == "temporarily_unavailable"
