"""The operations of one client on a WebSocket: answers given once, and subscriptions whose events go on."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from graphql import OperationType

from core.hub import Subscription
from core.kernel.caller import Credentials
from core.kernel.cursor import sequence_of
from core.kernel.errors import Close, Internal, RateLimited, StoreError, Unavailable
from core.live.client import refusal_reason
from core.live.connection import Sink
from core.live.delivery import Delivery
from core.live.session import Session
from protocols.graphql.completions import COMPLETION, completion_answers
from protocols.graphql.context import RequestContext
from protocols.graphql.documents import Document
from protocols.graphql.door import Door
from protocols.graphql.errors import ID_IN_USE, Breach, error_entry, expiry_of
from protocols.graphql.execution import Bound, Prepared, Refused, Request, encode
from protocols.graphql.shared_executions import Membership, SharedDelivery
from protocols.graphql.wire import SocketWire, next_message, places_message, server_message

log = logging.getLogger(__name__)

#: Operations of one connection that may go on at once, and what the documents of its subscriptions may take.
_MAX_OPERATIONS, _MAX_DOCUMENT_BYTES = 100, 1536 * 1024


class _Operation:
    """One operation, by the id that the client gave it; a subscription has a delivery once it has begun.

    ``follows``: it follows events, or is not known to do anything else. ``asks``: it asks the advisor.
    """

    __slots__ = ("asks", "delivery", "document", "follows", "id", "membership", "session", "stream", "task")

    def __init__(self, mark: str, session: Session) -> None:
        self.id = mark
        self.session = session
        self.task: asyncio.Task[None] | None = None
        self.membership: Membership | None = None
        self.stream: Subscription | None = None
        self.delivery: Delivery | None = None
        #: A subscription's.
        self.document: Document | None = None
        self.follows = True
        self.asks = False


class Operations:
    """What one client has under way; ``state`` is the request's, where its id is.

    ``begins`` is the cursor where subscriptions begin that name none.
    """

    __slots__ = ("_door", "_sink", "_state", "_tasks", "_under_way", "begins")

    def __init__(self, door: Door, sink: Sink, state: Mapping[str, Any]) -> None:
        self._door = door
        self._sink = sink
        self._state = state
        self.begins: str | None = None
        self._under_way: dict[str, _Operation] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, mark: str, request: Request, session: Session, credentials: Credentials) -> None:
        """Begin an operation; its answers, or why it has none, are written under its id.

        Raises:
            Breach: the id is in use.
        """
        if mark in self._under_way:
            raise Breach(ID_IN_USE, f"Subscriber for {mark} already exists")
        if len(self._under_way) + len(self._tasks) >= 2 * _MAX_OPERATIONS:
            self._error(mark, error_entry(RateLimited(1, "Too many operations at once.")))
            return
        operation = self._under_way[mark] = _Operation(mark, session)
        task = operation.task = asyncio.create_task(self._run(operation, request, credentials))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, operation: _Operation, request: Request, credentials: Credentials) -> None:
        if self._under_way.get(operation.id) is not operation:
            return  # The client has thought better of it already.
        try:
            known = self._door.engine.follows(request)
            if not known:  # It costs what a request costs, before anything is done.
                await self._charge(credentials)
            prepared = await self._door.engine.prepare(request, credentials.address)
            operation.session.rate.message()
            if self._under_way.get(operation.id) is not operation:
                return
            if prepared.kind is OperationType.SUBSCRIPTION:
                await self._subscribe(operation, prepared, credentials if known else None)
                return
            operation.follows = False
            context = RequestContext(self._door.store, operation.session.caller, self._request_id)
            members = await self._door.engine.run(self._door.engine.build(prepared, context))
            if self._under_way.get(operation.id) is operation:
                del self._under_way[operation.id]
                self._sink.write(next_message(operation.id, encode(members)))
                self._sink.write(server_message("complete", operation.id))
        except ConnectionResetError:
            return  # The reader sees it itself.
        except Refused as refused:
            self._fail(operation, refused.errors)
        except StoreError as error:
            if operation.follows and isinstance(error, Unavailable):
                # An error would end a subscription for good; stock clients begin it again on their next connection.
                operation.session.close(Close(refusal_reason(error), error.detail))
            else:
                self._fail(operation, [error_entry(error)])
        except Exception:  # The boundary of an operation: one that fails does not end the connection.
            log.exception("an operation failed")
            self._fail(operation, [error_entry(Internal())])

    @property
    def _request_id(self) -> str | None:
        request_id: str | None = self._state.get("request_id")
        return request_id

    async def _charge(self, credentials: Credentials) -> None:
        """Take a request from the caller's budget.

        Raises:
            StoreError: they may not go on.
        """
        admission = await self._door.store.admit(credentials)
        if admission.refusal is not None:
            raise admission.refusal

    async def _subscribe(
        self, operation: _Operation, prepared: Prepared, uncharged: Credentials | None
    ) -> None:
        """Begin a subscription. One that the advisor answers costs a request: of those ``uncharged``, if they are."""
        context = RequestContext(self._door.store, operation.session.caller, self._request_id)
        bound = self._door.engine.bind(prepared, context)
        if bound.node.name.value != COMPLETION:
            await self._follow(operation, prepared, bound)
            return
        operation.follows, operation.asks = False, True
        if uncharged is not None:
            await self._charge(uncharged)
        await self._ask(operation, bound)

    async def _ask(self, operation: _Operation, bound: Bound) -> None:
        """Write what the advisor answers, at the client's pace."""
        async with aclosing(completion_answers(self._door.store, bound)) as answers:
            async for answer in answers:
                await self._sink.drain()
                self._sink.write(next_message(operation.id, answer))
        if self._under_way.get(operation.id) is operation:
            del self._under_way[operation.id]
            self._sink.write(server_message("complete", operation.id))

    async def _follow(self, operation: _Operation, prepared: Prepared, bound: Bound) -> None:
        session = operation.session
        operation.document = prepared.document
        documents = [one.document for one in self._under_way.values() if one.document is not None]
        if sum({id(one.tree): one.bytes for one in documents}.values()) > _MAX_DOCUMENT_BYTES:
            raise RateLimited(1, "Too many long documents on one connection.")
        operation.membership = membership = self._door.shared_executions.join(
            prepared, bound, begins=self.begins
        )
        operation.stream = await session.follow_apart(membership.command)
        operation.delivery = SharedDelivery(
            self._sink,
            membership.shared,
            SocketWire(operation.id),
            partial(self._on_end, operation),
        )
        operation.delivery.attach(operation.stream)
        # The protocol has no acknowledgement of a subscription, but lets either side send a pong that nobody asked for.
        self._sink.write(places_message("pong", {operation.id: operation.stream.cursor}, self.cursor))

    def _on_end(self, operation: _Operation, close: Close) -> None:
        """A subscription has ended by itself: for its own reason, or with the connection."""
        if (error := expiry_of(close)) is not None:
            self._fail(operation, [error_entry(error)])
        else:
            operation.session.close(close)

    def _fail(self, operation: _Operation, errors: list[dict[str, Any]]) -> None:
        if self._under_way.get(operation.id) is operation:
            self._error(operation.id, *errors)
            self._stop(operation)

    def refuse(self, mark: str, error: StoreError) -> None:
        """Answer to an operation that does not begin."""
        self._error(mark, error_entry(error))

    def _error(self, mark: str, *errors: dict[str, Any]) -> None:
        self._sink.write(server_message("error", mark, errors))

    def stop(self, mark: str) -> None:
        """The client wants no more of an operation; one that has ended already is passed over."""
        if (operation := self._under_way.get(mark)) is not None:
            self._stop(operation)

    def _stop(self, operation: _Operation) -> None:
        """Forget an operation. One that only answers once runs to its end, for it may write."""
        self._under_way.pop(operation.id, None)
        if operation.delivery is not None:
            operation.delivery.close()
        elif operation.task is not None and (operation.asks or operation.membership is not None):
            operation.task.cancel()
        if operation.stream is not None:
            operation.session.end_apart(operation.stream)
        if operation.membership is not None:
            operation.membership.leave()

    @property
    def cursors(self) -> dict[str, str]:
        """The place of each subscription that has begun, by its id."""
        return {
            mark: operation.delivery.cursor
            for mark, operation in self._under_way.items()
            if operation.delivery is not None and operation.delivery.cursor is not None
        }

    @property
    def cursor(self) -> str | None:
        """The place up to which every subscription has been served; None without any, or while one has yet to begin."""
        if any(one.follows and one.delivery is None for one in self._under_way.values()):
            return None
        return min(self.cursors.values(), key=sequence_of, default=None)

    def pump(self) -> None:
        """Write what is due to every subscription, as far as the client takes it."""
        for operation in list(self._under_way.values()):
            if operation.delivery is not None:
                operation.delivery.pump()

    def stand_still(self) -> None:
        """Write no more events: the places are final."""
        for operation in self._under_way.values():
            if operation.delivery is not None:
                operation.delivery.close()
            elif operation.asks and operation.task is not None:
                operation.task.cancel()

    async def end(self) -> None:
        """Leave nothing behind."""
        for task in self._tasks:
            task.cancel()
        for operation in list(self._under_way.values()):
            self._stop(operation)
        if self._tasks:
            await asyncio.wait(self._tasks)
