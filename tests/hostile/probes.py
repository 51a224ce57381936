"""How the others fare, in a process of its own: ``python -m tests.hostile.probes URL TOKEN PET``.

One probe asks for ``/healthz``, and asks again as soon as it is answered; the other changes a pet and waits for the
event on an event stream of its own. For each line on its input the process prints the longest delay of either since the
line before, as soon as each probe has been answered once more.
"""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from tests.http_clients import http_client
from tests.waiting import TIMEOUT_SECONDS

#: Between two questions, so that the probes themselves are no load.
_PAUSE_SECONDS = 0.01
_ROOT = Path(__file__).parents[2]


@dataclass
class Delays:
    """The longest delays in seconds, and how often the probes were answered."""

    health: float = 0.0
    event: float = 0.0
    answers: int = 0
    events: int = 0


class _Probes:
    def __init__(self, url: str, token: str, pet: str) -> None:
        self._url, self._pet = url, pet
        self._headers = {"Authorization": f"Bearer {token}"}
        self.delays = Delays()
        self._answered = asyncio.Event()
        self._arrived = asyncio.Event()
        self._wanted = -1

    async def ask_for_health(self) -> None:
        async with http_client(base_url=self._url) as client:
            while True:
                began = time.perf_counter()
                answer = await client.get("/healthz")
                assert answer.status_code == 200, answer
                self.delays.health = max(self.delays.health, time.perf_counter() - began)
                self.delays.answers += 1
                self._answered.set()
                await asyncio.sleep(_PAUSE_SECONDS)

    async def listen(self, listening: asyncio.Event) -> None:
        """Follow one pet; the stream is this connection's only use."""
        target = f"/v1/events?topics=pets/{self._pet}"
        timeout = httpx.Timeout(TIMEOUT_SECONDS, read=None)
        async with (
            http_client(base_url=self._url, timeout=timeout) as client,
            client.stream("GET", target, headers=self._headers) as stream,
        ):
            listening.set()
            async for line in stream.aiter_lines():
                if line.startswith("data: {") and f'"ageMonths":{self._wanted}' in line:
                    self._arrived.set()
        raise AssertionError("the subscriber was disconnected")

    async def wait_for_events(self) -> None:
        async with http_client(base_url=self._url, headers=self._headers) as client:
            while True:
                self._arrived.clear()
                self._wanted = (self._wanted + 1) % 100
                began = time.perf_counter()
                answer = await client.patch(f"/v1/pets/{self._pet}", json={"ageMonths": self._wanted})
                assert answer.status_code == 200, answer.text
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    await self._arrived.wait()
                self.delays.event = max(self.delays.event, time.perf_counter() - began)
                self.delays.events += 1
                await asyncio.sleep(_PAUSE_SECONDS)

    async def report(self) -> None:
        """Answer each line."""
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            answers, events = self.delays.answers, self.delays.events
            # Those that are under way may have been asked before the last input came to its end.
            while self.delays.answers < answers + 2 or self.delays.events < events + 2:  # noqa: ASYNC110
                await asyncio.sleep(_PAUSE_SECONDS / 2)
            print(json.dumps(asdict(self.delays)), flush=True)  # noqa: T201
            self.delays = Delays()

    async def run(self) -> None:
        """Probe until the input ends."""
        listening = asyncio.Event()
        tasks = {asyncio.create_task(self.ask_for_health()), asyncio.create_task(self.listen(listening))}
        await listening.wait()
        tasks |= {asyncio.create_task(self.wait_for_events())}
        report = asyncio.create_task(self.report())
        done, _ = await asyncio.wait({*tasks, report}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, report):
            task.cancel()
        for task in done:
            task.result()


class Probes:
    """The process, from outside."""

    def __init__(self, url: str, token: str, pet: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.probes", url, token, pet],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT,
        )  # fmt: skip

    def delays(self) -> Delays:
        """The longest delays since this was last called, when both probes have been served again.

        Raises:
            AssertionError: one of them was not.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the probes are not served"
        return Delays(**json.loads(line))

    def stop(self) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(TIMEOUT_SECONDS)
        self._process.stdout.close()  # type: ignore[union-attr]


if __name__ == "__main__":
    asyncio.run(_Probes(*sys.argv[1:]).run())
