"""Where `petstore watch` gets events from: an event stream over HTTP, or gRPC, by the scheme of the server's URL."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import grpc
import httpx
from google.protobuf.json_format import MessageToJson

from gateway.cli.client import complaint, headers_for
from gateway.cli.logins import Unreachable
from gateway.startup_errors import BadSettings, CannotStart
from protocols.grpc._generated.petstore.v1.events_pb2 import EventBatch, SubscribeRequest
from protocols.grpc._generated.petstore.v1.events_pb2_grpc import EventServiceStub

#: Without a byte for so long a connection counts as dead; the server sends something every 15 seconds.
_READ_TIMEOUT_SECONDS = 45.0
_CONNECT_TIMEOUT_SECONDS = 10.0
#: What a later attempt may not meet (gRPC status codes).
_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}


class Lost(Exception):
    """The server cannot be reached, or the connection to it is gone; the text says why."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of an event stream (HTML Living Standard, section 9.2.6); what it leaves out is None."""

    cursor: str | None
    name: str
    data: str | None
    retry: int | None


class EventSource(Protocol):
    """A server whose events can be followed. ``renews``: it has a new token when the one before has expired."""

    @property
    def renews(self) -> bool:
        """Whether it does."""

    def listen(self, topics: str, cursor: str | None) -> AbstractContextManager[Iterator[Block]]:
        """Follow topic filters, separated by commas, from a cursor or from now on; entered, the stream is there.

        Raises:
            Lost: there is no connection, or no longer; a later attempt may succeed.
            CannotStart: the server refuses.
        """


#: A token, or what gives one that has not expired, where there is a login.
Token = str | Callable[[], str | None] | None


def source_at(url: str, token: Token, tenant: str | None) -> EventSource:
    """The source at an URL: `http` and `https` are Server-Sent Events, `grpc` and `grpcs` gRPC.

    Raises:
        BadSettings: it is another scheme.
    """
    match urlsplit(url).scheme:
        case "http" | "https":
            return SseSource(url, token, tenant)
        case "grpc" | "grpcs":
            return GrpcSource(url, headers_for(token() if callable(token) else token, tenant))
    raise BadSettings(f"{url}: begins with none of http://, https://, grpc:// and grpcs://")


class SseSource:
    """Server-Sent Events."""

    def __init__(self, url: str, token: Token, tenant: str | None) -> None:
        timeout = httpx.Timeout(_CONNECT_TIMEOUT_SECONDS, read=_READ_TIMEOUT_SECONDS)
        self._client = httpx.Client(base_url=url, timeout=timeout)
        self._token = token
        self._tenant = tenant

    @property
    def renews(self) -> bool:
        """See EventSource."""
        return callable(self._token)

    @contextmanager
    def listen(self, topics: str, cursor: str | None) -> Iterator[Iterator[Block]]:
        """See EventSource."""
        try:
            token = self._token() if callable(self._token) else self._token
        except Unreachable as error:
            raise Lost(str(error)) from None
        headers = {"Accept": "text/event-stream", **headers_for(token, self._tenant)}
        if cursor is not None:
            headers["Last-Event-ID"] = cursor
        try:
            with self._client.stream(
                "GET", "/v1/events", params={"topics": topics}, headers=headers
            ) as answer:
                if answer.status_code != 200:
                    answer.read()
                    refusal = _refusal(answer)
                    raise Lost(refusal) if answer.status_code in (429, 503) else CannotStart(refusal)
                yield read_blocks(answer.iter_lines())
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Lost(str(error) or type(error).__name__) from None


def read_blocks(lines: Iterator[str]) -> Iterator[Block]:
    """Read an event stream line by line; a block that the connection cut off is dropped, as the standard says."""
    cursor, name, data, retry = None, "message", list[str](), None
    for line in lines:
        if not line:
            yield Block(cursor, name, "\n".join(data) if data else None, retry)
            cursor, name, data, retry = None, "message", [], None
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id":
            cursor = value
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "retry" and value.isdigit():
            retry = int(value)


def _refusal(answer: httpx.Response) -> str:
    text = complaint(answer)
    if answer.status_code == 410:
        text += f" What is kept begins at --cursor {answer.json().get('oldestCursor')}"
    return text


class GrpcSource:
    """`EventService.Subscribe` of petstore.v1."""

    renews = False

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        target = urlsplit(url).netloc
        # A peer that has vanished is noticed by its missing answers.
        options = [("grpc.keepalive_time_ms", int(_READ_TIMEOUT_SECONDS * 1000))]
        channel = (
            grpc.secure_channel(target, grpc.ssl_channel_credentials(), options)
            if url.startswith("grpcs:")
            else grpc.insecure_channel(target, options)
        )
        self._events = EventServiceStub(channel)
        self._metadata = tuple((name.lower(), value) for name, value in headers.items())

    @contextmanager
    def listen(self, topics: str, cursor: str | None) -> Iterator[Iterator[Block]]:
        """See EventSource."""
        request = SubscribeRequest(topics=topics.split(","), cursor=cursor or "")
        stream = self._events.Subscribe(request, metadata=self._metadata)
        try:
            # It comes when the subscription is registered, with the cursor where it begins, or not at all.
            begin = dict(stream.initial_metadata()).get("x-cursor")
            if begin is None:
                # Nothing but the error comes.
                next(stream)
            yield _blocks(stream, str(begin))
        except grpc.RpcError as error:
            words = f"{error.code().name}: {error.details()}"
            raise Lost(words) if error.code() in _PASSING else CannotStart(words) from None
        finally:
            stream.cancel()


def _blocks(stream: Iterator[EventBatch], begin: str) -> Iterator[Block]:
    yield Block(begin, "cursor", None, None)
    for batch in stream:
        for event in batch.events:
            # As the other doors write it: a Struct knows no integers.
            envelope = json.loads(MessageToJson(event), parse_float=_number)
            yield Block(
                event.cursor or None, event.event_type, json.dumps(envelope, ensure_ascii=False), None
            )
        if batch.cursor:
            yield Block(batch.cursor, "cursor", None, None)


def _number(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number
