"""An OpenAI-compatible server on a port of its own, whose answers a test writes down, and which fails on purpose."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

#: Answers one request on its connection.
Answer = Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]
#: Something to be waited for between two chunks.
Pause = asyncio.Event
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@dataclass
class Asked:
    """One request. ``gone`` is set when its connection has ended."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def last(self, role: str) -> str:
        """The content of the last message of a role."""
        found: str = [one["content"] for one in self.body["messages"] if one["role"] == role][-1]
        return found


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """One chunk of a completion."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return (
        b"data: "
        + json.dumps({"object": "chat.completion.chunk", "choices": [choice], **more}).encode()
        + b"\n\n"
    )


def usage(prompt: int, completion: int) -> bytes:
    """The chunk that tells the tokens."""
    told = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return b"data: " + json.dumps({"choices": [], "usage": told}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def stream(*parts: bytes | Pause, then: str = "close") -> Answer:
    """Send parts as a stream, waiting where one is a pause; ``then`` close the connection or ``hang``."""

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD)
        for part in parts:
            if isinstance(part, bytes):
                writer.write(part)
                await writer.drain()
            else:
                await part.wait()
        if then == "hang":
            await asked.gone.wait()

    return answer


def says(*texts: str | Pause, finish: str = "stop", tokens: tuple[int, int] | None = (11, 7)) -> Answer:
    """Say texts, one a chunk, and how it ends."""
    parts = [chunk({"content": one}) if isinstance(one, str) else one for one in texts]
    told = [] if tokens is None else [usage(*tokens)]
    return stream(chunk({"role": "assistant", "content": ""}), *parts, chunk({}, finish), *told, DONE)


def calls(*wished: tuple[str, str], tokens: tuple[int, int] = (20, 5)) -> Answer:
    """Call tools by name, with arguments as they are; each comes in two parts, as real servers send them."""
    parts = []
    for index, (name, arguments) in enumerate(wished):
        half = len(arguments) // 2
        begun = {"name": name, "arguments": arguments[:half]}
        parts.append(
            chunk(
                {
                    "tool_calls": [
                        {"index": index, "id": f"call_{index}", "type": "function", "function": begun}
                    ]
                }
            )
        )
        parts.append(chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments[half:]}}]}))
    return stream(*parts, chunk({}, "tool_calls"), usage(*tokens), DONE)


def status(number: int, error: dict[str, Any] | None = None, **headers: str) -> Answer:
    """Answer with an error."""

    async def answer(_: Asked, writer: asyncio.StreamWriter) -> None:
        body = json.dumps({"error": error or {"message": "no"}}).encode()
        lines = [f"HTTP/1.1 {number} No", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    return answer


async def silence(asked: Asked, _: asyncio.StreamWriter) -> None:
    """Say nothing at all."""
    await asked.gone.wait()


async def hang_up(_: Asked, __: asyncio.StreamWriter) -> None:
    """Close the connection without a word."""


async def no_http(_: Asked, writer: asyncio.StreamWriter) -> None:
    """Speak something else."""
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
    await writer.drain()


async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Say a word again and again, whatever was asked for."""
    writer.write(_HEAD)
    while not asked.gone.is_set():
        writer.write(chunk({"content": "word "}) * 100)
        await writer.drain()


@dataclass
class ModelServer:
    """``answers`` are given in order, the last one again and again; ``asked`` are the requests so far."""

    port: int = 0
    answers: deque[Answer] = field(default_factory=deque)
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def will(self, *answers: Answer) -> None:
        """From now on answer so."""
        self.answers = deque(answers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the request of one connection."""
        watching: asyncio.Task[None] | None = None
        try:
            asked = await _read(reader)
            self.asked.append(asked)
            watching = asyncio.ensure_future(_watch(reader, asked))
            answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
            await answer(asked, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if watching is not None:
                watching.cancel()
            writer.close()


async def _watch(reader: asyncio.StreamReader, asked: Asked) -> None:
    try:
        while await reader.read(1024):
            pass
    except ConnectionError:
        pass
    asked.gone.set()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(first.split(" ")[1], headers, json.loads(body or b"{}"))


@asynccontextmanager
async def model_server(*answers: Answer) -> AsyncIterator[ModelServer]:
    """A server, until the block ends."""
    made = ModelServer(answers=deque(answers))
    running: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(made.serve(reader, writer))
        running.add(task)
        task.add_done_callback(running.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
