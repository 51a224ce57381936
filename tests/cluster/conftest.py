"""Two nodes over one PostgreSQL and one Redis."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.http_clients import ask
from tests.process import Gateway
from tests.servers import RedisServer
from tests.waiting import TIMEOUT_SECONDS

SECRET = "a secret that only these two nodes know"


@dataclass(frozen=True)
class Pair:
    """The two nodes."""

    a: Gateway
    b: Gateway


def pair_of(directory: Path, database_url: str, redis_url: str, **more: str) -> Pair:
    """Two nodes that are not started yet; ``more`` are settings of both."""
    settings = {
        "database_url": database_url,
        "redis_url": redis_url,
        "jwt_secret": SECRET,
        "demo": "true",
        "drain_seconds": "10",
        "data_dir": str(directory / "shared"),
        **more,
    }
    return Pair(*(Gateway(directory / name, **settings) for name in ("a", "b")))


def start(pair: Pair) -> None:
    """Start both nodes at once, as a deployment does."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(Gateway.start, (pair.a, pair.b)))


def stop(pair: Pair) -> None:
    """Stop both nodes."""
    for node in (pair.a, pair.b):
        node.stop()


@pytest.fixture
def pair(tmp_path: Path, postgres_url: str, redis_server: RedisServer) -> Iterator[Pair]:
    """Two running nodes of this test alone."""
    nodes = pair_of(tmp_path, postgres_url, redis_server.url)
    try:
        start(nodes)
        yield nodes
    finally:
        stop(nodes)


def log_in(url: str, name: str = "demo-staff") -> str:
    """An access token of one of the demo accounts."""
    answer = ask(
        "POST",
        f"{url}/v1/auth/tokens",
        json={"username": name, "password": f"{name}-password"},
        timeout=TIMEOUT_SECONDS,
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["accessToken"])
