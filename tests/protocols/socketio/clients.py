"""The official Socket.IO clients, for Python and for JavaScript, behind one small interface."""

import asyncio
import contextlib
import gc
import json
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import socketio

from tests.waiting import TIMEOUT_SECONDS, within

NODE = Path(__file__).parents[2] / "node"


class Told(NamedTuple):
    """An event that a client was told of; ``connect``, ``connect_error`` and ``disconnect`` are among them."""

    name: str
    data: Any


class Refused(Exception):
    """The server refused the connection; ``data`` is what it said."""

    def __init__(self, data: Any) -> None:
        super().__init__(str(data))
        self.data = data


class Client:
    """What both clients do for a test."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[Told] = asyncio.Queue()

    async def emit(self, name: str, *arguments: Any) -> None:
        """Send an event and want no answer."""
        raise NotImplementedError

    async def call(self, name: str, *arguments: Any) -> Any:
        """Send an event; the first argument of its acknowledgement."""
        raise NotImplementedError

    async def transport(self) -> str:
        """What it is connected by now."""
        raise NotImplementedError

    async def close(self) -> None:
        """Disconnect in order."""
        raise NotImplementedError

    async def hear(self, timeout: float = TIMEOUT_SECONDS) -> Told:
        """The next event."""
        return await within(self.told.get(), timeout)

    async def until(self, *names: str) -> Any:
        """The data of the next event of these names; others are passed over."""
        while (told := await self.hear()).name not in names:
            pass
        return told.data

    async def ask(self, name: str, **data: Any) -> Any:
        """Send a command that must be carried out; the data of its acknowledgement."""
        answer = await self.call(name, data)
        assert answer["ok"] is True, answer
        assert answer.keys() == {"ok", "data"}
        return answer["data"]

    async def refusal(self, name: str, *arguments: Any) -> Any:
        """Send a command that must be refused; the error."""
        answer = await self.call(name, *arguments)
        assert answer["ok"] is False, answer
        assert answer.keys() == {"ok", "error"}
        return answer["error"]

    async def numbers(self, count: int) -> list[int]:
        """What the next events tell."""
        return [(await self.until("event"))["data"]["number"] for _ in range(count)]

    async def end(self) -> tuple[str, list[Told]]:
        """Why it was disconnected, and what came before that."""
        before = []
        while (told := await self.hear()).name != "disconnect":
            before.append(told)
        return told.data, before


class PythonClient(Client):
    """python-socketio's AsyncClient."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.client = socketio.AsyncClient(**options)
        for name in ("connect", "disconnect"):
            self.client.on(name, self._handler(name))
        self.client.on("*", self._any)

    def _handler(self, name: str) -> Any:
        async def handle(*arguments: Any) -> None:
            self.told.put_nowait(Told(name, arguments[0] if arguments else None))

        return handle

    async def _any(self, name: str, *arguments: Any) -> None:
        assert len(arguments) == 1, (name, arguments)
        self.told.put_nowait(Told(name, arguments[0]))

    async def connect(self, url: str, transports: list[str], auth: Any) -> None:
        refusals: list[Any] = []

        async def refused(data: Any = None) -> None:
            refusals.append(data)

        self.client.on("connect_error", refused)
        try:
            await self.client.connect(
                url, transports=transports, auth=auth, wait_timeout=int(TIMEOUT_SECONDS)
            )
        except socketio.exceptions.ConnectionError:
            if not refusals or not isinstance(refusals[0], dict):
                raise
            raise Refused(refusals[0]) from None

    async def emit(self, name: str, *arguments: Any) -> None:
        await self.client.emit(name, arguments)

    async def call(self, name: str, *arguments: Any) -> Any:
        return await self.client.call(name, arguments, timeout=TIMEOUT_SECONDS)

    async def transport(self) -> str:
        found: str = self.client.transport()
        return found

    async def close(self) -> None:
        await self.client.disconnect()


class NodeClient(Client):
    """socket.io-client in a Node process of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._process: asyncio.subprocess.Process
        self._reader: asyncio.Task[None]
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._transport = ""

    async def start(self, url: str, options: dict[str, Any]) -> None:
        self._process = await asyncio.create_subprocess_exec(
            "node", str(NODE / "socketio.mjs"), url, json.dumps(options),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            arguments = told["arguments"]
            if "mark" in told:
                self._answers.pop(told["mark"]).set_result(arguments[0])
                continue
            assert len(arguments) <= 1, told
            self._transport = told.get("transport", self._transport)
            if told["event"] == "upgrade":
                continue
            self.told.put_nowait(Told(told["event"], arguments[0] if arguments else None))

    async def order(self, **order: Any) -> None:
        """Send the process a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()

    async def emit(self, name: str, *arguments: Any) -> None:
        await self.order(emit=[name, *arguments])

    async def call(self, name: str, *arguments: Any) -> Any:
        mark = len(self._answers) + 1
        while mark in self._answers:
            mark += 1
        answer = self._answers[mark] = asyncio.get_running_loop().create_future()
        await self.order(emit=[name, *arguments], mark=mark)
        return await within(answer)

    async def transport(self) -> str:
        return self._transport

    async def close(self) -> None:
        await self.order(close=True)
        await self.until("disconnect")

    def kill(self) -> None:
        """End the process with no chance to say goodbye."""
        self._process.kill()

    async def stop(self) -> None:
        """Disconnect in order, and end the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.close()
        await within(self._process.wait())
        await self._reader


TRANSPORTS = {
    "websocket": ["websocket"],
    "polling": ["polling"],
    "upgrade": ["polling", "websocket"],
}
#: Every client over every transport; ``upgrade`` is what clients do by themselves.
KINDS = [f"{client}-{transport}" for client in ("python", "node") for transport in TRANSPORTS]


@contextlib.asynccontextmanager
async def connected(port: int, kind: str = "python-websocket", **auth: Any) -> AsyncIterator[Client]:
    """A client who is connected and has been greeted.

    Raises:
        Refused: the client was refused.
    """
    language, transport = kind.split("-")
    url = f"http://127.0.0.1:{port}"
    if language == "python":
        with _quiet():
            python = PythonClient(reconnection=False)
            try:
                await python.connect(url, TRANSPORTS[transport], auth)
                yield python
            finally:
                await python.close()
        return
    node = NodeClient()
    await node.start(url, {"auth": auth, "transports": TRANSPORTS[transport], "reconnection": False})
    try:
        told = await node.hear()
        if told.name == "connect_error":
            raise Refused(told.data["data"] or told.data["message"])
        assert told.name == "connect"
        yield node
    finally:
        await node.stop()


@contextlib.contextmanager
def _quiet() -> Any:
    """python-socketio does not close its HTTP session in every case, of which aiohttp warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()
