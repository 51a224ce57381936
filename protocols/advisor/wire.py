"""Shapes of OpenAI's chat completions; members of more than one word are written in both spellings."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import orjson
from pydantic import AliasChoices

from core.models.advisor import AdvisorModel, Completion, CompletionDraft
from core.services.advisor.completions import CompletionStream

_OWNER = "petstore"
DONE_BLOCK = b"data: [DONE]\n\n"


def _names() -> Iterator[str]:
    for name, member in CompletionDraft.model_fields.items():
        if isinstance(member.validation_alias, AliasChoices):
            yield from map(str, member.validation_alias.choices)
        else:
            yield member.alias or name


_KNOWN = frozenset(_names())


def known_members(body: object) -> object:
    """A body without the members that no advisor looks at: the tools that a client offers may be very many."""
    if not isinstance(body, dict):
        return body
    return {name: value for name, value in body.items() if name in _KNOWN}


def _both(members: dict[str, Any]) -> dict[str, Any]:
    """Members in camelCase, and again in snake_case."""
    return members | {_snake(name): value for name, value in members.items()}


@cache
def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def _finish(completion: Completion) -> str:
    return "length" if completion.truncated else "stop"


def usage_of(completion: Completion) -> dict[str, Any]:
    """The tokens of a completion."""
    prompt, told = completion.prompt_tokens, completion.completion_tokens
    return _both({"promptTokens": prompt, "completionTokens": told, "totalTokens": prompt + told})


def _head(completion: Completion | CompletionStream, kind: str) -> dict[str, Any]:
    created = int(completion.created_at.timestamp())
    return {"id": completion.id, "object": kind, "created": created, "model": completion.model.value}


def completion_body(completion: Completion) -> bytes:
    """A completion, whole."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": completion.text, "refusal": None},
        "logprobs": None,
        **_both({"finishReason": _finish(completion)}),
    }
    return orjson.dumps(
        {**_head(completion, "chat.completion"), "choices": [choice], "usage": usage_of(completion)}
    )


class Blocks:
    """The blocks of a stream: a first one, one for each text of the answer, and its end."""

    def __init__(self, stream: CompletionStream, *, include_usage: bool) -> None:
        self._head = _head(stream, "chat.completion.chunk")
        self._include_usage = include_usage
        mark = "\0"
        self._before, self._after = self._chunk({"content": mark}).split(orjson.dumps(mark))

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, **_both({"finishReason": finish})}
        #: With the option every chunk has the member, and only the last one a value.
        rest = {"usage": None} if self._include_usage else {}
        return block({**self._head, "choices": [choice], **rest})

    def opening(self) -> bytes:
        """Who speaks."""
        return self._chunk({"role": "assistant", "content": ""})

    def texts(self, texts: Iterable[str]) -> Iterator[bytes]:
        """A block for each text."""
        before, after = self._before, self._after
        return (before + orjson.dumps(text) + after for text in texts)

    def ending(self, completion: Completion) -> bytes:
        """Why the answer ends, where wanted its tokens, and the end of the stream."""
        found = self._chunk({}, _finish(completion))
        if self._include_usage:
            found += block({**self._head, "choices": [], "usage": usage_of(completion)})
        return found + DONE_BLOCK


def block(data: dict[str, Any]) -> bytes:
    """One block of the stream."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


def models_body(models: Iterable[AdvisorModel], created: int) -> bytes:
    """The list of models, made at a time in seconds since 1970."""
    return orjson.dumps({"object": "list", "data": [_model(model, created) for model in models]})


def model_body(model: AdvisorModel, created: int) -> bytes:
    """One model; ``created`` as in the list."""
    return orjson.dumps(_model(model, created))


def _model(model: AdvisorModel, created: int) -> dict[str, Any]:
    return {"id": model.value, "object": "model", "created": created, **_both({"ownedBy": _OWNER})}
