"""Tokens of another issuer: its keys, its name, this audience, in time; whatever its server does."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.kernel.errors import Unavailable
from core.kernel.ids import SHARED_TENANT
from gateway.security import remote_keys
from gateway.security.issuers import Issuers
from gateway.security.remote_keys import FetchFailed, issuer_client
from gateway.security.trusted_issuer import TrustedIssuer, read_issuers
from tests.gateway.security.issuer_server import AUDIENCE, IssuerServer
from tests.gateway.security.pem import ALGORITHMS, new_key
from tests.gateway.security.test_tokens import part, signed
from tests.http_clients import ask
from tests.process import Gateway, petstore
from tests.waiting import wait_until

BAD_MODES = ("garbage", "other", "deep", "huge", "error", "redirect")


@pytest.fixture
def server() -> Iterator[IssuerServer]:
    with IssuerServer() as running:
        yield running


def trusted(server: IssuerServer, **more: Any) -> TrustedIssuer:
    return TrustedIssuer.model_validate({"issuer": server.url, "audience": AUDIENCE, **more})


@pytest.fixture
async def issuers(server: IssuerServer) -> AsyncIterator[Issuers]:
    async with issuer_client() as client:
        yield Issuers([trusted(server)], client)


async def good(issuers: Issuers, token: str) -> bool:
    return await issuers.verify(token, datetime.now(UTC)) is not None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_good_token_says_who_it_is(server: IssuerServer, issuers: Issuers, algorithm: str) -> None:
    server.keys["k1"] = new_key(algorithm)
    token = server.token(given_name="Maria", aud=["other", AUDIENCE])
    found = await issuers.verify(token, datetime.now(UTC))
    assert found is not None
    assert (found.tenant, found.issuer, found.subject) == (SHARED_TENANT, server.url, "7f3a")
    assert found.scopes == frozenset({"read:user", "read:orders"})
    assert found.profile["given_name"] == "Maria"
    assert found.expires_at - found.issued_at == timedelta(hours=1)


@pytest.mark.parametrize(
    "odd",
    [{"aud": "other"}, {"aud": ["other"]}, {"aud": None}, {"aud": f"{AUDIENCE}2"}, {"aud": []}, {"iss": None},
     {"iss": "https://other.example"}, {"sub": None}, {"sub": ""}, {"sub": "x" * 256}, {"exp": 1}, {"exp": None},
     {"iat": None}, {"iat": 9_999_999_999}, {"nbf": 9_999_999_999}, {"exp": 10**30}, {"iat": -(10**30)},
     {"scope": ["read:user"]}, {"typ": "logout+jwt"}, {"typ": "secevent+jwt"},
     {"typ": None}, {"typ": ""}, {"typ": 7}],
)  # fmt: skip
async def test_a_token_that_is_not_for_us_or_not_for_now_is_refused(
    server: IssuerServer, issuers: Issuers, odd: dict[str, Any]
) -> None:
    assert await good(issuers, server.token())
    assert not await good(issuers, server.token(**odd))


async def test_the_algorithm_is_the_keys(server: IssuerServer, issuers: Issuers) -> None:
    head, claims, signature = server.token().split(".")
    header = jwt.get_unverified_header(f"{head}.{claims}.{signature}")
    payload = jwt.decode(server.token(), options={"verify_signature": False})
    public = (
        server.keys["k1"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    )
    for algorithm in ("none", "HS256", "RS256", "ES512"):
        forged = {**header, "alg": algorithm}
        for text in (
            f"{part(forged)}.{claims}.", f"{part(forged)}.{claims}.{signature}", signed(forged, payload, public),
            signed(forged, payload, json.dumps(server.key_set())),
        ):  # fmt: skip
            assert not await good(issuers, text)


async def test_each_issuer_has_its_own_keys(server: IssuerServer) -> None:
    with IssuerServer() as other:
        other.keys = {"k2": new_key("ES256")}
        async with issuer_client() as client:
            both = Issuers([trusted(server), trusted(other)], client)
            assert await good(both, server.token())
            assert await good(both, other.token("k2"))
            # Its own key, in the other one's name; and a name that the other one's key has.
            assert not await good(both, other.token("k2", iss=server.url))
            assert not await good(both, other.token("k1", key=other.keys["k2"], iss=server.url))
            assert not await good(both, server.token("k2", key=server.keys["k1"]))


async def test_a_token_without_a_name_of_a_key_needs_an_issuer_with_one_key(
    server: IssuerServer, issuers: Issuers
) -> None:
    assert await good(issuers, server.token(None, key=server.keys["k1"]))
    server.keys["k2"] = new_key("RS256")
    await issuers.keys[server.url].refresh()
    assert not await good(issuers, server.token(None, key=server.keys["k1"]))
    assert await good(issuers, server.token("k2"))


async def test_an_unknown_key_has_the_keys_fetched_once_in_a_while(
    server: IssuerServer, issuers: Issuers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await good(issuers, server.token())
    server.keys["k2"] = new_key("EdDSA")
    for _ in range(20):
        assert not await good(issuers, server.token("k2"))
    assert server.asked["/jwks"] == 1
    monkeypatch.setattr(remote_keys, "_ASK_AGAIN_SECONDS", 0)
    # All who come at once wait for one.
    assert all(await asyncio.gather(*(good(issuers, server.token("k2")) for _ in range(20))))
    assert server.asked["/jwks"] == 2


@pytest.mark.parametrize("mode", BAD_MODES)
async def test_a_server_that_answers_badly_leaves_the_keys_as_they_were(
    server: IssuerServer, issuers: Issuers, mode: str
) -> None:
    keys = issuers.keys[server.url]
    server.mode = mode
    with pytest.raises(FetchFailed) as caught:
        await keys.refresh()
    assert "\n" not in str(caught.value)
    with pytest.raises(Unavailable):
        await good(issuers, server.token())
    server.mode = "good"
    await keys.refresh()
    assert await good(issuers, server.token())
    server.mode = mode
    with pytest.raises(FetchFailed):
        await keys.refresh()
    assert await good(issuers, server.token())


async def test_a_server_that_stalls_holds_up_nobody_for_long(
    server: IssuerServer, issuers: Issuers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_keys, "_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(remote_keys, "_FETCH_SECONDS", 0.2)
    assert await good(issuers, server.token())
    server.mode = "stall"
    monkeypatch.setattr(remote_keys, "_ASK_AGAIN_SECONDS", 0)
    assert not await good(issuers, server.token("k2", key=server.keys["k1"]))
    assert await good(issuers, server.token())
    with pytest.raises(FetchFailed, match="took longer"):
        await issuers.keys[server.url].refresh()
    server.mode = "good"
    await issuers.keys[server.url].refresh()


async def test_an_issuer_goes_away_and_comes_back(server: IssuerServer, issuers: Issuers) -> None:
    assert await good(issuers, server.token())
    server.stop()
    with pytest.raises(FetchFailed):
        await issuers.keys[server.url].refresh()
    assert await good(issuers, server.token())
    server.keys = {"k9": new_key("ES256")}
    server.start()
    await issuers.keys[server.url].refresh()
    assert await good(issuers, server.token("k9"))
    server.keys = {}
    await issuers.keys[server.url].refresh()
    assert not issuers.keys[server.url].names


@pytest.mark.parametrize(
    "metadata",
    [{"issuer": "https://other.example"}, {"issuer": None}, {"jwks_uri": None}, {"jwks_uri": "http://a.example/jwks"},
     {"jwks_uri": "file:///etc/passwd"}, {"jwks_uri": 5}],
)  # fmt: skip
async def test_metadata_of_somebody_else_are_not_believed(
    server: IssuerServer, issuers: Issuers, metadata: dict[str, object]
) -> None:
    server.metadata = metadata
    with pytest.raises(FetchFailed):
        await issuers.keys[server.url].refresh()


async def test_keys_that_cannot_sign_tokens_are_passed_over(server: IssuerServer) -> None:
    small = rsa.generate_private_key(65537, 1024)
    curve = ec.generate_private_key(ec.SECP384R1())
    shown = server.key_set()["keys"][0]
    others: list[Any] = [
        {"kty": "oct", "kid": "k1", "k": "c2VjcmV0"}, {**shown, "use": "enc"}, {**shown, "alg": "ES512"}, 5, None, {},
        {"kty": "RSA", "kid": "k1", "n": "!", "e": "AQAB"},
        {"kid": "k1", **jwt.algorithms.RSAAlgorithm.to_jwk(small.public_key(), as_dict=True)},
        {"kid": "k1", **jwt.algorithms.ECAlgorithm.to_jwk(curve.public_key(), as_dict=True)},
    ]  # fmt: skip
    document = {"keys": others}
    server.key_set = lambda: document  # type: ignore[method-assign]
    async with issuer_client() as client:
        issuers = Issuers([trusted(server, jwksUrl=f"{server.url}/jwks")], client)
        assert not await good(issuers, server.token())
        others.append({**shown, "use": "sig", "alg": "ES256"})
        await issuers.keys[server.url].refresh()
        assert await good(issuers, server.token())
        assert server.asked == {"/jwks": 2}
        others += [shown] * 100
        with pytest.raises(FetchFailed, match="more than 100"):
            await issuers.keys[server.url].refresh()


# --- the setting ---


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "no JSON"), ("5", "valid dictionary"), ('"x"', "valid dictionary"),
        ('[{"issuer": "https://a.example"}]', "audience: "),
        ('[{"issuer": "http://a.example", "audience": "a"}]', "issuer: is no https:// address"),
        ('[{"issuer": "https://a.example", "audience": "a", "jwksUrl": "http://a.example/k"}]', "jwksUrl: is no https"),
        ('[{"issuer": "https://a.example", "audience": "a", "tenant": "x"}]', "tenant: is no UUID"),
        ('[{"issuer": "https://a.example", "audience": "a", "secret": "x"}]', "secret: "),
        (json.dumps([{"issuer": "https://a.example", "audience": audience} for audience in "ab"]), "twice"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_told_in_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_issuers(text)
    done = petstore("serve", "--port", "0", cwd=tmp_path, issuers=text)
    [line] = done.stderr.splitlines()
    assert line.startswith("petstore: PETSTORE_ISSUERS")
    assert complaint in line


# --- a whole node ---


def test_users_of_another_issuer_use_the_store(tmp_path: Path) -> None:
    with IssuerServer() as server:
        issuers = json.dumps([{"issuer": server.url, "audience": AUDIENCE}])
        assert "keys: k1" in petstore("doctor", cwd=tmp_path, issuers=issuers, port="0").stdout
        with Gateway(tmp_path, "--demo", issuers=issuers) as gateway:

            def me(token: str) -> Any:
                return ask("GET", f"{gateway.url}/v1/users/me", headers={"Authorization": f"Bearer {token}"})

            maria = me(server.token(preferred_username="maria.lopez"))
            assert (maria.status_code, maria.json()["username"]) == (200, "maria.lopez")
            assert me(server.token(aud="other")).status_code == 401
            assert me(server.token(scope="")).status_code == 403
            metadata = ask("GET", f"{gateway.url}/.well-known/oauth-protected-resource").json()
            assert metadata["authorization_servers"] == [gateway.url, server.url]
            server.stop()
            gateway.restart()
            away = me(server.token())
            assert (away.status_code, "retry-after" in away.headers) == (503, True)
            login = {"username": "demo", "password": "demo-password"}
            assert ask("POST", f"{gateway.url}/v1/auth/tokens", json=login).status_code == 200
            server.start()
            wait_until(lambda: me(server.token()).status_code == 200)
            assert me(server.token()).json()["id"] == maria.json()["id"]
