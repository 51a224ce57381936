"""Private keys in PEM files."""

import os
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from gateway.security.keys import PrivateKey

ALGORITHMS = ("RS256", "ES256", "EdDSA")


def new_key(algorithm: str) -> PrivateKey:
    """A private key for an algorithm."""
    match algorithm:
        case "RS256":
            return rsa.generate_private_key(65537, 2048)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def pem_of(key: PrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    """A key in PEM."""
    encryption: KeySerializationEncryption = NoEncryption()
    if password is not None:
        encryption = BestAvailableEncryption(password)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def write_key(path: Path, algorithm: str = "ES256", *, since: datetime | None = None) -> PrivateKey:
    """Put a new key into a file, written at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    key = new_key(algorithm)
    draft = path.with_suffix(".draft")
    draft.write_bytes(pem_of(key))
    if since is not None:
        os.utime(draft, (since.timestamp(), since.timestamp()))
    draft.rename(path)
    return key
