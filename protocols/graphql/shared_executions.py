"""Subscribers with one document, equal variables and equal permissions cost one execution for each event."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Protocol

import orjson
from graphql import Executor, VariableNode

from core.hub import Batch
from core.kernel.caller import Caller, Role
from core.kernel.errors import Close, RateLimited
from core.kernel.events import Event
from core.kernel.turns import Slices
from core.kernel.validation import check_params
from core.live.commands import Subscribe
from core.live.connection import Sink
from core.live.delivery import Delivery
from core.store.store import Store
from protocols.graphql.context import RequestContext
from protocols.graphql.execution import Bound, Prepared, encode, members_of
from protocols.graphql.feeds import FEEDS, Feed

#: Answers to events that are kept for subscribers who come to them later, and batches likewise.
_MAX_ANSWERS, _MAX_BATCHES = 256, 2
#: Batches as they go out are kept for so many ids; clients who count their operations all begin with the same.
_MAX_IDS = 8
#: Executions that one caller may follow over all their connections, and what their documents may take. Each is work for
#: every event that concerns it.
_MAX_EXECUTIONS, _MAX_DOCUMENT_BYTES = 500, 8 * 1024 * 1024


class Wire(Protocol):
    """How a transport writes answers.

    Wires of equal ``shape`` write the same but for what ``finish`` puts in; those of equal ``mark`` write the same.
    """

    @property
    def shape(self) -> object:
        """What answers written with ``frame`` depend on."""

    @property
    def mark(self) -> object:
        """What they depend on when they are finished."""

    def frame(self, event: Event, answer: bytes) -> bytes:
        """One answer."""

    def finish(self, frames: bytes) -> bytes:
        """Several answers, joined, as they go out."""


class SharedExecution:
    """One document with its variables, for callers with equal permissions; ``executions`` counts how often it ran."""

    def __init__(
        self,
        store: Store,
        executor: Executor[RequestContext],
        feed: Feed,
        slices: Slices,
        document_bytes: int,
    ) -> None:
        self.topics = feed.topics
        self.document_bytes = document_bytes
        self.members = 0
        self.executions = 0
        self._store = store
        self.slices = slices
        self._executor = executor
        self._caller = executor.context_value.caller
        self._value = feed.value
        self._answers: OrderedDict[str, bytes | asyncio.Future[bytes]] = OrderedDict()
        self._batches: OrderedDict[int, _Written] = OrderedDict()
        #: Batches whose answers are under way.
        self._making: dict[int, asyncio.Task[_Written]] = {}

    def encoded(self, batch: Batch, wire: Wire) -> bytes | asyncio.Future[bytes]:
        """The answers to a batch.

        A future where resolvers have to wait, or where there are too many events for one turn of the loop: the
        execution is shared all the same.
        """
        written = self._batches.get(id(batch))
        if written is not None:
            return written.for_wire(wire)
        making = self._making.get(id(batch))
        if making is None:
            # One event at least, so that it goes on however little is left of the turn.
            answers = [self._answer(batch.events[0])]
            for event in batch.events[1:]:
                if self.slices.over:
                    break
                answers.append(self._answer(event))
            if len(answers) == len(batch.events) and all(isinstance(answer, bytes) for answer in answers):
                written = self._remember(batch, answers)  # type: ignore[arg-type] # all are bytes
                return written.for_wire(wire)
            making = self._making[id(batch)] = asyncio.create_task(self._make(batch, answers))
        return asyncio.ensure_future(self._await(making, wire))

    async def _await(self, making: "asyncio.Task[_Written]", wire: Wire) -> bytes:
        return (await asyncio.shield(making)).for_wire(wire)

    async def _make(self, batch: Batch, begun: Sequence[bytes | asyncio.Future[bytes]]) -> "_Written":
        """Find the answers to a batch, of which the first are there or under way."""
        try:
            done = []
            for place, event in enumerate(batch.events):
                if place < len(begun):
                    answer = begun[place]
                else:
                    await self.slices.begun()
                    answer = self._answer(event)
                done.append(answer if isinstance(answer, bytes) else await asyncio.shield(answer))
            return self._remember(batch, done)
        finally:
            del self._making[id(batch)]

    def _remember(self, batch: Batch, answers: list[bytes]) -> "_Written":
        written = self._batches[id(batch)] = _Written(batch, answers)
        if len(self._batches) > _MAX_BATCHES:
            self._batches.popitem(last=False)
        return written

    def _answer(self, event: Event) -> bytes | asyncio.Future[bytes]:
        known = self._answers.get(event.id)
        if known is None:
            known = self._answers[event.id] = self._execute(event)
            if len(self._answers) > _MAX_ANSWERS:
                self._answers.popitem(last=False)
        return known

    def _execute(self, event: Event) -> bytes | asyncio.Future[bytes]:
        """The answer to an event; nothing where the field does not show it."""
        value = self._value(event)
        if value is None:
            return b""
        self.executions += 1
        executor = self._executor.build_per_event_executor(value)
        executor.context_value = RequestContext(self._store, self._caller, event.request_id, event)
        result = executor.execute_operation(False)
        if isawaitable(result):
            return asyncio.ensure_future(_finished(event, result))
        return _answer_of(event, result)


async def _finished(event: Event, result: Any) -> bytes:
    return _answer_of(event, await result)


def _answer_of(event: Event, result: Any) -> bytes:
    members = members_of(result)
    if event.cursor is not None:
        members["extensions"] = {"cursor": event.cursor}
    return encode(members)


class _Written:
    """A batch's answers, and what was made of them. It keeps the batch, so that its identity stays its own."""

    __slots__ = ("_answers", "_batch", "_finished", "_frames")

    def __init__(self, batch: Batch, answers: list[bytes]) -> None:
        self._batch = batch
        self._answers = answers
        self._frames: dict[object, bytes] = {}
        self._finished: dict[object, bytes] = {}

    def for_wire(self, wire: Wire) -> bytes:
        """The answers as they go out on a wire."""
        finished = self._finished.get(wire.mark)
        if finished is not None:
            return finished
        frames = self._frames.get(wire.shape)
        if frames is None:
            frames = self._frames[wire.shape] = b"".join(
                [
                    wire.frame(event, answer)
                    for event, answer in zip(self._batch.events, self._answers, strict=True)
                    if answer
                ]
            )
        finished = wire.finish(frames)
        if len(self._finished) < _MAX_IDS:
            self._finished[wire.mark] = finished
        return finished


