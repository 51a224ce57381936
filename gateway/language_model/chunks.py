"""The stream of an answer, read: Server-Sent Events whose data are chunks in JSON, the last one ``[DONE]``.

Whatever comes is bounded: a line, the whole, the calls and their arguments.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import orjson

from core.ports.language_model import ModelFailed, Reply, ToolCall

#: A line, which holds one chunk; and all lines of an answer.
_MAX_LINE_BYTES, _MAX_BYTES = 256 * 1024, 8 * 1024 * 1024
_MAX_CALLS, _MAX_CALL_CHARACTERS = 16, 20_000
_DONE = b"[DONE]"


async def read_answer(parts: AsyncIterator[bytes]) -> AsyncGenerator[str | Reply, None]:
    """The texts of an answer, and how it ends.

    Raises:
        ModelFailed: it is no such stream, is cut off, or is too long.
    """
    answer = _Answer()
    async for line in _lines(parts):
        if not line.startswith(b"data:"):
            continue  # Comments keep the connection alive; chunks need no other field.
        data = line[5:].strip()
        if data == _DONE:
            answer.finished = True
            break
        if text := answer.take(_parsed(data)):
            yield text
    if not answer.finished:
        raise ModelFailed("its answer was cut off")
    yield answer.reply()


async def _lines(parts: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    line, size = bytearray(), 0
    async for part in parts:
        first, *others = part.split(b"\n")
        line += first
        for other in others:
            yield bytes(line)
            line = bytearray(other)
        size += len(part)
        if size > _MAX_BYTES or len(line) > _MAX_LINE_BYTES:
            raise ModelFailed("its answer is too long")
    if line:
        yield bytes(line)


def _parsed(data: bytes) -> dict[str, Any]:
    if len(data) > _MAX_LINE_BYTES:
        raise ModelFailed("its answer is too long")
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise ModelFailed("its answer is no JSON") from None
    if not isinstance(chunk, dict):
        raise ModelFailed("its answer is no chunk of a completion")
    if chunk.get("error"):
        raise ModelFailed("it broke off its answer with an error")
    return chunk


class _Answer:
    """What the chunks have said so far beside the text."""

    def __init__(self) -> None:
        self.finished = False
        self._truncated = False
        self._usage: dict[str, Any] = {}
        self._calls: dict[int, dict[str, str]] = {}

    def take(self, chunk: dict[str, Any]) -> str:
        """Take a chunk; gives its text."""
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = usage
        choices = chunk.get("choices")
        if not choices:
            return ""
        choice = choices[0] if isinstance(choices, list) else None
        if not isinstance(choice, dict):
            raise ModelFailed("its answer is no chunk of a completion")
        if (reason := choice.get("finish_reason")) is not None:
            self.finished = True
            self._truncated = reason == "length"
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return ""
        calls = delta.get("tool_calls")
        for place, call in enumerate(calls if isinstance(calls, list) else ()):
            self._take_call(place, call)
        text = delta.get("content")
        return text if isinstance(text, str) else ""

    def _take_call(self, place: int, call: object) -> None:
        """Take a part of a call: the first has its id and name, and each some of the arguments."""
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(call, dict) or not isinstance(function, dict):
            raise ModelFailed("its answer calls something that is no function")
        index = call.get("index", place)
        if not isinstance(index, int):
            raise ModelFailed("its answer is no chunk of a completion")
        known = self._calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
        for name, value in (
            ("id", call.get("id")),
            ("name", function.get("name")),
            ("arguments", function.get("arguments")),
        ):
            if isinstance(value, str):
                known[name] = known[name] + value if name == "arguments" else known[name] or value
        if len(self._calls) > _MAX_CALLS or sum(map(len, known.values())) > _MAX_CALL_CHARACTERS:
            raise ModelFailed("its answer calls too much")

    def reply(self) -> Reply:
        """How the answer ends."""
        calls = tuple(
            ToolCall(call["id"] or f"call_{index}", call["name"], call["arguments"])
            for index, call in sorted(self._calls.items())
        )
        return Reply(calls, self._truncated, self._tokens("prompt_tokens"), self._tokens("completion_tokens"))

    def _tokens(self, name: str) -> int | None:
        value = self._usage.get(name)
        return value if isinstance(value, int) and 0 <= value < 1 << 31 else None
