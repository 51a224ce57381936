"""A run of the tests that stands still is ended from outside, with its stacks and with all that it started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
SUITE = '''
import os, re, signal, subprocess

def test_that_hangs():
    """The time-out of a stall is long: a child lets the last sign of life look old, and itself outlives its parent."""
    script = 'while :; do touch -d @0 "$WATCHDOG_FOLDER/alive"; sleep 0.1; done'
    child = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    with open("child", "w") as file:
        file.write(str(child.pid))
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    re.match("(a+)+$", "a" * 100 + "b")
'''


def watchdog(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run it to its end, in a folder of its own."""
    command = [sys.executable, "-m", "tests.watchdog", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    state = subprocess.run(
        ["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return state not in ("", "Z")


@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_suite_that_hangs_in_c_with_signals_blocked_is_ended_with_its_stacks(
    tmp_path: Path, processes: str
) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "test_hanging.py").write_text(SUITE)
    ended = watchdog(tmp_path, sys.executable, "-m", "pytest", "--numprocesses", processes)
    assert ended.returncode == 1
    assert "no test has begun or ended" in ended.stderr
    assert "in test_that_hangs" in ended.stderr
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not is_running(child))


def test_a_run_that_takes_too_long_as_a_whole_is_ended(tmp_path: Path) -> None:
    ended = watchdog(tmp_path, "--total-seconds", "0.1", "sleep", "1000")
    assert ended.returncode == 1
    assert "takes longer than 0.1 s" in ended.stderr


def test_the_status_of_a_run_that_ends_by_itself_is_handed_on(tmp_path: Path) -> None:
    assert watchdog(tmp_path, "sh", "-c", "exit 3").returncode == 3