class SharedDelivery(Delivery):
    """Delivers to one subscriber the answers of a shared execution."""

    __slots__ = ("_shared", "_waits", "_wire")

    def __init__(
        self, sink: Sink, shared: SharedExecution, wire: Wire, on_end: Callable[[Close], None]
    ) -> None:
        super().__init__(sink, on_end)
        self._shared = shared
        self._wire = wire
        #: Whether its turn is to come.
        self._waits = False

    def pump(self) -> None:
        """See `Delivery`; in a later turn of the loop when others have used up this one."""
        if self._waits:
            return
        if self._shared.slices.over:
            self._waits = True
            self._shared.slices.later(self._pump_later)
        else:
            super().pump()

    def _pump_later(self) -> None:
        self._waits = False
        super().pump()

    def deliver(self, batch: Batch) -> asyncio.Future[bytes] | None:
        """Write the answers, or give the future where resolvers have to wait."""
        encoded = self._shared.encoded(batch, self._wire)
        if not isinstance(encoded, bytes):
            return encoded
        if encoded:
            self._sink.write(encoded)
        return None


def _permissions_of(caller: Caller) -> object:
    """Callers with equal permissions see the same: all visitors, all STAFF with equal scopes, and otherwise only each
    caller alone."""
    alike = caller.role in (Role.VISITOR, Role.STAFF)
    return caller.tenant, caller.role, caller.scopes, caller.topics, None if alike else caller.key


