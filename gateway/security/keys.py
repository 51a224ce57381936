"""Keys that sign access tokens, from PEM files: all of them verify, one of them signs.

A key's algorithm follows from what it is (RFC 8725, section 3.1): RSA signs by RS256, P-256 by ES256 (RFC 7518),
Ed25519 by EdDSA (RFC 8037). Its name is its thumbprint (RFC 7638), so that every node calls it the same.
"""

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.startup_errors import BadSettings

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey
PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

_SETTING = "PETSTORE_JWT_KEYS"
MIN_RSA_BITS = 2048
#: Keys in a folder, so that no key set grows without end.
_MAX_KEYS = 20
#: How long a key is published before it signs: longer than anybody keeps a copy of the key set (`KEY_SET_SECONDS`).
PUBLISHED_BEFORE_SIGNING = timedelta(minutes=10)
#: How long clients may keep a copy of the key set.
KEY_SET_SECONDS = 300


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A pair of keys. ``since``: when its file was written. ``jwk`` is the public one (RFC 7517)."""

    kid: str
    algorithm: str
    private: PrivateKey
    public: PublicKey
    jwk: dict[str, str]
    since: datetime


def algorithm_of(key: object) -> str:
    """What signs with a key, private or public.

    Raises:
        ValueError: nothing does; the text says why.
    """
    if isinstance(key, RSAPrivateKey | RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise ValueError(f"an RSA key of {key.key_size} bits, and {MIN_RSA_BITS} are the least")
        return "RS256"
    if isinstance(key, EllipticCurvePrivateKey | EllipticCurvePublicKey):
        if not isinstance(key.curve, SECP256R1):
            raise ValueError(f"a key on the curve {key.curve.name}, and ES256 needs P-256")
        return "ES256"
    if isinstance(key, Ed25519PrivateKey | Ed25519PublicKey):
        return "EdDSA"
    raise ValueError("is neither an RSA, a P-256 nor an Ed25519 key")


def load_keys(path: Path, *, make: bool) -> tuple[SigningKey, ...]:
    """The keys of a PEM file, or of all ``*.pem`` in a folder, in the order of their names.

    ``make``: a folder without a key gets one, on P-256.

    Raises:
        BadSettings: there is none, or one cannot be used.
    """
    try:
        if path.suffix != ".pem" and make:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        files = sorted(path.glob("*.pem")) if path.is_dir() else [path]
        if not files and make:
            files = [_make(path)]
        if not files:
            raise BadSettings(f"{_SETTING}: {path} holds no key (*.pem)")
        if len(files) > _MAX_KEYS:
            raise BadSettings(f"{_SETTING}: {path} holds more than {_MAX_KEYS} keys: remove the oldest")
        return tuple(map(_load, files))
    except OSError as error:
        raise BadSettings(f"{_SETTING}: {error.filename or path}: {error.strerror}") from None


def signing_key(keys: Sequence[SigningKey], now: datetime) -> SigningKey:
    """The one that signs: the newest that has been published for long enough, else the oldest.

    Nodes and whoever keeps a copy of the key set need that time to learn of a new key, so nobody meets a signature by a
    key that they cannot know.
    """
    known = [key for key in keys if now - key.since >= PUBLISHED_BEFORE_SIGNING]
    return known[-1] if known else keys[0]


def _load(path: Path) -> SigningKey:
    since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except TypeError:
        raise BadSettings(
            f"{_SETTING}: {path} is encrypted, and nobody is there to type its password"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadSettings(f"{_SETTING}: {path} holds no private key in PEM") from None
    try:
        algorithm = algorithm_of(private)
    except ValueError as error:
        raise BadSettings(f"{_SETTING}: {path}: {error}") from None
    assert isinstance(private, PrivateKey)
    public = private.public_key()
    jwk = public_jwk(public)
    kid = thumbprint(jwk)
    return SigningKey(
        kid, algorithm, private, public, jwk | {"kid": kid, "alg": algorithm, "use": "sig"}, since
    )


def public_jwk(key: PublicKey) -> dict[str, str]:
    """The members of a public key that make it (RFC 7638, section 3.2)."""
    if isinstance(key, RSAPublicKey):
        whole = RSAAlgorithm.to_jwk(key, as_dict=True)
    elif isinstance(key, EllipticCurvePublicKey):
        whole = ECAlgorithm.to_jwk(key, as_dict=True)
    else:
        whole = OKPAlgorithm.to_jwk(key, as_dict=True)
    return {name: str(whole[name]) for name in ("crv", "e", "kty", "n", "x", "y") if name in whole}


def thumbprint(jwk: dict[str, str]) -> str:
    """The name of a key (RFC 7638)."""
    text = json.dumps(jwk, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def _make(folder: Path) -> Path:
    path = folder / "first.pem"
    pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return path
