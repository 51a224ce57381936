"""Several workers behind one port."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.clients import over_sse
from tests.cluster.conftest import SECRET, log_in
from tests.http_clients import http_client
from tests.process import Gateway
from tests.servers import RedisServer
from tests.waiting import eventually, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def gateway(tmp_path: Path, postgres_url: str, redis_server: RedisServer) -> Iterator[Gateway]:
    settings = {"database_url": postgres_url, "redis_url": redis_server.url, "jwt_secret": SECRET}
    with Gateway(tmp_path, "--demo", "--workers", "2", **settings) as running:
        yield running


def workers_of(gateway: Gateway) -> set[int]:
    """The process ids of the workers: those children that are no helper of the multiprocessing module."""
    parent = gateway.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return {
        int(child)
        for child in children
        if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes()
    }


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1].startswith("Z")
    except OSError:
        return True


async def test_a_worker_that_dies_is_replaced_and_no_event_is_lost(gateway: Gateway) -> None:
    token = log_in(gateway.url)
    before = workers_of(gateway)
    assert len(before) == 2
    async with http_client(headers={"Authorization": f"Bearer {token}"}) as client:
        pet = {"name": "Rex", "species": "DOG", "ageMonths": 1, "price": "1.00"}
        async with over_sse(gateway.url, "pets/+", token=token) as heard:
            begin = heard.cursor
            assert (await client.post(f"{gateway.url}/v1/pets", json=pet)).status_code == 201
            await heard.has("pet.created", name="Rex")
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        await eventually(lambda: len(workers_of(gateway)) == 2 and victim not in workers_of(gateway))
        async with over_sse(gateway.url, "pets/+", token=token, cursor=begin) as again:
            await again.has("pet.created", name="Rex")


def test_a_signal_to_the_parent_drains_all_workers(gateway: Gateway) -> None:
    workers = workers_of(gateway)
    gateway.send(signal.SIGTERM)
    assert gateway.wait() == 0
    assert all(gone(worker) for worker in workers)


def test_no_worker_outlives_its_parent(gateway: Gateway) -> None:
    workers = workers_of(gateway)
    gateway.kill()
    wait_until(lambda: all(gone(worker) for worker in workers))
