"""``petstore serve`` with a witness on its event loop: ``python -m tests.hostile.serve FILE --port …``.

The witness comes every millisecond and notes for how long it was kept waiting: by the clock of the loop's own thread,
which stands still while the machine has other work, and by the wall's. The longest of each stand in FILE, where
whoever measures reads them and begins anew; what one wait has to do with the millisecond itself is not taken away.
"""

import asyncio
import gc
import mmap
import struct
import sys
import time
from pathlib import Path
from typing import NamedTuple

_PERIOD_SECONDS = 0.001
#: The longest wait, by the thread's clock and by the wall's; how often the witness came; objects that the garbage
#: collector does not look at.
_FIGURES = struct.Struct("ddQQ")


class Held(NamedTuple):
    """For how long the loop was held at the most, in seconds: of its thread's own time, and by the wall's clock."""

    thread: float
    wall: float
    turns: int
    spared: int


class Figures:
    """The figures of one process, in a file that two processes share."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_FIGURES.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _FIGURES.size)

    def read(self) -> Held:
        return Held(*_FIGURES.unpack_from(self._memory))

    def write(self, held: Held) -> None:
        _FIGURES.pack_into(self._memory, 0, *held)

    def reset(self) -> None:
        self.write(Held(0.0, 0.0, 0, self.read().spared))


class Witness:
    """Comes again and again on a loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, figures: Figures) -> None:
        self._loop = loop
        self._figures = figures
        self._thread = self._wall = 0.0

    def begin(self) -> None:
        self._thread, self._wall = time.thread_time(), time.perf_counter()
        self._loop.call_later(_PERIOD_SECONDS, self._come)

    def _come(self) -> None:
        held = self._figures.read()
        # They are counted one by one, which takes long: once.
        spared = held.spared or gc.get_freeze_count()
        thread, wall = time.thread_time() - self._thread, time.perf_counter() - self._wall
        self._figures.write(Held(max(held.thread, thread), max(held.wall, wall), held.turns + 1, spared))
        self.begin()


def main() -> None:
    import uvloop

    figures = Figures(Path(sys.argv.pop(1)))
    new_event_loop = uvloop.new_event_loop

    def witnessed() -> uvloop.Loop:
        loop = new_event_loop()
        loop.call_soon(Witness(loop, figures).begin)
        return loop

    uvloop.new_event_loop = witnessed
    from gateway.cli import main as petstore

    sys.argv[0] = "petstore"
    petstore()


if __name__ == "__main__":
    main()
