"""A process that commits until it is killed: ``python -m tests.gateway.storage.crashing_writer URL TENANT``.

Writes a line with the number of each pet whose insertion, with its event, was acknowledged.
"""

import asyncio
import os
import sys

from core.kernel.ids import TenantId
from gateway.storage.opening import open_storage
from tests.gateway.storage.records import a_pet, an_event


async def main(url: str, tenant: TenantId) -> None:
    storage = open_storage(url)
    epoch = await storage.epoch()

    async def write() -> None:
        while True:
            async with storage.write(tenant) as tx:
                number = await tx.next_number("pets")
                await tx.insert(a_pet(tenant, number, id=f"p{number}"))
                await tx.append([an_event(tenant, str(number)).at(epoch, await tx.hold_log() + 1)])
            os.write(1, f"{number}\n".encode())

    await asyncio.gather(*(write() for _ in range(4)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], TenantId(sys.argv[2])))
