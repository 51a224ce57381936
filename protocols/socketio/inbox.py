"""What an Engine.IO client who polls has posted."""

import asyncio
import logging
from collections import deque
from typing import Any

from engineio.packet import Packet

from core.live.connection import Sink
from core.live.inbound_rate import InboundRate

log = logging.getLogger(__name__)

#: Bytes that may wait before a POST is held back; one payload more may be added to them.
_HIGH_WATER_BYTES = 256 * 1024
#: What a waiting packet takes besides its content.
_PACKET_COST_BYTES = 256


class Inbox:
    """Packets in the order in which they were posted, read at the client's rate by a task while there are any.

    So a POST is answered at once: clients give up on one that takes as long as its packets do. Nothing is read while
    the client does not fetch what it is owed in ``sink``, and one that does not for too long is dropped.
    """

    __slots__ = ("_packets", "_rate", "_reader", "_room", "_sink", "_size", "_stall_seconds", "posting")

    def __init__(self, rate: InboundRate, sink: Sink, stall_seconds: float) -> None:
        #: Whether a POST is under way.
        self.posting = False
        self._rate = rate
        self._sink = sink
        self._stall_seconds = stall_seconds
        self._packets: deque[str] = deque()
        self._size = 0
        self._reader: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, socket: Any, packets: list[str]) -> None:
        """Take a payload for the library's socket as soon as there is room."""
        await self._room.wait()
        self._packets += packets
        self._grow(sum(map(_cost_of, packets)))
        if self._reader is None:
            self._reader = asyncio.create_task(self._read(socket))

    async def emptied(self) -> None:
        """Wait until all has been read."""
        if self._reader is not None:
            await asyncio.wait((self._reader,))

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size < _HIGH_WATER_BYTES:
            self._room.set()
        else:
            self._room.clear()

    async def _read(self, socket: Any) -> None:
        try:
            while self._packets:
                await self._rate.ready()
                async with asyncio.timeout(self._stall_seconds):
                    await self._sink.drain()
                packet = self._packets.popleft()
                self._grow(-_cost_of(packet))
                self._rate.count()
                # As good a sign of life as a pong, which may stand behind what is read slowly.
                socket.schedule_ping()
                await socket.receive(Packet(encoded_packet=packet))
        except ConnectionResetError:
            pass  # The session has ended.
        except TimeoutError:
            await socket.server.drop(socket.sid)
        except Exception:  # The task's boundary.
            log.exception("a payload failed")
            await socket.server.drop(socket.sid)
        finally:
            self._packets.clear()
            self._grow(-self._size)
            self._reader = None


def _cost_of(packet: str) -> int:
    return _PACKET_COST_BYTES + len(packet)
