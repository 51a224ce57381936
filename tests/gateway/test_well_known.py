"""What clients find out by themselves: the keys, and who issues tokens; and how a refusal leads them there."""

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from core.kernel.caller import Scope
from gateway.well_known import WellKnown
from tests.gateway.security.pem import write_key
from tests.http_clients import ask
from tests.process import Gateway, petstore
from tests.waiting import wait_until

MAX_AGE = "public, max-age=300"
LONG_AGO = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("plain"), "--demo", cors_origins="https://app.example") as gateway:
        yield gateway


def log_in(gateway: Gateway) -> str:
    body = {"username": "demo", "password": "demo-password"}
    return str(ask("POST", f"{gateway.url}/v1/auth/tokens", json=body).json()["accessToken"])


def me(gateway: Gateway, token: str) -> httpx.Response:
    return ask("GET", f"{gateway.url}/v1/users/me", headers={"Authorization": f"Bearer {token}"})


def keys_of(gateway: Gateway) -> list[dict[str, str]]:
    answer = ask("GET", f"{gateway.url}/.well-known/jwks.json")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, MAX_AGE)
    keys: list[dict[str, str]] = answer.json()["keys"]
    return keys


# --- the key set ---


def test_a_secret_is_in_no_key_set(plain: Gateway) -> None:
    assert keys_of(plain) == []


def test_nodes_rotate_their_keys_and_nobody_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    write_key(folder / "1.pem", "ES256", since=LONG_AGO)
    settings = {"jwt_keys": str(folder), "jwt_secret": "the secret of both of these nodes"}
    with Gateway(tmp_path / "a", "--demo", **settings) as a, Gateway(tmp_path / "b", **settings) as b:
        issued = [log_in(a)]

        def taken() -> bool:
            # Nodes of their own have users of their own: that the token counts is seen where it is of no use, too.
            return all(
                me(a, token).status_code == 200 and me(b, token).status_code == 404 for token in issued
            )

        assert taken()
        [first] = keys_of(a)
        assert first["alg"] == "ES256"
        # A new key is published, and signs only later.
        write_key(folder / "2.pem", "RS256")
        wait_until(lambda: len(keys_of(a)) == len(keys_of(b)) == 2)
        issued.append(log_in(a))
        assert {jwt.get_unverified_header(token)["kid"] for token in issued} == {first["kid"]}
        assert taken()
        # It is old enough.
        (folder / "2.pem").unlink()
        write_key(folder / "2.pem", "EdDSA", since=LONG_AGO)
        wait_until(lambda: [key["alg"] for key in keys_of(b)] == ["ES256", "EdDSA"])
        wait_until(lambda: jwt.get_unverified_header(log_in(a))["alg"] == "EdDSA")
        issued.append(log_in(a))
        assert taken()
        # What cannot be read changes nothing.
        (folder / "3.pem").write_text("half a k")
        wait_until(lambda: "reading the signing keys failed" in a.log_file.read_text())
        assert taken()
        (folder / "3.pem").unlink()
        (folder / "1.pem").unlink()
        wait_until(lambda: len(keys_of(a)) == 1)
        assert me(a, log_in(a)).status_code == 200


def test_a_lone_node_makes_its_own_key(tmp_path: Path) -> None:
    with Gateway(
        tmp_path, "--demo", jwt_keys=str(tmp_path / "data" / "keys"), public_url="https://store.example"
    ) as node:
        token = log_in(node)
        [jwk] = keys_of(node)
        read = jwt.decode(
            token,
            jwt.PyJWK(jwk),
            [jwk["alg"]],
            issuer="https://store.example",
            audience="https://store.example",
        )
        assert read["username"] == "demo"
        node.restart()
        assert keys_of(node) == [jwk]
        assert me(node, token).status_code == 200


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_a_bad_key_is_told_in_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "key.pem").write_text("no key")
    options = ["--port", "0"] if command == "serve" else []
    done = petstore(
        command, *options, cwd=tmp_path, jwt_keys="key.pem", data_dir=str(tmp_path / "d"), port="0"
    )
    assert done.returncode == 1
    [line] = [line for line in (done.stdout + done.stderr).splitlines() if "key.pem" in line]
    assert "PETSTORE_JWT_KEYS: key.pem holds no private key in PEM" in line


