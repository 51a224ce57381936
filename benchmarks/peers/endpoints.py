"""The endpoints of webhooks: each an address of its own (127.0.1.1, 127.0.1.2, …), the first of them dead.

It says "ready", then "all 0 <clock>" when each live endpoint has every event, and what it counted when standard input
ends.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import defaultdict
from typing import cast

import uvloop

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_DEAD = "127.0.1.1"


def address(number: int) -> str:
    """The address of an endpoint, counted from 0."""
    return f"127.0.1.{number + 1}"


class Endpoints:
    """What each endpoint got."""

    def __init__(self, live: int, events: int) -> None:
        self.done = asyncio.Event()
        self.seen: defaultdict[str, set[bytes]] = defaultdict(set)
        self.repeated = 0
        self.first = self.last = 0
        self._missing = live * events

    def take(self, endpoint: str, event: bytes) -> None:
        """Count a delivery."""
        self.last = time.monotonic_ns()
        self.first = self.first or self.last
        seen = self.seen[endpoint]
        if event in seen:
            self.repeated += 1
            return
        seen.add(event)
        self._missing -= 1
        if not self._missing:
            self.done.set()

    def result(self) -> dict[str, float]:
        """What was counted: seconds are those between the first and the last delivery."""
        return {
            "deliveries": sum(map(len, self.seen.values())),
            "lost": self._missing,
            "repeated": self.repeated,
            "seconds": (self.last - self.first) / 1e9,
            "cpu": time.process_time(),
        }


class _Endpoint(asyncio.Protocol):
    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._address = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        if self._address == _DEAD:
            return
        self._got += data
        while (end := self._got.find(b"\r\n\r\n")) >= 0:
            head = self._got[:end].lower()
            fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
            whole = end + 4 + int(fields[b"content-length"])
            if len(self._got) < whole:
                return
            self._got = self._got[whole:]
            self._endpoints.take(self._address, fields[b"webhook-id"])
            self._transport.write(_ANSWER)


async def main() -> None:
    """Count until standard input ends."""
    parser = argparse.ArgumentParser()
    for name in ("port", "endpoints", "events"):
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()
    loop = asyncio.get_running_loop()
    endpoints = Endpoints(arguments.endpoints - 1, arguments.events)
    server = await loop.create_server(lambda: _Endpoint(endpoints), "0.0.0.0", arguments.port, backlog=1024)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    told = asyncio.create_task(endpoints.done.wait())
    ended = asyncio.create_task(lines.read())
    await asyncio.wait((told, ended), return_when=asyncio.FIRST_COMPLETED)
    if told.done():
        print("all", 0, endpoints.last, flush=True)
    await ended
    print(json.dumps(endpoints.result()), flush=True)
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
