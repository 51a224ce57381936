"""The client of the gRPC benchmarks, for every server: calls in a closed loop, or subscribers who count.

`calls <port> <pet> <connections> <in flight on each> <seconds> <warm-up>` prints what it counted as a line of JSON.
`streams <port> <subscribers> <connections>` prints "ready", and what it counted when everybody has the last message.
"""

import asyncio
import json
import re
import resource
import sys
import time
from typing import Any

import uvloop
from grpc import aio

from protocols.grpc._generated.petstore.v1.events_pb2 import SubscribeRequest
from protocols.grpc._generated.petstore.v1.pets_pb2 import GetPetRequest

_MARK = re.compile(rb"\^(\d{10})([.!])")


def _channels(port: int, count: int) -> list[aio.Channel]:
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 1 << 26))
    return [aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(count)]


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def calls(port: int, pet: str, connections: int, each: int, seconds: float, warmup: float) -> None:
    """GetPet, one call after the other, in several places at once."""
    request = GetPetRequest(id=pet).SerializeToString()
    begin = time.monotonic() + warmup
    end = begin + seconds
    times: list[float] = []
    count = errors = 0
    sizes: set[int] = set()

    async def work(method: Any) -> None:
        nonlocal count, errors
        while (sent := time.monotonic()) < end:
            try:
                sizes.add(len(await method(request)))
            except aio.AioRpcError:
                errors += 1
            count += 1
            if sent >= begin:
                times.append(time.monotonic() - sent)

    channels = _channels(port, connections)
    methods: list[Any] = [channel.unary_unary("/petstore.v1.PetService/GetPet") for channel in channels]
    used = _used()
    await asyncio.gather(*(work(method) for method in methods for _ in range(each)))
    times.sort()
    counted = {
        "rate": len(times) / seconds,
        "all": count,
        "errors": errors + (len(sizes) != 1),
        "p50_us": times[len(times) // 2] * 1e6,
        "p99_us": times[len(times) * 99 // 100] * 1e6,
        "cpu": (_used() - used) / (seconds + warmup),
    }
    for channel in channels:
        await channel.close()
    print(json.dumps(counted))


async def streams(port: int, subscribers: int, connections: int) -> None:
    """Every subscriber must see every number once and in order."""
    channels = _channels(port, connections)
    topics = SubscribeRequest(topics=["inventory/+/stock"]).SerializeToString()
    open_streams: list[Any] = []
    for number in range(subscribers):
        method: Any = channels[number % connections].unary_stream("/petstore.v1.EventService/Subscribe")
        open_streams.append(method(topics))
    for stream in open_streams:
        await stream.initial_metadata()
    print("ready", flush=True)
    total = wrong = 0
    began = 0.0

    async def count(stream: Any) -> int:
        nonlocal total, wrong, began
        seen = 0
        while True:
            data = await stream.read()
            began = began or time.monotonic()
            for number, mark in _MARK.findall(data):
                wrong += int(number) != seen + 1
                seen = int(number)
                total += 1
                if mark == b"!":
                    return seen

    used = _used()
    last = await asyncio.gather(*map(count, open_streams))
    seconds = time.monotonic() - began
    counted = {
        "rate": total / seconds,
        "seconds": seconds,
        "messages": total,
        "events": max(last),
        "wrong": wrong + sum(seen != max(last) for seen in last),
        "cpu": (_used() - used) / seconds,
    }
    print(json.dumps(counted), flush=True)
    for stream in open_streams:
        stream.cancel()
    for channel in channels:
        await channel.close()


if __name__ == "__main__":
    kind, *words = sys.argv[1:]
    if kind == "calls":
        port, pet, connections, each, seconds, warmup = words
        work = calls(int(port), pet, int(connections), int(each), float(seconds), float(warmup))
    else:
        work = streams(*map(int, words))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)
