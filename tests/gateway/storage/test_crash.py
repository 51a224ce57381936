"""A process that dies loses nothing that it acknowledged."""

import asyncio
import signal
import sys

import pytest

from core.models.pets import Pet
from core.ports.records import Query
from gateway.storage.migration import migrate
from gateway.storage.opening import open_storage
from tests.gateway.storage.records import a_tenant
from tests.waiting import TIMEOUT_SECONDS


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("commits", [1, 17, 60])
async def test_every_acknowledged_write_and_its_event_outlive_a_kill(database: str, commits: int) -> None:
    await migrate(database)
    tenant = a_tenant()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.gateway.storage.crashing_writer",
        database,
        tenant,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    acknowledged: list[str] = []
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while len(acknowledged) < commits:
            acknowledged += (await process.stdout.readline()).decode().split()
        process.send_signal(signal.SIGKILL)
        acknowledged += (await process.stdout.read()).decode().split()
        await process.wait()

    storage = open_storage(database)
    async with storage.write(tenant) as tx:
        # The dead writer's locks are gone; nothing follows what it left.
        head = await tx.hold_log()
        pets = await tx.find(Query(Pet, order="number"))
        assert await tx.next_number("pets") == head + 1
    page = await storage.read_log(tenant, 0, head + 10)
    await storage.close()
    kept = [str(pet.number) for pet in pets]
    assert set(acknowledged) <= set(kept)
    assert kept == [str(number) for number in range(1, head + 1)]
    assert [event.payload["text"] for event in page.events] == kept
    # At most what was under way at the end is there without its acknowledgement.
    assert len(kept) - len(acknowledged) <= 4
