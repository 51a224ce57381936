"""Shapes of OpenAI's chat completions; members of more than one word are written in both spellings."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from pydantic import AliasChoices

from core.models.advisor import AdvisorModel, Completion, CompletionDraft
from core.services.advisor.completions import tokens_of

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
    snake = {"".join(f"_{char.lower()}" if char.isupper() else char for char in name): value
             for name, value in members.items()}  # fmt: skip
    return members | snake


def _finish(completion: Completion) -> str:
    return "length" if completion.truncated else "stop"


def usage_of(completion: Completion) -> dict[str, Any]:
    """The tokens of a completion."""
    prompt, told = completion.prompt_tokens, completion.completion_tokens
    return _both({"promptTokens": prompt, "completionTokens": told, "totalTokens": prompt + told})


def _head(completion: Completion, kind: str) -> dict[str, Any]:
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


def blocks(completion: Completion, *, include_usage: bool) -> Iterator[bytes]:
    """A completion token by token, each a block of the stream, to its end."""
    head = _head(completion, "chat.completion.chunk")
    #: With the option every chunk has the member, and only the last one a value.
    rest = {"usage": None} if include_usage else {}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, **_both({"finishReason": finish})}
        return block({**head, "choices": [choice], **rest})

    yield chunk({"role": "assistant", "content": ""})
    mark = "\0"
    before, after = chunk({"content": mark}).split(orjson.dumps(mark))
    for token in tokens_of(completion.text):
        yield before + orjson.dumps(token) + after
    yield chunk({}, _finish(completion))
    if include_usage:
        yield block({**head, "choices": [], "usage": usage_of(completion)})
    yield DONE_BLOCK


def block(data: dict[str, Any]) -> bytes:
    """One block of the stream."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


def models_body(models: Iterable[AdvisorModel], created: int) -> bytes:
    """The list of models, made at a time in seconds since 1970."""
    data = [
        {"id": model.value, "object": "model", "created": created, **_both({"ownedBy": _OWNER})}
        for model in models
    ]
    return orjson.dumps({"object": "list", "data": data})
