"""The gateway as it is served, with one addition: after "feed <seconds>" on standard input it makes events itself.

REST cannot write fast enough to show what the fan-out can carry, so events are appended to the real log here, in
batches of one transaction each, and handed to the hub just as a committed operation hands over its own.
"""

import asyncio
import sys
import time

import uvloop

from benchmarks.control import listen, obey
from benchmarks.message import mark
from core.kernel.events import PUBLIC, Draft, Event
from core.kernel.ids import SHARED_TENANT
from core.models.inventory import INVENTORY_CHANGED, InventoryEvent
from core.models.pets import Species
from core.store.store import Store
from gateway.app import build_app, build_grpc, build_mqtt
from gateway.demo import open_demo
from gateway.maintenance import maintain
from gateway.node import open_node
from gateway.observability.access_log import AccessLog
from gateway.server.grpc_server import reserve
from gateway.server.server import Server, ServerOptions
from gateway.settings import Settings
from gateway.storage.migration import migrate

BATCH = 100
"""Events in a transaction."""


class NumberedStock(InventoryEvent):
    """A stock event with the benchmark's number."""

    mark: str


class Feeder:
    """Appends events to the shared pool's log as fast as the subscribers take them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def feed(self, seconds: float) -> int:
        """Feeds for so many seconds; returns how many events it made."""
        end, counter, last = time.monotonic() + seconds, 0, False
        while not last:
            last = time.monotonic() >= end
            marks = [mark(counter + i, last=last and i == BATCH) for i in range(1, BATCH + 1)]
            counter += BATCH
            await self._commit([self._event(text) for text in marks])
        return counter

    def _event(self, text: str) -> Event:
        data = NumberedStock(species=Species.DOG, available=45, pending=3, adopted=7, mark=text)
        draft = Draft(INVENTORY_CHANGED, data, PUBLIC, {"species": Species.DOG})
        return draft.to_event(SHARED_TENANT, self._store.clock(), None)

    async def _commit(self, events: list[Event]) -> None:
        async with self._store.storage.write(SHARED_TENANT) as transaction:
            head = await transaction.hold_log()
            placed = [event.at(self._store.epoch, head + i) for i, event in enumerate(events, 1)]
            await transaction.append(placed)
        self._store.hub.publish(SHARED_TENANT, placed)


async def main() -> None:
    """Serves until standard input ends; then nothing is worth a drain."""
    settings = Settings(_env_file=None)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    await migrate(settings.storage_url)
    async with open_node(settings) as node, asyncio.TaskGroup() as group:
        await open_demo(node.store)
        access = AccessLog(settings.log_level, as_json=True, stream=sys.stderr)
        server = Server(build_app(node, access), ServerOptions(), on_drain=_no_drain)
        listener, on_mqtt = listen(), listen()
        on_grpc, grpc_port = reserve("127.0.0.1", 0)
        grpc = build_grpc(node, access)
        await grpc.start("127.0.0.1", grpc_port)
        shown = on_grpc if "--grpc" in sys.argv else on_mqtt if "--mqtt" in sys.argv else listener
        serving = group.create_task(server.serve([listener]))
        chores = group.create_task(maintain(node.store, settings))
        if "--webhooks" in sys.argv:
            node.webhooks.start()
        async with build_mqtt(node, access).serving([on_mqtt], [], None):
            await obey(shown, Feeder(node.store).feed)
        await grpc.stop(0)
        await node.webhooks.stop()
        chores.cancel()
        server.stop()
        server.stop()
        await serving


async def _no_drain() -> None:
    pass


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
