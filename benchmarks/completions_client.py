"""The client of the benchmark of completions, for every server: streams in a closed loop, counted.

`<port> <streams> <seconds> <warm-up> <token>` prints what it counted as a line of JSON. Each connection asks again as
soon as it has an answer to its end. A chunk counts when the whole of it is there.
"""

import asyncio
import json
import resource
import sys
import time
from functools import partial
from typing import cast

import uvloop

from benchmarks.completions import QUESTION

#: What ends a block of the stream, and the response (RFC 9112, section 7.1).
_BLOCK, _END = b"}\n\n", b"0\r\n\r\n"
_DONE = b"data: [DONE]"
#: From so many addresses of the loopback network.
_ADDRESSES = 10


def request(token: str) -> bytes:
    """The request for a streamed answer."""
    body = json.dumps({"stream": True, "messages": [{"role": "user", "content": QUESTION}]}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"authorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Counts:
    """What all connections have counted since the warm-up; ``sizes``: chunks of an answer."""

    def __init__(self, begin: float, end: float) -> None:
        self.begin = begin
        self.end = end
        self.chunks = 0
        self.all = 0
        self.wrong = 0
        self.sizes: set[int] = set()
        self.firsts: list[float] = []


class Asker(asyncio.Protocol):
    """One connection."""

    def __init__(self, asked: bytes, counts: Counts, over: asyncio.Future[None]) -> None:
        self._asked = asked
        self._counts = counts
        self._over = over
        self._tail = b""
        self._seen = 0
        self._sent = 0.0
        self._first = True
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; uvloop's transports are not asyncio's own."""
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def _ask(self) -> None:
        self._tail, self._seen, self._first, self._ended = b"", 0, True, False
        self._sent = time.monotonic()
        self._transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        """Count the blocks; what is cut in two is seen in the next part."""
        counts, now = self._counts, time.monotonic()
        text = self._tail + data
        found = text.count(_BLOCK) - self._tail.count(_BLOCK)
        self._seen += found
        counts.all += found
        if now >= counts.begin and now < counts.end:
            counts.chunks += found
        # The first block says who speaks, the second has the first word.
        if self._first and self._seen >= 2:
            self._first = False
            if self._sent >= counts.begin:
                counts.firsts.append(now - self._sent)
        self._tail = text[-64:]
        if text.endswith(_END):
            counts.wrong += _DONE not in text
            counts.sizes.add(self._seen)
            self._ended = True
            if now < counts.end:
                self._ask()
            else:
                self._over.set_result(None)
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        if not self._ended:
            self._counts.wrong += 1
            self._over.set_result(None)


async def main(port: int, streams: int, seconds: float, warmup: float, token: str) -> None:
    """Ask, and print what was counted."""
    loop = asyncio.get_running_loop()
    begin = time.monotonic() + warmup
    counts = Counts(begin, begin + seconds)
    asked, overs = request(token), [loop.create_future() for _ in range(streams)]
    used = _used()
    for number, over in enumerate(overs):
        # A network address may have so much waiting and no more, as in earnest: they come from several.
        local = (f"127.0.0.{1 + number % _ADDRESSES}", 0)
        await loop.create_connection(partial(Asker, asked, counts, over), "127.0.0.1", port, local_addr=local)
    await asyncio.wait(overs)
    firsts = sorted(counts.firsts)
    counted = {
        "rate": counts.chunks / seconds,
        "all": counts.all,
        "chunks": max(counts.sizes, default=0),
        "errors": counts.wrong + (len(counts.sizes) != 1),
        "first_p50_us": firsts[len(firsts) // 2] * 1e6 if firsts else 0.0,
        "first_p99_us": firsts[len(firsts) * 99 // 100] * 1e6 if firsts else 0.0,
        "cpu": (_used() - used) / (time.monotonic() - begin + warmup),
    }
    print(json.dumps(counted))


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    words = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(words[0]), int(words[1]), float(words[2]), float(words[3]), words[4]))
