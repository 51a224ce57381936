"""REST, with httpx: every operation at the method and path that the door binds it to."""

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx

from protocols.rest.bindings import BINDINGS, Binding
from tests.conformance.door import Ability, Answer, Driver, Refused, Told
from tests.conformance.people import headers_of
from tests.http_clients import http_client

_BOUND: dict[str, Binding] = {}
for _binding in BINDINGS:
    _BOUND.setdefault(_binding.operation.name, _binding)


class RestDriver(Driver):
    """Somebody who speaks HTTP."""

    operations = frozenset(_BOUND)
    abilities = frozenset({Ability.IF_MATCH, Ability.IDEMPOTENCY, Ability.ECHO, Ability.ASK, Ability.DECIDE})

    async def call(
        self,
        operation: str,
        /,
        *,
        body: Any = None,
        if_match: str | None = None,
        key: str | None = None,
        **params: Any,
    ) -> Answer:
        binding = _BOUND[operation]
        path = re.sub(r"{(\w+)}", lambda found: str(params.pop(found[1])), binding.path)
        headers = headers_of(self.person)
        if if_match is not None:
            headers["If-Match"] = if_match
        if key is not None:
            headers["Idempotency-Key"] = key
        content: dict[str, Any] = {} if body is None else {"json": body}
        if binding.upload:
            content = {
                "files": {"file": body["file"]},
                "data": {name: value for name, value in body.items() if name != "file"},
            }
        async with http_client(base_url=self.node.url) as client:
            answer = await client.request(
                binding.method,
                path,
                params={name: _query(value) for name, value in params.items()},
                headers=headers,
                **content,
            )
        if not answer.is_success:
            raise error_of_response(answer)
        replayed = answer.headers.get("Idempotent-Replayed") == "true"
        if binding.serves_image:
            return Answer(answer.content)
        value = answer.json() if answer.content else None
        return Answer(value, answer.headers.get("ETag"), replayed)

    async def ask(self, body: dict[str, Any]) -> Told:
        asked = {**body, "stream": True, "streamOptions": {"includeUsage": True}}
        async with http_client(base_url=self.node.url) as client:
            answer = await client.post("/v1/chat/completions", json=asked, headers=headers_of(self.person))
        if not answer.is_success:
            raise error_of_response(answer)
        *blocks, done = answer.text.removesuffix("\n\n").split("\n\n")
        assert done == "data: [DONE]"
        *chunks, last = [json.loads(block.removeprefix("data: ")) for block in blocks]
        texts = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
        usage = {name: last["usage"][name] for name in ("promptTokens", "completionTokens", "totalTokens")}
        reason = chunks[-1]["choices"][0]["finishReason"]
        return Told("".join(texts), reason, usage, sum(map(bool, texts)))


def error_of_response(answer: httpx.Response) -> Refused:
    """What a response says that is a problem."""
    retry_after = answer.headers.get("Retry-After")
    return error_of_problem(answer.json(), None if retry_after is None else int(retry_after))


def error_of_problem(problem: Mapping[str, Any], retry_after: int | None) -> Refused:
    """What a problem says (RFC 9457)."""
    return Refused(
        problem["type"].rpartition("/")[2],
        fields=[(violation["field"], violation["code"]) for violation in problem.get("errors", ())],
        oldest_cursor=problem.get("oldestCursor"),
        retry_after=retry_after,
    )


def _query(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
