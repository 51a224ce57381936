"""Sealed text: what a client is handed and brings back, which only this store can have made."""

import base64
import hmac

from core.store.parts import StoreParts

_MAC_BYTES = 24


def seal(store: StoreParts, purpose: str, body: bytes) -> str:
    """The body and a keyed hash of it, as text for URLs. What is sealed for one purpose is none for another."""
    return base64.urlsafe_b64encode(body + _mac(store, purpose, body)).decode()


def unseal(store: StoreParts, purpose: str, text: str) -> bytes | None:
    """The body of a text that was sealed for a purpose; None when it was not."""
    try:
        raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except ValueError:
        return None
    body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    return body if hmac.compare_digest(mac, _mac(store, purpose, body)) else None


def _mac(store: StoreParts, purpose: str, body: bytes) -> bytes:
    return store.signer.digest(f"{purpose}\0".encode() + body)[:_MAC_BYTES]
