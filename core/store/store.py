"""The store: everything that is put around an operation, in one place, so that no door can forget it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, TypeAdapter

from core.auth.authentication import tenant_of
from core.hub import Hub
from core.kernel.addresses import network_of
from core.kernel.caller import Caller, Credentials, visitor
from core.kernel.clock import Clock, utc_now
from core.kernel.errors import (
    Internal,
    RateLimited,
    StoreError,
    Unavailable,
    ValidationFailed,
    Violation,
    ViolationCode,
)
from core.kernel.events import Draft, Event
from core.kernel.ids import SHARED_TENANT, TenantId
from core.kernel.limits import Limits
from core.kernel.validation import MergePatch, check_body, check_params
from core.ports.coordination import Allowance
from core.ports.records import Transaction
from core.store.context import Context
from core.store.idempotency import IdempotencyKeys
from core.store.operation import AnyOperation
from core.store.parts import Adapters, StoreParts
from core.store.transactions import commit

T = TypeVar("T")

log = logging.getLogger(__name__)

_WINDOW_SECONDS = 60


# What is made for every request is a tuple: a frozen dataclass takes several times as long to make.
class Admission(NamedTuple):
    """What the store makes of a client before it looks at the request.

    ``allowance`` is their budget after this request. ``refusal`` is set when they may not go on; the caller is then
    a visitor.
    """

    caller: Caller
    allowance: Allowance | None
    refusal: StoreError | None = None


class Call(NamedTuple):
    """One request for one operation, as a door translated it.

    ``params`` and ``body`` are unchecked; a body of None means that there was none. ``if_match`` and ``if_none_match``:
    entity tags without quotes, or ``*``.
    """

    operation: AnyOperation
    params: Mapping[str, object] = MappingProxyType({})
    body: object = None
    request_id: str | None = None
    idempotency_key: str | None = None
    if_match: frozenset[str] | None = None
    if_none_match: frozenset[str] | None = None


class Outcome(NamedTuple):
    """The result: ``value`` is of the operation's result model; ``replayed``: it was an earlier request's."""

    value: Any
    replayed: bool = False


class Store(StoreParts):
    """The one object that doors talk to: it runs operations, with everything that belongs around them."""

    def __init__(
        self,
        adapters: Adapters,
        hub: Hub,
        *,
        epoch: int,
        public_url: str,
        limits: Limits | None = None,
        clock: Clock = utc_now,
        classic_open: bool = False,
        advised_chats: bool = False,
    ) -> None:
        super().__init__(
            adapters,
            hub,
            epoch=epoch,
            public_url=public_url,
            limits=limits,
            clock=clock,
            classic_open=classic_open,
            advised_chats=advised_chats,
        )
        self.draining = False
        self._unfinished: set[asyncio.Task[Any]] = set()
        self._keys = IdempotencyKeys(adapters.storage, adapters.signer, clock)
        hub.observers.add(self.cache)
        hub.peers.on_agents = self.agents.hear

    async def admit(self, credentials: Credentials, *, cost: int = 1) -> Admission:
        """Find out who calls and take the request from their budget.

        To check a password is slow on purpose, so the budget of the address pays for the attempt before it is made.
        """
        if credentials.password is not None and credentials.token is None and credentials.api_key is None:
            admission = await self.admit(credentials._replace(username=None, password=None), cost=cost)
            if admission.refusal is not None:
                return admission
            try:
                return admission._replace(caller=await self.authenticator.authenticate(credentials))
            except StoreError as error:
                return admission._replace(refusal=error)
        refusal: StoreError | None = None
        try:
            caller = self.authenticator.recall(credentials) or await self.authenticator.authenticate(
                credentials
            )
        except StoreError as error:
            refusal = error
            caller = visitor(tenant_of(credentials) or SHARED_TENANT, credentials.address)
        limit = self.limits.requests_per_minute
        if not limit:
            return Admission(caller, None, refusal)
        key, of_network = f"{caller.tenant}:{caller.key}", self.limits.network_requests_per_minute
        if not of_network:
            allowance = await self.limiter.hit(key, limit, _WINDOW_SECONDS, cost)
        else:
            network = f"network:{network_of(credentials.address)}"
            allowance, whole = await self.limiter.hit_both(
                key, limit, network, of_network, _WINDOW_SECONDS, cost
            )
            if not whole.allowed:
                refusal = RateLimited(whole.reset, "Too many requests from this network address.")
        if not allowance.allowed:
            refusal = RateLimited(allowance.reset)
        return Admission(caller, allowance, refusal)

    async def execute(self, caller: Caller, call: Call) -> Outcome:
        """Run an operation: the caller's right, the input, the idempotency key, the transaction, the events.

        Raises:
            StoreError: whatever is wrong; nothing has happened then.
        """
        operation = call.operation
        try:
            self.authorise(operation, caller)
            params = check_params(operation.params, call.params)
            body = self._read_body(operation, call.body)
            if operation.writes:
                return await self._to_its_end(self._run_once(caller, call, params, body))
            ctx = Context(self, caller, writes=False, request_id=call.request_id)
            try:
                if operation.prepare is not None:
                    ctx.prepared = await operation.prepare(ctx, params, body)
                return Outcome(await operation.handler(ctx, params, body))
            finally:
                if ctx.is_open:
                    await ctx.close()
        except StoreError:
            raise
        except Exception:
            log.exception(
                "operation failed", extra={"operation": operation.name, "request_id": call.request_id}
            )
            raise Internal from None

    def authorise(self, operation: AnyOperation, caller: Caller) -> None:
        """Pass when the caller may ask for this at all; a door need not ask before it calls.

        Raises:
            Unauthorized, Forbidden: as `Operation.authorise`.
        """
        if not (operation.classic and self.classic_open):
            operation.authorise(caller)

    def _read_body(self, operation: AnyOperation, body: object) -> object:
        if operation.body is None:
            return None
        if operation.patch:
            if not isinstance(body, Mapping):
                raise ValidationFailed((Violation("", "must be a JSON object", ViolationCode.INVALID_TYPE),))
            return MergePatch[BaseModel](body, self.context)
        return check_body(operation.body, body, self.context)

    async def write(
        self, caller: Caller, work: Callable[[Context], Awaitable[T]], request_id: str | None = None
    ) -> T:
        """Do in a transaction what is no operation but a step of a protocol, to its end though the client leaves.

        Raises:
            StoreError: whatever is wrong; nothing has happened then.
        """
        return await self._to_its_end(commit(Context(self, caller, writes=True, request_id=request_id), work))

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Write to the end, though the client leaves: what commits is announced, and answers who asks again."""
        if self.draining:
            work.close()
            raise Unavailable("This node is shutting down.")
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)  # Nobody else will look at how it ends.
            raise

    async def _run_once(self, caller: Caller, call: Call, params: Any, body: Any) -> Outcome:
        """Run a writing operation, unless its idempotency key says that it ran before."""
        operation = call.operation
        ctx = Context(
            self,
            caller,
            writes=True,
            request_id=call.request_id,
            if_match=call.if_match,
            if_none_match=call.if_none_match,
        )
        if call.idempotency_key is None or not operation.idempotent:
            return Outcome(await self._run(ctx, operation, params, body))
        request = [operation.name, dict(call.params), call.body]
        record = self._keys.record_of(caller, call.idempotency_key, request)
        if (response := await self._keys.reserve(record)) is not None:
            value = _adapter(operation).validate_json(response)
            if operation.finish is not None:
                ctx.replays = True
                value = await operation.finish(ctx, params, body, value)
            return Outcome(value, replayed=True)

        async def keep(tx: Transaction, value: object, now: datetime) -> None:
            response = _adapter(operation).dump_json(value, by_alias=True).decode()
            await self._keys.answer(tx, record, response, now)

        ctx.keep = keep
        try:
            return Outcome(await self._run(ctx, operation, params, body))
        except BaseException:
            await asyncio.shield(self._keys.release(record))
            raise

    @staticmethod
    async def _run(ctx: Context, operation: AnyOperation, params: Any, body: Any) -> Any:
        if operation.prepare is not None:
            try:
                ctx.prepared = await operation.prepare(ctx, params, body)
            finally:
                await ctx.close()
        value = await commit(ctx, lambda within: operation.handler(within, params, body))
        if operation.finish is not None:
            value = await operation.finish(ctx, params, body, value)
        return value

    async def finish(self) -> None:
        """Wait for operations that go on without their clients, before the storage is closed."""
        while self._unfinished:
            await asyncio.wait(self._unfinished)

    def broadcast(self, tenant: TenantId, draft: Draft) -> Event:
        """Send an ephemeral event to whoever listens now; it is stored nowhere."""
        event = draft.to_event(tenant, self.clock(), None)
        self.hub.publish(tenant, [event])
        return event

    async def tend(self) -> None:
        """What has to be done every second: what nodes tell each other, and whether something was missed."""
        self.agents.tend()
        await self.revocations.refresh()
        await self.cache.verify()


def _log_failure(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, StoreError):
        log.error("an operation whose client had left failed", exc_info=error)


_adapters: dict[str, TypeAdapter[Any]] = {}


def _adapter(operation: AnyOperation) -> TypeAdapter[Any]:
    adapter = _adapters.get(operation.name)
    if adapter is None:
        adapter = _adapters[operation.name] = TypeAdapter(operation.result or type(None))
    return adapter
