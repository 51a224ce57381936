"""Several processes behind one port: a parent that starts workers, starts them anew, and ends them."""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from gateway.observability.logs import configure_logs
from gateway.server.server import stopped_by_signals
from gateway.serving import BoundPorts, serve
from gateway.settings import Settings

log = logging.getLogger(__name__)

_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.5, 30.0
#: A worker that lived so long is not in a loop of failing; in seconds.
_STABLE_SECONDS = 60.0
#: After the drain and so much time, a worker that is still alive is killed.
_KILL_GRACE_SECONDS = 15.0

# Not fork: a child must not inherit the state of threads, loops and connections.
_PROCESSES = multiprocessing.get_context("spawn")


async def supervise(settings: Settings, ports: BoundPorts, announce: Callable[[], None]) -> None:
    """Run the workers until a signal says to stop.

    They inherit the listening sockets, so whichever is free takes a connection, and while one is being replaced none
    is refused.
    """
    stopping = asyncio.Event()
    workers = [Worker(number, settings, ports, stopping) for number in range(1, settings.workers + 1)]
    with stopped_by_signals(stopping.set):
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.keep_running(), name=f"worker {worker.number}")
            await _first_of(stopping, asyncio.gather(*(worker.ready.wait() for worker in workers)))
            if not stopping.is_set():
                announce()


class Worker:
    """One place in the row of workers; the process in it may change."""

    def __init__(
        self,
        number: int,
        settings: Settings,
        ports: BoundPorts,
        stopping: asyncio.Event,
    ) -> None:
        self.number = number
        self.ready = asyncio.Event()
        self._settings = settings
        self._ports = ports
        self._stopping = stopping

    async def keep_running(self) -> None:
        """Have a process here until it is time to stop, then drain it."""
        loop, pause = asyncio.get_running_loop(), _MIN_PAUSE_SECONDS
        while not self._stopping.is_set():
            began = loop.time()
            process = self._start()
            ended = _when_readable(process.sentinel)
            await _first_of(self._stopping, ended)
            if not ended.done():
                await self._end(process, ended)
                return
            process.join()
            log.error("worker %d ended with %s and will be replaced", self.number, process.exitcode)
            pause = (
                _MIN_PAUSE_SECONDS
                if loop.time() - began > _STABLE_SECONDS
                else min(2 * pause, _MAX_PAUSE_SECONDS)
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    def _start(self) -> SpawnProcess:
        here, there = _PROCESSES.Pipe(duplex=False)
        process = _PROCESSES.Process(
            target=_work,
            args=(self._settings, self._ports, there),
            name=f"petstore-{self.number}",
            daemon=True,
        )
        process.start()
        there.close()
        # Readable when the worker says that it serves, or when it has ended before.
        _when_readable(here.fileno()).add_done_callback(lambda _: self._heard(here))
        return process

    def _heard(self, pipe: Connection) -> None:
        with contextlib.suppress(EOFError):
            pipe.recv_bytes()
            self.ready.set()
        pipe.close()

    async def _end(self, process: SpawnProcess, ended: "asyncio.Future[None]") -> None:
        settings = self._settings
        process.terminate()
        limit = settings.drain_notice_seconds + settings.drain_seconds + _KILL_GRACE_SECONDS
        try:
            await asyncio.wait_for(ended, limit)
        except TimeoutError:
            log.error("worker %d did not end within %g s", self.number, limit)
            process.kill()
        await asyncio.to_thread(process.join)


def _work(settings: Settings, ports: BoundPorts, ready: Connection) -> None:
    """What a worker process does."""
    import uvloop

    # A Ctrl-C at the terminal goes to a whole group of processes; the parent tells us once, by SIGTERM.
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    access = configure_logs(settings.log_level, settings.log_format)

    def announce() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        # Nobody is left behind when the parent dies without a word.
        asyncio.get_running_loop().add_reader(parent.sentinel, _end_orphan, parent.sentinel)
        ready.send_bytes(b"serving")
        ready.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, ports, access, announce))


def _end_orphan(sentinel: int) -> None:
    asyncio.get_running_loop().remove_reader(sentinel)
    os.kill(os.getpid(), signal.SIGTERM)


def _when_readable(descriptor: int) -> "asyncio.Future[None]":
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()

    def done() -> None:
        loop.remove_reader(descriptor)
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(descriptor, done)
    return readable


async def _first_of(event: asyncio.Event, other: "asyncio.Future[Any]") -> None:
    """Wait for an event or a future, whichever comes first."""
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((waiting, other), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
