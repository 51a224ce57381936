"""Tokens count only with our signature, by our algorithm, and in time."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from gateway.security.tokens import HmacSigner

SECRET = "a secret of more than thirty-two bytes"
NOW = datetime(2026, 1, 31, 8, 15, tzinfo=UTC)
CLAIMS = {"sub": "maria", "iat": int(NOW.timestamp()), "exp": int((NOW + timedelta(hours=1)).timestamp())}


@pytest.fixture
def signer() -> HmacSigner:
    return HmacSigner(SECRET)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def signed(header: object, claims: object, key: str = SECRET) -> str:
    text = f"{part(header)}.{part(claims)}"
    mac = hmac.digest(key.encode(), text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def test_a_token_gives_its_claims_back(signer: HmacSigner) -> None:
    assert signer.verify(signer.sign(CLAIMS), NOW) == CLAIMS


def test_a_standard_library_reads_the_token(signer: HmacSigner) -> None:
    options = {"verify_exp": False}
    read = jwt.decode(signer.sign(CLAIMS), SECRET, algorithms=["HS256"], options=options)  # type: ignore[arg-type]
    assert read == CLAIMS


def test_a_token_made_by_hand_with_the_secret_counts(signer: HmacSigner) -> None:
    assert signer.verify(signed({"alg": "HS256", "typ": "JWT"}, CLAIMS), NOW) == CLAIMS


def test_a_token_ends_at_its_expiry(signer: HmacSigner) -> None:
    token = signer.sign(CLAIMS)
    assert signer.verify(token, NOW + timedelta(minutes=59, seconds=59))
    assert signer.verify(token, NOW + timedelta(hours=1)) is None


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_an_unsigned_token_is_refused(signer: HmacSigner, algorithm: str) -> None:
    unsigned = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(CLAIMS)}."
    assert signer.verify(unsigned, NOW) is None
    assert signer.verify(signed({"alg": algorithm}, CLAIMS), NOW) is None


@pytest.mark.parametrize(
    "algorithm", ["HS384", "HS512", "RS256", "ES256", "EdDSA", "HS256 ", "hs256", None, 1, ["HS256"]]
)
def test_no_other_algorithm_is_taken(signer: HmacSigner, algorithm: object) -> None:
    assert signer.verify(signed({"alg": algorithm}, CLAIMS), NOW) is None


@pytest.mark.filterwarnings("ignore:The HMAC key")
def test_another_hash_with_the_right_secret_is_refused(signer: HmacSigner) -> None:
    assert signer.verify(jwt.encode(CLAIMS, SECRET, algorithm="HS512"), NOW) is None


def test_another_secret_is_refused(signer: HmacSigner) -> None:
    assert signer.verify(HmacSigner(SECRET + "!").sign(CLAIMS), NOW) is None


def test_a_changed_claim_breaks_the_signature(signer: HmacSigner) -> None:
    head, _, mac = signer.sign(CLAIMS).split(".")
    assert signer.verify(f"{head}.{part({**CLAIMS, 'sub': 'eve'})}.{mac}", NOW) is None


@pytest.mark.parametrize("missing", ["exp", "iat"])
def test_a_token_without_its_times_is_refused(signer: HmacSigner, missing: str) -> None:
    claims = {name: value for name, value in CLAIMS.items() if name != missing}
    assert signer.verify(signer.sign(claims), NOW) is None


@pytest.mark.parametrize("expiry", ["tomorrow", 1e300, float("inf"), None, [], "99999999999"])
def test_an_odd_expiry_is_refused(signer: HmacSigner, expiry: object) -> None:
    assert signer.verify(signed({"alg": "HS256"}, {**CLAIMS, "exp": expiry}), NOW) is None


@pytest.mark.parametrize(
    "garbage",
    ["", ".", "..", "a.b.c", "\0", "ä.ö.ü", "\ud800", "x" * 9000, "." * 100, f"{'[' * 4000}.e30.e30",
     base64.urlsafe_b64encode(b"[" * 6000).decode() + ".e30.e30", f"{part([])}.{part([])}.x", f"{part(None)}.e30.x"],
)  # fmt: skip
def test_garbage_is_refused(signer: HmacSigner, garbage: str) -> None:
    assert signer.verify(garbage, NOW) is None


def test_a_signed_text_that_is_no_object_is_refused(signer: HmacSigner) -> None:
    assert signer.verify(signed({"alg": "HS256"}, ["exp", "iat"]), NOW) is None


def test_a_short_secret_is_no_secret() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        HmacSigner("short")


def test_a_digest_depends_on_secret_and_data_and_is_no_signature(signer: HmacSigner) -> None:
    assert signer.digest(b"x") == HmacSigner(SECRET).digest(b"x")
    assert signer.digest(b"x") != signer.digest(b"y")
    assert signer.digest(b"x") != HmacSigner(SECRET + "!").digest(b"x")
    head, claims, mac = signer.sign(CLAIMS).split(".")
    forged = base64.urlsafe_b64encode(signer.digest(f"{head}.{claims}".encode())).rstrip(b"=").decode()
    assert forged != mac


def test_the_secret_is_not_shown(signer: HmacSigner) -> None:
    assert SECRET not in repr(signer)
