"""The peer: strawberry's own application, with a queue for each subscriber, and a pet that is always at hand.

Its types are the gateway's own; the first argument names a file with the pet. With --cache, documents are parsed and
validated once, by strawberry's own extensions.
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import strawberry
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.scalars import JSON
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from benchmarks.control import serve
from benchmarks.message import mark
from core.models.pets import Pet
from protocols.graphql.types import CONFIG, TypeBook

QUEUE_SIZE = 100
queues: set["asyncio.Queue[Event]"] = set()


@strawberry.type
class Event:
    """The same members as the gateway's."""

    id: strawberry.ID
    event_type: str
    timestamp: datetime
    topic: str
    cursor: str
    data: JSON


def event(counter: int, *, last: bool) -> Event:
    """An event as large as the gateway's."""
    data: Any = {
        "species": "DOG",
        "available": 45,
        "pending": 3,
        "adopted": 7,
        "mark": mark(counter, last=last),
    }
    return Event(
        id=strawberry.ID("019e2d14-2b7c-7a90-8d11-3e5f7a9c1b20"),
        event_type="inventory.changed",
        timestamp=datetime.now(UTC),
        topic="inventory/DOG/stock",
        cursor="AdiXpuoAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAGv",
        data=data,
    )


@strawberry.type
class Subscription:
    """What is broadcast."""

    @strawberry.subscription
    async def events(self, topics: list[str]) -> AsyncGenerator[Event, None]:  # noqa: ARG002 - asked of it
        """All of it."""
        queue: asyncio.Queue[Event] = asyncio.Queue(QUEUE_SIZE)
        queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            queues.discard(queue)


def schema(pet: Pet) -> strawberry.Schema:
    """The schema around one pet."""

    async def find(id: strawberry.ID) -> Any:  # noqa: A002, ARG001 - the argument's name
        return pet

    find.__annotations__["return"] = TypeBook({}).output(Pet)
    query = type("Query", (), {"__annotations__": {}, "pet": strawberry.field(resolver=find)})
    caches = [lambda: ParserCache(maxsize=100), lambda: ValidationCache(maxsize=100)]
    return strawberry.Schema(
        strawberry.type(query),
        subscription=Subscription,
        config=CONFIG,
        extensions=caches if "--cache" in sys.argv else (),
    )


async def feed(seconds: float) -> int:
    """Broadcasts for so many seconds; the bounded queues hold it back."""
    end, counter, last = time.monotonic() + seconds, 0, False
    while not last:
        last = time.monotonic() >= end
        counter += 1
        message = event(counter, last=last)
        for queue in tuple(queues):
            await queue.put(message)
        await asyncio.sleep(0)
    return counter


if __name__ == "__main__":
    view: Any = GraphQL(
        schema(Pet.model_validate_json(Path(sys.argv[1]).read_bytes())),
        subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
    )
    serve(view, feed)
