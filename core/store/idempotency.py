"""Idempotency keys: a request that is sent again is answered with the first one's response, not run again."""

import hashlib
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic_core import to_json

from core.kernel.caller import Caller
from core.kernel.clock import Clock
from core.kernel.errors import StillRunning, Unavailable, ValidationFailed, Violation, ViolationCode
from core.kernel.ids import TenantId
from core.models.idempotency import IdempotencyRecord
from core.ports.records import RecordStorage, Taken, Transaction, TransientFailure
from core.ports.security import TokenSigner
from core.store.transactions import transact

log = logging.getLogger(__name__)

#: What a violation calls the key; a door that takes it beside the request says what it is called there.
KEY_NAME = "idempotencyKey"
_KEY_MAX_CHARACTERS = 255
#: How long a response can be replayed.
_REPLAYABLE = timedelta(hours=24)
#: How long a request may run before another one may take its key.
_LEASE_TIME = timedelta(seconds=60)


class IdempotencyKeys:
    """The keys of each caller, reserved while their first request runs."""

    def __init__(self, storage: RecordStorage, signer: TokenSigner, clock: Clock) -> None:
        self._storage = storage
        self._signer = signer
        self._clock = clock

    def record_of(self, caller: Caller, key: str, request: object) -> IdempotencyRecord:
        """The record of a request that has yet to run; ``request`` is all that the response depends on.

        Raises:
            ValidationFailed: the key is malformed.
        """
        if not 1 <= len(key) <= _KEY_MAX_CHARACTERS or not key.isprintable():
            message = f"must have 1 to {_KEY_MAX_CHARACTERS} printable characters"
            raise ValidationFailed((Violation(KEY_NAME, message, ViolationCode.INVALID_LENGTH),))
        # A keyed hash: the request may hold a card number, which must not be found out from what is kept.
        fingerprint = self._signer.digest(to_json(_canonical(request), fallback=str, bytes_mode="base64"))
        return IdempotencyRecord(
            id=hashlib.sha256(f"{caller.owner}\0{key}".encode()).hexdigest(),
            tenant_id=caller.tenant,
            fingerprint=fingerprint.hex(),
            response=None,
            expires_at=self._clock() + _LEASE_TIME,
        )

    async def reserve(self, record: IdempotencyRecord) -> str | None:
        """Take the key for this request; gives the response of the first one when it has been answered.

        Raises:
            StillRunning: the first request is still running.
            ValidationFailed: the key was used for another request.
            Unavailable: see ``transact``.
        """

        async def take(tx: Transaction) -> IdempotencyRecord | None:
            known = await tx.get(IdempotencyRecord, record.id, lock=True)
            if known is None:
                try:
                    await tx.insert(record)
                except Taken:
                    raise TransientFailure("the same key was taken at the same time") from None
                return None
            if known.expires_at <= self._clock():
                await tx.update(record)
                return None
            return known

        known = await transact(self._storage, TenantId(record.tenant_id), take)
        if known is None:
            return None
        if known.fingerprint != record.fingerprint:
            message = "was used for another request"
            raise ValidationFailed((Violation(KEY_NAME, message, ViolationCode.INVALID_FORMAT),))
        if known.response is None:
            raise StillRunning
        return known.response

    async def answer(self, tx: Transaction, record: IdempotencyRecord, response: str, now: datetime) -> None:
        """Keep the response, in the transaction of the request itself."""
        await tx.update(record.model_copy(update={"response": response, "expires_at": now + _REPLAYABLE}))

    async def release(self, record: IdempotencyRecord) -> None:
        """Let the key go after a request that failed, unless another one has it by now."""

        async def let_go(tx: Transaction) -> None:
            known = await tx.get(IdempotencyRecord, record.id, lock=True)
            if known is not None and known.response is None and known.expires_at == record.expires_at:
                await tx.delete(IdempotencyRecord, record.id)

        try:
            await transact(self._storage, TenantId(record.tenant_id), let_go)
        except Unavailable:
            log.warning("an idempotency key stays reserved until its lease ends")


def _canonical(value: object) -> object:
    """The same for the same JSON value, in whatever order its members come, and whether 3 is written 3 or 3.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _canonical(value[name]) for name in sorted(value)}
    return [_canonical(item) for item in value] if isinstance(value, list) else value
