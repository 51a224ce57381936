"""Identifiers: UUID version 7, so that ids sort by the time they were made."""

import os
import time
import uuid
from threading import Lock
from typing import NewType

TenantId = NewType("TenantId", str)

#: The pool that everybody shares who names no tenant of his own.
SHARED_TENANT = TenantId("00000000-0000-0000-0000-000000000000")


class _Ticks:
    """Milliseconds since 1970 with a counter of 12 bits behind them; never the same twice."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last = 0

    def next(self) -> int:
        tick = (time.time_ns() // 1_000_000) << 12
        with self._lock:
            self._last = tick = max(tick, self._last + 1)
        return tick


_ticks = _Ticks()


def new_id() -> str:
    """Make a UUID version 7 (RFC 9562, section 5.7), strictly increasing within this process.

    The 12 bits behind the millisecond and the version hold a counter (section 6.2, method 2), so ids made in
    one millisecond keep their order.
    """
    tick = _ticks.next()
    value = (tick >> 12) << 80 | 0x7 << 76 | (tick & 0xFFF) << 64
    value |= 0b10 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    return str(uuid.UUID(int=value))


def is_id(text: str) -> bool:
    """Whether the text is a UUID in its canonical spelling (36 characters, lower or upper case)."""
    try:
        return len(text) == 36 and str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def parse_tenant(text: str) -> TenantId | None:
    """Read a tenant's name: a UUID of version 4 or 7, in any case; None when it is not one."""
    if not is_id(text):
        return None
    value = uuid.UUID(text)
    return TenantId(str(value)) if value.version in (4, 7) and value.variant == uuid.RFC_4122 else None