@dataclass(frozen=True, slots=True)
class Statistics:
    """What is followed at the moment, by how many, and how often anything was executed for an event."""

    documents: int
    subscribers: int
    executions: int


class SharedExecutions:
    """The documents that somebody follows at the moment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._slices = store.slices
        self._shared: dict[object, SharedExecution] = {}
        #: What each caller follows, and how often.
        self._followed: dict[object, Counter[object]] = {}
        self._ended = 0

    def __iter__(self) -> Iterator[SharedExecution]:
        return iter(self._shared.values())

    def statistics(self) -> Statistics:
        """Figures for metrics."""
        members = sum(shared.members for shared in self)
        return Statistics(len(self._shared), members, self._ended + sum(shared.executions for shared in self))

    def join(
        self, prepared: Prepared, bound: Bound, *, begins: str | None = None, resumes: str | None = None
    ) -> "Membership":
        """Follow a document. Whoever joins has to leave.

        The document's ``after`` says where; ``begins`` where it says nothing, and ``resumes`` whatever it says.

        Raises:
            StoreError: its arguments lead nowhere, or the caller follows too much.
        """
        executor, node, arguments = bound
        caller, given = executor.context_value.caller, dict(arguments)
        after = given.pop("after", None)
        cursor = resumes or (begins if after is None else after)
        name = node.name.value
        feed = FEEDS[name](given)
        # Checked here, so that the group is known to be sound before anybody is in it.
        command = check_params(Subscribe, {"topics": list(feed.topics), "cursor": cursor})
        of_cursor = {
            argument.value.name.value
            for argument in node.arguments or ()
            if argument.name.value == "after" and isinstance(argument.value, VariableNode)
        }
        variables = {
            name: value for name, value in prepared.request.variables.items() if name not in of_cursor
        }
        key = (
            _permissions_of(caller),
            prepared.request.query,
            prepared.request.operation_name,
            orjson.dumps(variables, option=orjson.OPT_SORT_KEYS),
        )
        document_bytes = prepared.document.bytes
        self._check(caller.identity, key, document_bytes)
        shared = self._shared.get(key)
        if shared is None:
            shared = SharedExecution(self._store, executor, feed, self._slices, document_bytes)
            self._shared[key] = shared
        shared.members += 1
        self._followed.setdefault(caller.identity, Counter())[key] += 1
        return Membership(self, key, shared, command, caller.identity)

    def _check(self, caller: object, key: object, document_bytes: int) -> None:
        followed = self._followed.get(caller, Counter())
        if key in followed:
            return
        if len(followed) >= _MAX_EXECUTIONS:
            raise RateLimited(1, "Too many different subscriptions over all connections.")
        if document_bytes + sum(self._shared[one].document_bytes for one in followed) > _MAX_DOCUMENT_BYTES:
            raise RateLimited(1, "Too many long documents over all connections.")

    def leave(self, key: object, shared: SharedExecution, caller: object) -> None:
        """Forget a document that nobody follows any more."""
        followed = self._followed[caller]
        followed[key] -= 1
        if not followed[key]:
            del followed[key]
        if not followed:
            del self._followed[caller]
        shared.members -= 1
        if not shared.members:
            self._ended += shared.executions
            del self._shared[key]


class Membership:
    """One subscriber's part in a shared document: ``command`` is what it follows."""

    __slots__ = ("_caller", "_executions", "_key", "_left", "command", "shared")

    def __init__(
        self,
        executions: SharedExecutions,
        key: object,
        shared: SharedExecution,
        command: Subscribe,
        caller: object,
    ) -> None:
        self.shared = shared
        self.command = command
        self._executions = executions
        self._key = key
        self._caller = caller
        self._left = False

    def leave(self) -> None:
        """Follow no more; a second time has no effect."""
        if not self._left:
            self._left = True
            self._executions.leave(self._key, self.shared, self._caller)
