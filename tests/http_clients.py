"""HTTP clients that cost little to make, and wait for as long as a busy machine needs."""

import ssl
from typing import Any

import httpx

from tests.waiting import TIMEOUT_SECONDS

#: Made once: reading the certificates takes fifty times as long as a call.
TLS = ssl.create_default_context()


def http_client(**options: Any) -> httpx.AsyncClient:
    """A client; ``options`` are those of httpx."""
    return httpx.AsyncClient(**{"verify": TLS, "timeout": TIMEOUT_SECONDS, **options})


def ask(method: str, url: str, **options: Any) -> httpx.Response:
    """One request outside an event loop; ``options`` are those of httpx."""
    return httpx.request(method, url, **{"verify": TLS, "timeout": TIMEOUT_SECONDS, **options})
