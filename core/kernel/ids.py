"""Identifiers: UUID version 7, so that ids sort by the time they were made."""

import os
import re
import time
from threading import Lock
from typing import NewType

TenantId = NewType("TenantId", str)

#: The pool that callers share who name no tenant.
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
    """Generate a UUID version 7 (RFC 9562, section 5.7), strictly increasing within this process.

    The 12 bits behind the millisecond and the version hold a counter (section 6.2, method 2), so ids made in
    one millisecond keep their order.
    """
    tick = _ticks.next()
    digits = f"{(tick >> 12) << 16 | 0x7000 | tick & 0xFFF:016x}"
    # The variant is binary 10 above random bits. Assembled by hand: every request without an id of the client's needs
    # one, and the uuid module takes four times as long.
    rest = f"{0b10 << 62 | int.from_bytes(os.urandom(8), 'big') >> 2:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:]}-{rest[:4]}-{rest[4:]}"


_ID_PATTERN = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_TENANT_PATTERN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def is_id(text: str) -> bool:
    """Whether the text is a UUID in its canonical spelling (36 characters, lower or upper case)."""
    return _ID_PATTERN.fullmatch(text) is not None


def parse_tenant(text: str) -> TenantId | None:
    """Read a tenant's name: a UUID of version 4 or 7 (RFC 9562), in any case, or the shared pool's own id; None when it
    is neither."""
    name = text.lower()
    return TenantId(name) if name == SHARED_TENANT or _TENANT_PATTERN.fullmatch(name) else None
