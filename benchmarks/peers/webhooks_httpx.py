"""The peer: a plain httpx loop that posts events to endpoints, signed as the gateway signs, from memory.

Each endpoint has a loop and a client of its own, so that a dead one delays no other, and since one client for a hundred
hosts looks at all its connections for each request. It keeps no history and repeats nothing.
"""

import asyncio
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import uvloop

from benchmarks.control import listen, obey
from benchmarks.peers.endpoints import address
from core.kernel.ids import new_id
from core.services.webhooks.signing import new_secret, signed_headers

#: So long that it gives nothing up that is only late.
_TIMEOUT_SECONDS = 60.0


async def main(port: int, endpoints: int, body: bytes) -> None:
    """Post when told to."""
    tls = httpx.create_ssl_context()
    running: set[asyncio.Task[None]] = set()

    async def post(url: str, events: list[str]) -> None:
        secret = new_secret()
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, verify=tls) as client:
            for event in events:
                headers = signed_headers(event, body, datetime.now(UTC), [secret])
                with suppress(httpx.TimeoutException):
                    (await client.post(url, content=body, headers=headers)).raise_for_status()

    async def feed(count: float) -> int:
        """So many events to each endpoint; the dead one is left to itself."""
        for task in running:
            task.cancel()
        running.clear()
        events = [new_id() for _ in range(int(count))]
        urls = [f"http://{address(number)}:{port}/hook" for number in range(endpoints)]
        running.update(asyncio.create_task(post(url, events)) for url in urls)
        return len(events)

    await obey(listen(), feed)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]).read_bytes()))
