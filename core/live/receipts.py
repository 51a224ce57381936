"""Delivery receipts: messages that reached a client are marked as delivered."""

import asyncio
import logging
from collections import deque

from core.kernel.caller import Caller
from core.kernel.errors import StoreError
from core.services.messages import MARK_DELIVERED
from core.store.store import Call, Store

log = logging.getLogger(__name__)

#: Receipts of one client that wait to be written; what comes beyond is marked when it is read.
_MAX_WAITING_RECEIPTS = 1000


class Receipts:
    """The receipts of one client that wait to be written, and the task that writes them while there are any."""

    __slots__ = ("_store", "_task", "_waiting")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[tuple[Caller, str, str]] = deque()
        self._task: asyncio.Task[None] | None = None

    def add(self, caller: Caller, chat_id: str, message_id: str) -> None:
        """Write soon, for this caller, that a message of the chat was delivered."""
        if len(self._waiting) >= _MAX_WAITING_RECEIPTS:
            return
        self._waiting.append((caller, chat_id, message_id))
        if self._task is None:
            self._task = asyncio.create_task(self._write_receipts())

    def close(self) -> None:
        """Write no more."""
        if self._task is not None:
            self._task.cancel()

    async def _write_receipts(self) -> None:
        try:
            while self._waiting:
                caller, chat_id, message_id = self._waiting.popleft()
                try:
                    call = Call(MARK_DELIVERED, {"id": chat_id, "message_id": message_id})
                    await self._store.execute(caller, call)
                except StoreError as error:
                    log.debug("a message was not marked as delivered: %s", error.detail)
        finally:
            self._task = None
