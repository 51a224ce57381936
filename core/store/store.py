"""The store: everything that is put around an operation, in one place, so that no door can forget it."""

import asyncio
import hashlib
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json

from core.auth.authentication import KnownCallers, authenticate, recall, tenant_of
from core.auth.revocations import Revocations
from core.hub import Hub
from core.kernel.caller import Caller, Credentials, visitor
from core.kernel.clock import Clock, utc_now
from core.kernel.errors import (
    Conflict,
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
from core.kernel.model import Params
from core.kernel.validation import MergePatch, check_body, check_params
from core.models.idempotency import IdempotencyRecord
from core.ports.coordination import Allowance, RateLimiter
from core.ports.images import ImageStore
from core.ports.payments import PaymentProcessor
from core.ports.records import StorageDown, Taken, TransientFailure
from core.ports.security import PasswordHasher, TokenSigner
from core.ports.storage import Storage
from core.store.agents import ConnectedAgents
from core.store.context import Context
from core.store.operation import AnyOperation
from core.store.read_cache import ReadCache

log = logging.getLogger(__name__)

_ATTEMPTS = 6
_KEPT = timedelta(hours=24)
_LEASE = timedelta(seconds=60)


# What is made for every request is a tuple: a frozen dataclass takes several times as long to make.
class Admission(NamedTuple):
    """What the store makes of a client before it looks at his request.

    ``allowance`` is his budget after this request. ``refusal`` is set when he may not go on; the caller is then a
    visitor.
    """

    caller: Caller
    allowance: Allowance | None
    refusal: StoreError | None = None


class Call(NamedTuple):
    """One request for one operation, as a door translated it.

    ``params`` and ``body`` are unchecked, unless ``params`` are of the operation's own model; a body of None means that
    there was none. ``if_match``: entity tags without quotes, or ``*``.
    """

    operation: AnyOperation
    params: Mapping[str, object] | Params = MappingProxyType({})
    body: object = None
    request_id: str | None = None
    idempotency_key: str | None = None
    if_match: frozenset[str] | None = None


class Outcome(NamedTuple):
    """The answer: ``value`` is of the operation's result model; ``replayed``: it was given once before."""

    value: Any
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Ports:
    """What the store is built on."""

    storage: Storage
    limiter: RateLimiter
    hasher: PasswordHasher
    signer: TokenSigner
    images: ImageStore
    processor: PaymentProcessor


class Store:
    """The one object that doors talk to."""

    def __init__(
        self, ports: Ports, hub: Hub, *, epoch: int, limits: Limits | None = None, clock: Clock = utc_now
    ) -> None:
        self.storage = ports.storage
        self.limiter = ports.limiter
        self.hasher = ports.hasher
        self.signer = ports.signer
        self.images = ports.images
        self.processor = ports.processor
        self.hub = hub
        self.epoch = epoch
        self.limits = limits or Limits()
        self.clock = clock
        self.known = KnownCallers()
        self.agents = ConnectedAgents(hub.peers.tell_agents)
        self.cache = ReadCache(ports.storage)
        self.revocations = Revocations(ports.storage, clock)
        self.draining = False
        hub.observers.add(self.cache)
        hub.peers.on_agents = self.agents.hear

    async def admit(self, credentials: Credentials, *, cost: int = 1) -> Admission:
        """Find out who calls and take the request from his budget."""
        refusal: StoreError | None = None
        try:
            caller = recall(self, credentials) or await authenticate(self, credentials)
        except StoreError as error:
            refusal = error
            caller = visitor(tenant_of(credentials) or SHARED_TENANT, credentials.address)
        except StorageDown:
            return Admission(
                visitor(SHARED_TENANT, credentials.address), None, Unavailable("The database is away.")
            )
        limit = self.limits.requests_per_minute
        if not limit:
            return Admission(caller, None, refusal)
        allowance = await self.limiter.hit(f"{caller.tenant}:{caller.key}", limit, 60, cost)
        if not allowance.allowed:
            refusal = RateLimited(allowance.reset)
        return Admission(caller, allowance, refusal)

    async def execute(self, caller: Caller, call: Call) -> Outcome:
        """Run an operation: the caller's right, his input, his idempotency key, the transaction, the events.

        Raises:
            StoreError: whatever is wrong; nothing has happened then.
        """
        operation = call.operation
        try:
            operation.authorise(caller)
            params = check_params(operation.params, call.params)
            body = self._read_body(operation, call.body)
            if operation.writes:
                return await self._write(caller, call, params, body)
            ctx = Context(self, caller, writes=False, request_id=call.request_id, if_match=call.if_match)
            try:
                if operation.prepare is not None:
                    ctx.prepared = await operation.prepare(ctx, params, body)
                return Outcome(await operation.handler(ctx, params, body))
            finally:
                if ctx.is_open:
                    await ctx.close()
        except StoreError:
            raise
        except StorageDown:
            raise Unavailable("The database is away.") from None
        except Exception:
            log.exception(
                "operation failed", extra={"operation": operation.name, "request_id": call.request_id}
            )
            raise Internal from None

    @staticmethod
    def _read_body(operation: AnyOperation, body: object) -> object:
        if operation.body is None:
            return None
        if operation.patch:
            if not isinstance(body, Mapping):
                raise ValidationFailed((Violation("", "must be a JSON object", ViolationCode.INVALID_TYPE),))
            return MergePatch[BaseModel](body)
        return check_body(operation.body, body)

    async def _write(self, caller: Caller, call: Call, params: Any, body: Any) -> Outcome:
        if self.draining:
            raise Unavailable("This node is shutting down.")
        record: IdempotencyRecord | None = None
        if call.idempotency_key is not None and call.operation.idempotent:
            record = self._idempotency_record(caller, call)
            if (known := await self._reserve(record)) is not None:
                return self._replay(call.operation, known)
        try:
            value = await self._transact(caller, call, params, body, record)
        except BaseException:
            if record is not None:
                await asyncio.shield(self._release(record))
            raise
        return Outcome(value)

    async def _transact(
        self, caller: Caller, call: Call, params: Any, body: Any, record: IdempotencyRecord | None
    ) -> Any:
        operation = call.operation
        ctx = Context(self, caller, writes=True, request_id=call.request_id, if_match=call.if_match)
        if operation.prepare is not None:
            try:
                ctx.prepared = await operation.prepare(ctx, params, body)
            finally:
                await ctx.close()
        prepared = ctx.prepared
        for attempt in range(1, _ATTEMPTS + 1):
            ctx = Context(self, caller, writes=True, request_id=call.request_id, if_match=call.if_match)
            ctx.prepared = prepared
            try:
                async with self.storage.write(caller.tenant) as tx:
                    ctx.use(tx)
                    value = await operation.handler(ctx, params, body)
                    if record is not None:
                        answer = _adapter(operation).dump_json(value, by_alias=True).decode()
                        await tx.update(
                            record.model_copy(update={"response": answer, "expires_at": ctx.now + _KEPT})
                        )
                    events = await ctx.append()
            except TransientFailure:
                if attempt == _ATTEMPTS:
                    raise Unavailable("Too many writers at once.") from None
                await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter, not a secret
                continue
            if events:
                self.hub.publish(caller.tenant, events)
            for subjects in ctx.revoked:
                await self.revocations.revoke(subjects)
            for work in ctx.afterwards:
                await work()
            return value
        raise AssertionError("unreachable")

    def _idempotency_record(self, caller: Caller, call: Call) -> IdempotencyRecord:
        key = call.idempotency_key or ""
        if not 1 <= len(key) <= 255 or not key.isprintable():
            raise ValidationFailed(
                (
                    Violation(
                        "Idempotency-Key",
                        "must have 1 to 255 printable characters",
                        ViolationCode.INVALID_LENGTH,
                    ),
                )
            )
        # A keyed hash: the input may hold a card number, which must not be found out from what is kept.
        given = to_json(
            [call.operation.name, dict(call.params), call.body], fallback=str, bytes_mode="base64"
        )
        return IdempotencyRecord(
            id=hashlib.sha256(f"{caller.key}\0{key}".encode()).hexdigest(),
            tenant_id=caller.tenant,
            fingerprint=self.signer.digest(given).hex(),
            response=None,
            expires_at=self.clock() + _LEASE,
        )

    async def _reserve(self, record: IdempotencyRecord) -> IdempotencyRecord | None:
        """Take the key for this request; gives the record of the first one when that has been answered."""
        for _ in range(_ATTEMPTS):
            try:
                async with self.storage.write(TenantId(record.tenant_id)) as tx:
                    known = await tx.get(IdempotencyRecord, record.id, lock=True)
                    if known is None:
                        await tx.insert(record)
                        return None
                    if known.expires_at <= self.clock():
                        await tx.update(record)
                        return None
            except (Taken, TransientFailure):
                continue
            if known.fingerprint != record.fingerprint:
                message = "was used for another request"
                raise ValidationFailed((Violation("Idempotency-Key", message, ViolationCode.INVALID_FORMAT),))
            if known.response is None:
                raise Conflict("The first request with this Idempotency-Key is still running.")
            return known
        raise Unavailable("Too many writers at once.")

    async def _release(self, record: IdempotencyRecord) -> None:
        try:
            async with self.storage.write(TenantId(record.tenant_id)) as tx:
                known = await tx.get(IdempotencyRecord, record.id, lock=True)
                if known is not None and known.response is None and known.expires_at == record.expires_at:
                    await tx.delete(IdempotencyRecord, record.id)
        except (StorageDown, TransientFailure):
            log.warning("an idempotency key stays reserved until its lease ends")

    @staticmethod
    def _replay(operation: AnyOperation, known: IdempotencyRecord) -> Outcome:
        return Outcome(_adapter(operation).validate_json(known.response or "null"), replayed=True)

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


_adapters: dict[str, TypeAdapter[Any]] = {}


def _adapter(operation: AnyOperation) -> TypeAdapter[Any]:
    adapter = _adapters.get(operation.name)
    if adapter is None:
        adapter = _adapters[operation.name] = TypeAdapter(operation.result or type(None))
    return adapter
