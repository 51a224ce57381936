"""What a person can do at a door, whatever it speaks.

Everything comes back as REST shows it: camelCase members, enum values in UPPER_SNAKE, no member without a value. So
a scenario compares what two doors say with ``==``.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from tests.conformance.people import Person
from tests.conformance.target import Node
from tests.waiting import TIMEOUT_SECONDS, within

Event = dict[str, Any]
#: In the place of a slug, where the protocol has no way to say why something was refused or ended.
UNTOLD = "untold"


class Ability(StrEnum):
    """What a door may offer beside the store's operations."""

    FOLLOW = "follows topics"
    RESUME = "resumes from a cursor"
    CONVERSE = "holds a chat"
    RENEW = "renews a login in mid-stream"
    PUBLISH = "takes readings that are published to a topic"
    IF_MATCH = "changes on a condition"
    IDEMPOTENCY = "takes an idempotency key"
    ECHO = "takes back what only the store writes"
    ASK = "asks the advisor"
    DECIDE = "decides on applications"
    RESOURCES = "shows resources, and tells that they have changed"


class Refused(Exception):
    """A refusal, in the store's words: ``code`` is the slug; ``fields`` are (field, code) of a body's violations."""

    def __init__(
        self,
        code: str,
        *,
        fields: Sequence[tuple[str, str]] = (),
        oldest_cursor: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.fields = tuple(fields)
        self.oldest_cursor = oldest_cursor
        self.retry_after = retry_after


@dataclass(frozen=True)
class Answer:
    """What a call gave: a resource, or ``{"data": [...], "pagination": {...}}``; None when there is nothing to say."""

    value: Any
    etag: str | None = None
    replayed: bool = False


@dataclass(frozen=True)
class Told:
    """What the advisor has answered, whole: its text, why it ends, and its tokens; ``parts`` are those it came in."""

    text: str
    finish_reason: str
    usage: dict[str, int]
    parts: int


@dataclass(frozen=True)
class Shown:
    """What a resource holds, and the cursor of what is not in it."""

    value: Any
    cursor: str


class Cues:
    """What somebody is told of resources that have changed."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def put(self, uri: str, cursor: str) -> None:
        """Called by the driver for each cue."""
        self._heard.put_nowait((uri, cursor))

    async def next(self) -> tuple[str, str]:
        """The next cue: which resource has changed, and the cursor."""
        return await within(self._heard.get())


@dataclass(frozen=True)
class End:
    """How a stream ended: the slug of the error, or of the reason, and the cursor to go on from, as far as told."""

    code: str
    cursor: str | None = None
    oldest_cursor: str | None = None


@dataclass
class Stream:
    """Somebody who follows topics. ``cursor`` is the acknowledgement's; ``retained`` is a state told in advance.

    ``reading`` is cleared to read no more: a driver waits for it before each read, so that the transport fills up.
    """

    cursor: str = ""
    retained: list[Event] = field(default_factory=list)
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    _events: "asyncio.Queue[Event | End]" = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self.reading.set()

    def put(self, event: Event) -> None:
        """Called by the driver for each event."""
        self._events.put_nowait(event)

    def end(self, end: End) -> None:
        """Called by the driver at the end, once."""
        self._events.put_nowait(end)

    async def next(self) -> Event:
        """The next event."""
        told = await within(self._events.get())
        assert not isinstance(told, End), f"the stream ended: {told}"
        return told

    async def take(self, count: int) -> list[Event]:
        """So many events."""
        return [await self.next() for _ in range(count)]

    async def until(self, is_last: Callable[[Event], bool]) -> list[Event]:
        """All events up to one of a kind, with that one."""
        events = [await self.next()]
        while not is_last(events[-1]):
            events.append(await self.next())
        return events

    async def ended(self) -> End:
        """Wait for the end; events before it are passed over."""
        while not isinstance(told := await within(self._events.get()), End):
            pass
        return told

    @property
    def untold(self) -> list[Event | End]:
        """What came and was not asked for yet."""
        return [self._events.get_nowait() for _ in range(self._events.qsize())]


@dataclass(frozen=True)
class Heard:
    """What somebody in a chat is told: a name of the live vocabulary, and its data."""

    name: str
    data: dict[str, Any]


class Conversation:
    """Somebody at a chat connection. Names are those of the live vocabulary: ``chatMessage``, ``typingStarted`` …"""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()

    async def join(self, chat_id: str | None = None, subject: str | None = None) -> dict[str, Any]:
        """Join a chat, or open one; the chat."""
        raise NotImplementedError

    async def leave(self, chat_id: str) -> None:
        """Leave a chat."""
        raise NotImplementedError

    async def say(self, chat_id: str, text: str, client_message_id: str | None = None) -> dict[str, Any]:
        """Say something; the message."""
        raise NotImplementedError

    async def typing(self, chat_id: str, started: bool) -> None:
        """Begin or stop to type."""
        raise NotImplementedError

    async def read(self, chat_id: str, message_id: str) -> None:
        """Mark a message as read."""
        raise NotImplementedError

    def tell(self, name: str, data: dict[str, Any]) -> None:
        """Called by the driver for each message of the server."""
        self._heard.put_nowait(Heard(name, data))

    async def hear(self, name: str) -> dict[str, Any]:
        """The data of the next message of a name; others are passed over."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while (heard := await self._heard.get()).name != name:
                pass
        return heard.data


#: Called with each frame of the server as it came over the wire: (server of the AsyncAPI document, channel, frame); the
#: shapes are those of tests/asyncapi.py.
OnFrame = Callable[[str, str | None, dict[str, Any]], None]


class Driver:
    """One person at one door. A door overrides what it offers, and names it in ``operations`` and ``abilities``.

    ``node`` is where they come to. ``on_frame`` is told of each frame that comes at a door
    which the AsyncAPI document describes.
    """

    #: The catalogue's names of the operations that can be called here.
    operations: ClassVar[frozenset[str]] = frozenset()
    abilities: ClassVar[frozenset[Ability]] = frozenset()

    def __init__(self, node: Node, person: Person, on_frame: OnFrame) -> None:
        self.node = node
        self.person = person
        self.on_frame = on_frame

    @classmethod
    def says(cls, code: str) -> frozenset[str]:
        """What may be told here where the store says ``code``."""
        return frozenset({code})

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
        """Call an operation of the catalogue; ``params`` are its parameters in camelCase, ``key`` is for idempotency.

        Raises:
            Refused: it was refused.
        """
        raise NotImplementedError

    def follow(self, *topics: str, cursor: str | None = None) -> AbstractAsyncContextManager[Stream]:
        """Follow topics, open when nothing can be missed any more.

        Raises:
            Refused: it was refused.
        """
        raise NotImplementedError

    def converse(self) -> AbstractAsyncContextManager[Conversation]:
        """Open a chat connection."""
        raise NotImplementedError

    async def ask(self, body: dict[str, Any]) -> Told:
        """Ask the advisor: ``messages``, and ``maxTokens`` and the like, as REST has them.

        Raises:
            Refused: it was refused.
        """
        raise NotImplementedError

    async def read_resource(self, uri: str) -> Shown:
        """Read a resource.

        Raises:
            Refused: it was refused.
        """
        raise NotImplementedError

    def listen(self, *uris: str) -> AbstractAsyncContextManager[Cues]:
        """Listen to changes of resources, open when nothing can be missed any more.

        Raises:
            Refused: it was refused.
        """
        raise NotImplementedError

    async def publish(self, topic: str, payload: Any) -> None:
        """Publish telemetry, acknowledged.

        Raises:
            Refused: it was refused.
        """
        raise NotImplementedError

    async def renew(self, stream: Stream, token: str) -> None:
        """Renew the login of a stream with a new access token."""
        raise NotImplementedError


async def refusal(attempt: Any) -> Refused:
    """The error of an attempt that must be refused: a coroutine, or the context of a stream or conversation."""
    try:
        if isinstance(attempt, AbstractAsyncContextManager):
            async with attempt as opened:
                raise AssertionError(f"not refused: {opened}")
        answer = await attempt
    except Refused as error:
        return error
    raise AssertionError(f"not refused: {answer}")
