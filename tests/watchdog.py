"""Ends a run of the tests that stands still, from outside: ``python -m tests.watchdog pytest …``.

A process that is stuck in C, or whose interpreter runs in circles, cannot end itself, whatever pytest-timeout does in
it. So pytest runs as a child. Each of its processes touches a file when a test begins or ends, and opens one for its
stacks. When nothing has been touched for long, or the run as a whole takes too long, every process is made to dump its
stacks, all descendants are killed, servers included, and the exit status is 1.
"""

import argparse
import contextlib
import faulthandler
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

#: Where a watched run leaves its signs of life.
VARIABLE = "WATCHDOG_FOLDER"
#: More than the time-out of a single test, which ends most of what hangs before this has to.
STALL_SECONDS = 600.0
TOTAL_SECONDS = 7200.0
_POLL_SECONDS = 0.2
_DUMP_SECONDS = 2.0
_STACKS = "stacks-"
_SIGN_OF_LIFE = "alive"


def be_watched() -> None:
    """Let the watchdog dump the stacks of this process; does nothing in a run without one."""
    folder = os.environ.get(VARIABLE)
    if folder is None:
        return
    file = (Path(folder) / f"{_STACKS}{os.getpid()}").open("w", encoding="utf-8")
    faulthandler.register(signal.SIGUSR1, file=file, all_threads=True)
    # The kernel hands the signal to a thread that doesn't block it: this one, when a test blocks it in all others.
    threading.Thread(target=threading.Event().wait, name="takes SIGUSR1", daemon=True).start()


def show_life() -> None:
    """Tell the watchdog that the run goes on."""
    folder = os.environ.get(VARIABLE)
    if folder is not None:
        (Path(folder) / _SIGN_OF_LIFE).touch()


def watch(command: Sequence[str], stall_seconds: float, total_seconds: float) -> int:
    """Run a command to its end, or end it; the exit status, 1 when it had to be ended."""
    with tempfile.TemporaryDirectory(prefix="watchdog-") as name:
        folder = Path(name)
        sign = folder / _SIGN_OF_LIFE
        sign.touch()
        # Ctrl-C at the terminal reaches pytest as well, which then ends by itself.
        signal.signal(signal.SIGINT, lambda *_: None)
        process = subprocess.Popen(command, env={**os.environ, VARIABLE: name})
        signal.signal(signal.SIGTERM, lambda *_: _terminated(process.pid))
        started = time.time()
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_POLL_SECONDS)
            now = time.time()
            if now - sign.stat().st_mtime > stall_seconds:
                reason = f"no test has begun or ended for {stall_seconds:g} s"
            elif now - started > total_seconds:
                reason = f"the run takes longer than {total_seconds:g} s"
            else:
                continue
            sys.stderr.write(f"\n\nwatchdog: {reason}; ending it. Its stacks:\n")
            for title, text in _stacks(folder, process.pid):
                sys.stderr.write(f"\n{title}\n{text}\n")
            _kill(process.pid)
            process.wait()
            return 1


def _terminated(pid: int) -> None:
    _kill(pid)
    os._exit(128 + signal.SIGTERM)


def _stacks(folder: Path, pid: int) -> Iterator[tuple[str, str]]:
    """The stacks of every process of pytest that still runs, each with a title."""
    running = {pid, *_descendants(pid)}
    files = {int(file.name.removeprefix(_STACKS)): file for file in folder.glob(f"{_STACKS}*")}
    asked = sorted(files.keys() & running)
    for each in asked:
        os.kill(each, signal.SIGUSR1)
    time.sleep(_DUMP_SECONDS)
    for each in asked:
        text = files[each].read_text(encoding="utf-8", errors="replace")
        yield f"process {each}:", text or "(it does not even dump its stacks)"


def _descendants(pid: int) -> list[int]:
    """All processes that come from this one, in whatever group or session they are."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    children: dict[int, list[int]] = {}
    for line in listed.stdout.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found = [pid]
    for each in found:
        found += children.get(each, ())
    return found[1:]


def _kill(pid: int) -> None:
    """End a process and all that come from it, the servers of tests included."""
    while True:
        doomed = [pid, *_descendants(pid)]
        for each in reversed(doomed):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        if len(doomed) == 1:
            return


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.watchdog", description=__doc__)
    parser.add_argument("--stall-seconds", type=float, default=STALL_SECONDS)
    parser.add_argument("--total-seconds", type=float, default=TOTAL_SECONDS)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    sys.exit(watch(given.command, given.stall_seconds, given.total_seconds))


if __name__ == "__main__":
    main()
