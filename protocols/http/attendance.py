"""Whether somebody still waits for an answer: the client, in whose rights it is made, and its session."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from core.kernel.errors import Closed
from core.live.connection import ClientConnection
from core.live.session import Session
from protocols.http.exchange import ClientGone, Exchange

T = TypeVar("T")

#: Nobody looks whether the client has left before this. Who sends a request and ends its side of the connection, as is
#: allowed, looks like one that has left, and would lose an answer that is there at once.
_UNHEEDED_SECONDS = 0.25


class Attendance:
    """Lets work go on while the client is there and its session is open."""

    def __init__(self, exchange: Exchange, session: Session) -> None:
        self._exchange = exchange
        self._session = session
        self._gone: asyncio.Future[None] | None = None

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """What work comes to; it is cancelled when nobody waits for it any more.

        Raises:
            ClientGone: the client has left.
            Closed: the store has ended the session.
        """
        task = asyncio.ensure_future(work)
        try:
            if self._gone is None:
                await asyncio.wait(
                    (task, self._session.closed),
                    timeout=_UNHEEDED_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            if not task.done() and not self._session.closed.done():
                self._gone = self._gone or asyncio.ensure_future(_until_gone(self._exchange))
                await asyncio.wait(
                    (task, self._gone, self._session.closed), return_when=asyncio.FIRST_COMPLETED
                )
            if task.done():
                return task.result()
            if self._session.closed.done():
                raise Closed(self._session.closed.result())
            raise ClientGone
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))

    async def until_writable(self, sink: ClientConnection) -> None:
        """Wait until more may be written.

        Raises:
            ConnectionResetError: the client has left.
            Closed: the store has ended the session.
        """
        if self._session.closed.done():
            raise Closed(self._session.closed.result())
        if not sink.writable:
            await self.during(sink.drain())

    async def end(self) -> None:
        """Look no more."""
        if self._gone is not None:
            self._gone.cancel()
            await asyncio.wait((self._gone,))


@asynccontextmanager
async def attended(exchange: Exchange, session: Session) -> AsyncIterator[Attendance]:
    """Watch the client and the session while the block runs."""
    attendance = Attendance(exchange, session)
    try:
        yield attendance
    finally:
        await attendance.end()


async def _until_gone(exchange: Exchange) -> None:
    while (await exchange.receive())["type"] != "http.disconnect":
        pass