# --- the metadata ---


def test_the_resource_says_who_issues_its_tokens(plain: Gateway) -> None:
    answer = ask(
        "GET", f"{plain.url}/.well-known/oauth-protected-resource", headers={"Origin": "https://any.example"}
    )
    assert (answer.status_code, answer.headers["cache-control"]) == (200, MAX_AGE)
    assert answer.headers["access-control-allow-origin"] == "https://any.example"
    metadata = answer.json()
    assert (metadata["resource"], metadata["authorization_servers"]) == (plain.url, [plain.url])
    assert metadata["scopes_supported"] == sorted(Scope)
    assert metadata["bearer_methods_supported"] == ["header"]


def test_metadata_of_a_resource_with_a_path_lie_before_the_path() -> None:
    class Keys:
        key_set = b""

    door = WellKnown(Keys(), "https://example.com/pets/store", parts={"/mcp": ["read:pets"]})
    assert door.metadata_url == "https://example.com/.well-known/oauth-protected-resource/pets/store"
    assert "/.well-known/oauth-protected-resource/pets/store" in door.paths
    assert "/.well-known/oauth-protected-resource/pets/store/mcp" in door.paths


def test_an_mcp_client_finds_metadata_that_name_what_it_asked(plain: Gateway) -> None:
    headers = {"Authorization": "Bearer x", "Content-Type": "application/json"}
    answer = ask("POST", f"{plain.url}/mcp", headers=headers, json={})
    metadata = ask("GET", challenge_of(answer)["resource_metadata"]).json()
    assert (metadata["resource"], metadata["authorization_servers"]) == (f"{plain.url}/mcp", [plain.url])
    assert metadata["scopes_supported"] == ["chat:write", "read:orders", "read:pets", "write:orders"]


@pytest.mark.parametrize("path", ["/.well-known/jwks.json", "/.well-known/oauth-protected-resource"])
def test_they_can_be_read_and_nothing_else(plain: Gateway, path: str) -> None:
    assert ask("POST", plain.url + path).status_code == 405
    assert ask("HEAD", plain.url + path).content == b""
    assert ask("OPTIONS", plain.url + path).headers["allow"] == "GET, HEAD, OPTIONS"


def challenge_of(answer: httpx.Response) -> dict[str, str]:
    scheme, _, parameters = answer.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    return dict(re.findall(r'(\w+)="([^"]*)"', parameters))


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/v1/users/me", {}),
        ("GET", "/v1/events?topics=orders/%23", {}),
        (
            "POST",
            "/v1/graphql",
            {"json": {"query": "{ pets { id } }"}, "headers": {"Authorization": "Bearer x"}},
        ),
    ],
)
def test_every_door_leads_to_the_metadata(
    plain: Gateway, method: str, path: str, more: dict[str, Any]
) -> None:
    answer = ask(method, plain.url + path, **more)
    assert answer.status_code == 401
    challenge = challenge_of(answer)
    assert challenge["resource_metadata"] == f"{plain.url}/.well-known/oauth-protected-resource"
    assert challenge.get("error") == ("invalid_token" if "headers" in more else None)
    assert ask("GET", challenge["resource_metadata"]).status_code == 200


def test_a_missing_scope_is_named(plain: Gateway) -> None:
    headers = {"Authorization": f"Bearer {log_in(plain)}"}
    pet = {"name": "Bo", "species": "CAT", "ageMonths": 3, "price": "75.00"}
    answer = ask("POST", f"{plain.url}/v1/pets", headers=headers, json=pet)
    assert answer.status_code == 403
    challenge = challenge_of(answer)
    assert (challenge["error"], challenge["scope"]) == ("insufficient_scope", "write:pets")
    # What no scope would allow has no challenge.
    other = ask("GET", f"{plain.url}/v1/pets", headers={**headers, "X-Tenant-ID": str(uuid.uuid4())})
    assert (other.status_code, "www-authenticate" in other.headers) == (403, False)
