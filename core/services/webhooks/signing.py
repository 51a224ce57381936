"""Signatures, by which endpoints know that a delivery is the store's and new.

Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

_PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret() -> str:
    """A secret that nobody can guess, as clients get it."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def is_secret(text: str) -> bool:
    """Whether a text can sign."""
    try:
        return text.startswith(_PREFIX) and bool(base64.b64decode(text.removeprefix(_PREFIX), validate=True))
    except ValueError:
        return False


def signed_headers(message_id: str, body: bytes, now: datetime, keys: Sequence[str]) -> dict[str, str]:
    """The headers of an attempt at ``now``. Each secret signs; ``X-Webhook-Signature`` holds one, the first's.

    The key of a standard signature is what the secret's base64 holds; that of ``X-Webhook-Signature`` is the secret as
    text, prefix included.
    """
    timestamp = str(int(now.timestamp()))
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    standard = (
        base64.b64encode(_digest(base64.b64decode(key.removeprefix(_PREFIX)), content)).decode()
        for key in keys
    )
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in standard),
        "x-webhook-signature": f"sha256={_digest(keys[0].encode(), body).hex()}",
        "content-type": "application/json",
    }


def _digest(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()
