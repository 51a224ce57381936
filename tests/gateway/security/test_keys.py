"""Tokens signed by keys: the algorithm is the key's, all verify, and a new one signs once everybody can know it."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.security.keys import PUBLISHED_BEFORE_SIGNING, load_keys, thumbprint
from gateway.security.tokens import HmacSigner, KeySigner
from gateway.startup_errors import BadSettings
from tests.gateway.security.pem import ALGORITHMS, pem_of, write_key
from tests.gateway.security.test_tokens import CLAIMS, SECRET, part, signed

NOW = datetime(2026, 1, 31, 8, 15, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=30)


def signer_of(path: Path, now: datetime = NOW) -> KeySigner:
    return KeySigner(SECRET, load_keys(path, make=False), now)


@pytest.fixture(params=ALGORITHMS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write_key(tmp_path / "key.pem", request.param, since=LONG_AGO)
    return tmp_path / "key.pem"


def test_a_token_gives_its_claims_back(path: Path) -> None:
    signer = signer_of(path)
    assert signer.verify(signer.sign(CLAIMS), NOW) == CLAIMS
    assert signer.verify(signer.sign(CLAIMS), NOW + timedelta(hours=1)) is None


def test_anybody_checks_a_token_with_the_key_set_alone(path: Path) -> None:
    signer = signer_of(path)
    token = signer.sign(CLAIMS)
    header = jwt.get_unverified_header(token)
    key = jwt.PyJWKSet.from_json(signer.key_set.decode())[header["kid"]]
    assert header["typ"] == "at+jwt"
    assert header["alg"] == key.algorithm_name
    read = jwt.decode(token, key, algorithms=[key.algorithm_name], options={"verify_exp": False})
    assert read == CLAIMS


def test_the_key_set_holds_no_private_part(path: Path) -> None:
    (jwk,) = json.loads(signer_of(path).key_set)["keys"]
    assert not jwk.keys() & {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
    assert jwk["use"] == "sig"
    assert json.loads(HmacSigner(SECRET).key_set) == {"keys": []}


def test_the_name_of_a_key_is_its_thumbprint() -> None:
    n = (  # RFC 7638, section 3.1
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o"
        "knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHz"
        "u6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8"
        "awapJzKnqDKgw"
    )
    assert thumbprint({"kty": "RSA", "n": n, "e": "AQAB"}) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("algorithm", ["none", "None", "", "HS256", "RS512", "PS256", None, 1])
def test_the_algorithm_is_never_the_tokens(path: Path, algorithm: object) -> None:
    signer = signer_of(path)
    header = {**jwt.get_unverified_header(signer.sign(CLAIMS)), "alg": algorithm}
    _, claims, signature = signer.sign(CLAIMS).split(".")
    for text in (f"{part(header)}.{claims}.", f"{part(header)}.{claims}.{signature}", signed(header, CLAIMS)):
        assert signer.verify(text, NOW) is None


def test_a_public_key_is_no_secret(path: Path) -> None:
    signer = signer_of(path)
    (key,) = load_keys(path, make=False)
    public = key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for secret in (public, public.strip(), json.dumps(key.jwk), key.jwk.get("x", key.jwk.get("n", ""))):
        forged = signed({"alg": "HS256", "typ": "at+jwt", "kid": key.kid}, CLAIMS, secret)
        assert signer.verify(forged, NOW) is None


@pytest.mark.parametrize(
    "kid",
    ["", "other", "../../etc/passwd", "/dev/null", "key.pem", "' OR 1=1 --", "http://attacker.example/jwks", None, 0,
     [], {}, "x" * 5000, "\0"],
)  # fmt: skip
def test_a_key_that_is_not_ours_is_not_looked_for_elsewhere(path: Path, kid: object) -> None:
    signer = signer_of(path)
    head, claims, signature = signer.sign(CLAIMS).split(".")
    header = {**jwt.get_unverified_header(f"{head}.{claims}.{signature}"), "kid": kid}
    more = {"jku": "http://127.0.0.1:9/jwks", "x5u": "http://127.0.0.1:9/x", "jwk": {"kty": "oct", "k": "AA"}}
    assert signer.verify(f"{part(header)}.{claims}.{signature}", NOW) is None
    assert signer.verify(f"{part({**header, **more})}.{claims}.{signature}", NOW) is None


def test_another_token_that_the_key_signed_is_no_access_token(path: Path) -> None:
    (key,) = load_keys(path, make=False)
    for kind in ("JWT", None, "logout+jwt"):
        token = jwt.encode(CLAIMS, key.private, key.algorithm, headers={"kid": key.kid, "typ": kind})
        assert signer_of(path).verify(token, NOW) is None


def test_tokens_of_the_secret_do_not_count_beside_keys(path: Path) -> None:
    assert signer_of(path).verify(HmacSigner(SECRET).sign(CLAIMS), NOW) is None
    assert HmacSigner(SECRET).verify(signer_of(path).sign(CLAIMS), NOW) is None


def test_digests_stay_with_the_secret(path: Path) -> None:
    assert signer_of(path).digest(b"cursor") == HmacSigner(SECRET).digest(b"cursor")


# --- rotation ---


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def test_a_new_key_verifies_at_once_and_signs_when_everybody_can_know_it(tmp_path: Path) -> None:
    write_key(tmp_path / "2025-12-01.pem", "RS256", since=LONG_AGO)
    one, other = signer_of(tmp_path), signer_of(tmp_path)
    before = one.sign(CLAIMS)
    write_key(tmp_path / "2026-01-31.pem", "EdDSA", since=NOW)
    keys = load_keys(tmp_path, make=False)
    one.use(keys, NOW + timedelta(seconds=1))
    assert kid_of(one.sign(CLAIMS)) == kid_of(before)
    assert other.verify(one.sign(CLAIMS), NOW)
    # All nodes have read the folder by then, this one too.
    other.use(keys, NOW + timedelta(seconds=5))
    one.use(keys, NOW + PUBLISHED_BEFORE_SIGNING)
    after = one.sign(CLAIMS)
    assert kid_of(after) == keys[1].kid
    for node in (one, other):
        assert node.verify(before, NOW)
        assert node.verify(after, NOW)
    (tmp_path / "2025-12-01.pem").unlink()
    other.use(load_keys(tmp_path, make=False), NOW + PUBLISHED_BEFORE_SIGNING)
    assert other.verify(before, NOW) is None
    assert other.verify(after, NOW)


def test_where_all_keys_are_new_the_oldest_signs_at_first(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_key(tmp_path / f"{name}.pem", since=NOW)
    first, last = load_keys(tmp_path, make=False)
    assert kid_of(signer_of(tmp_path).sign(CLAIMS)) == first.kid
    assert kid_of(signer_of(tmp_path, NOW + PUBLISHED_BEFORE_SIGNING).sign(CLAIMS)) == last.kid


# --- files ---


def test_a_folder_gets_its_first_key_where_that_may_be_made(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "keys"
    (made,) = load_keys(folder, make=True)
    assert [key.kid for key in load_keys(folder, make=True)] == [made.kid]
    assert made.algorithm == "ES256"
    assert {oct(file.stat().st_mode & 0o777) for file in folder.iterdir()} == {"0o600"}


def test_what_cannot_be_used_is_told_in_one_line(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    small = rsa.generate_private_key(65537, 1024)
    curve = ec.generate_private_key(ec.SECP384R1())
    for content, complaint in (
        (b"", "no private key"), (b"-----BEGIN PRIVATE KEY-----\n", "no private key"), (public, "no private key"),
        (pem_of(key, b"password"), "encrypted"), (pem_of(small), "1024 bits"), (pem_of(curve), "secp384r1"),
    ):  # fmt: skip
        (tmp_path / "key.pem").write_bytes(content)
        for place in (tmp_path, tmp_path / "key.pem"):
            with pytest.raises(BadSettings, match=complaint) as caught:
                load_keys(place, make=True)
            assert str(caught.value).startswith("PETSTORE_JWT_KEYS")
            assert "\n" not in str(caught.value)


def test_keys_that_are_not_there_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="no key"):
        load_keys(tmp_path, make=False)
    for missing in ("absent", "absent.pem"):
        with pytest.raises(BadSettings, match="No such file"):
            load_keys(tmp_path / missing, make=False)
    for number in range(21):
        os.link(_key(tmp_path), tmp_path / f"{number}.pem")
    with pytest.raises(BadSettings, match="more than 20"):
        load_keys(tmp_path, make=False)


def _key(folder: Path) -> Path:
    path = folder / "key"
    if not path.exists():
        write_key(folder / "made.pem")
        (folder / "made.pem").rename(path)
    return path
