"""Requests to an OpenAI-compatible server."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

import httpx
import orjson

from core.kernel.backoff import backoff_seconds
from core.ports.language_model import ModelFailed, Question, Reply
from gateway.language_model.chunks import read_answer
from gateway.language_model.wire import body_of

#: How often a request is sent until the first of its answer is there, with pauses between.
_ATTEMPTS = 3
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.25, 2.0
#: Statuses after which the same request may go well a moment later.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
#: Whose fault is the operator's to mend, and when clients may look again.
_MISCONFIGURED_RETRY_SECONDS = 60
_LONGEST_RETRY_SECONDS = 60
#: So much of an error is read.
_MAX_ERROR_BYTES = 16 * 1024
_TOO_LONG = "context_length_exceeded"
_MAX_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited: for a connection, and for anything at all of an answer; in seconds."""

    connect: float = 5.0
    silence: float = 60.0


@dataclass(slots=True)
class Counters:
    """Requests to the server since the process began: sent, sent again, and failed for good."""

    requests: int = 0
    retries: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Statistics:
    """``under_way``: requests that are being answered."""

    under_way: int
    counters: Counters


class _Passing(ModelFailed):
    """A failure after which the same request may go well a moment later."""


class OpenAiServer:
    """A core.ports.language_model.LanguageModel: a model of an OpenAI-compatible server.

    ``url`` is its base URL, as OpenAI's clients take it (``https://api.openai.com/v1``).
    """

    def __init__(
        self, url: str, model: str, api_key: str | None = None, patience: Patience | None = None
    ) -> None:
        self.counters = Counters()
        self._under_way = 0
        self._url = url.rstrip("/")
        self._model = model
        patience = patience or Patience()
        headers = {"user-agent": "petstore-gateway", "accept-encoding": "identity"}
        if api_key is not None:
            headers["authorization"] = f"Bearer {api_key}"
        self._client = httpx.AsyncClient(
            headers=headers,
            follow_redirects=False,
            timeout=httpx.Timeout(patience.silence, connect=patience.connect),
            limits=httpx.Limits(max_connections=_MAX_CONNECTIONS, max_keepalive_connections=_MAX_CONNECTIONS),
        )

    def statistics(self) -> Statistics:
        """Figures for metrics."""
        return Statistics(self._under_way, replace(self.counters))

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def check(self) -> None:
        """Pass when the server answers and takes the key.

        Raises:
            ModelFailed: it does not.
        """
        try:
            async with self._client.stream("GET", f"{self._url}/models") as response:
                # That it has no such path says nothing of the others.
                if response.status_code in (401, 403) or response.status_code >= 500:
                    raise ModelFailed(await _reason_of(response))
        except httpx.HTTPError as error:
            raise ModelFailed(_told(error)) from None

    def ask(self, question: Question) -> AsyncGenerator[str | Reply, None]:
        """See core.ports.language_model.LanguageModel."""
        return self._ask(orjson.dumps(body_of(question, self._model)))

    async def _ask(self, body: bytes) -> AsyncGenerator[str | Reply, None]:
        for attempt in range(1, _ATTEMPTS + 1):
            begun = False
            self.counters.requests += 1
            self._under_way += 1
            try:
                async with aclosing(self._attempt(body)) as parts:
                    async for part in parts:
                        begun = True
                        yield part
                return
            except _Passing:
                if begun or attempt == _ATTEMPTS:
                    self.counters.failures += 1
                    raise
            except ModelFailed:
                self.counters.failures += 1
                raise
            finally:
                self._under_way -= 1
            self.counters.retries += 1
            await asyncio.sleep(
                backoff_seconds(attempt, first=_FIRST_PAUSE_SECONDS, longest=_LONGEST_PAUSE_SECONDS)
            )

    async def _attempt(self, body: bytes) -> AsyncGenerator[str | Reply, None]:
        try:
            async with self._client.stream(
                "POST",
                f"{self._url}/chat/completions",
                content=body,
                headers={"content-type": "application/json", "accept": "text/event-stream"},
            ) as response:
                if response.status_code not in (200, 201):
                    raise await _failure_of(response)
                media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                if media_type != "text/event-stream" or "content-encoding" in response.headers:
                    raise ModelFailed("it answers with no event stream")
                async with aclosing(read_answer(response.aiter_raw())) as parts:
                    async for part in parts:
                        yield part
        except httpx.TimeoutException as error:
            if isinstance(error, httpx.ConnectTimeout):
                raise _Passing("it cannot be connected to in time") from None
            raise ModelFailed("it says nothing for too long") from None
        except httpx.HTTPError as error:
            raise _Passing(_told(error)) from None


async def _failure_of(response: httpx.Response) -> ModelFailed:
    """What a status other than success means."""
    status, reason = response.status_code, await _reason_of(response)
    if status in _PASSING:
        after = response.headers.get("retry-after", "")
        retry_after = min(int(after), _LONGEST_RETRY_SECONDS) if after.isdigit() and len(after) < 9 else 5
        # Who names a longer pause than ours is not asked again before that.
        kind = ModelFailed if retry_after > _LONGEST_PAUSE_SECONDS and after else _Passing
        return kind(reason, retry_after=max(1, retry_after))
    if _TOO_LONG in reason or status == 413:
        return ModelFailed(reason, too_long=True)
    return ModelFailed(reason, retry_after=_MISCONFIGURED_RETRY_SECONDS)


async def _reason_of(response: httpx.Response) -> str:
    """The status and the code of an error: its words may repeat the key, or what a client has asked."""
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > _MAX_ERROR_BYTES:
            break
    try:
        error = orjson.loads(bytes(body))["error"]
        code = error.get("code") or error.get("type")
    except (ValueError, KeyError, TypeError, AttributeError):
        code = None
    named = isinstance(code, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", code)
    return f"it answers {response.status_code}" + (f" ({code})" if named else "")


def _told(error: httpx.HTTPError) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
