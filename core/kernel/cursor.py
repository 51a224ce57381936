"""Cursors: opaque positions in the event log, the same on every door.

A cursor holds (epoch of the log, tenant, sequence) and nothing about the door or the filter, so that a cursor from
one door resumes on any other.
"""

import base64
import struct
import uuid
import zlib
from dataclasses import dataclass

from core.kernel.errors import BadRequest
from core.kernel.ids import TenantId

_LAYOUT = struct.Struct(">BI16sQ")
_VERSION = 1

#: What a client sends to get everything that is kept.
EARLIEST = "earliest"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in one tenant's log: just after the event ``sequence`` (0: before the first)."""

    epoch: int
    tenant: TenantId
    sequence: int

    def encode(self) -> str:
        """The opaque text: URL-safe base64 of fixed length with a checksum."""
        body = _LAYOUT.pack(_VERSION, self.epoch, uuid.UUID(self.tenant).bytes, self.sequence)
        return base64.urlsafe_b64encode(body + (zlib.crc32(body) & 0xFF).to_bytes(1, "big")).decode()

    @classmethod
    def decode(cls, text: str, tenant: TenantId) -> "Cursor":
        """Read a cursor that a client of ``tenant`` hands in.

        Raises:
            BadRequest: malformed, or another tenant's.
        """
        try:
            raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
            body, check = raw[:-1], raw[-1]
            version, epoch, owner, sequence = _LAYOUT.unpack(body)
        except (ValueError, IndexError, struct.error, AttributeError):
            raise BadRequest("The cursor is malformed.") from None
        if version != _VERSION or check != zlib.crc32(body) & 0xFF or sequence >= 1 << 63:
            raise BadRequest("The cursor is malformed.")
        if uuid.UUID(bytes=owner) != uuid.UUID(tenant):
            raise BadRequest("The cursor is not of this tenant.")
        return cls(epoch, tenant, sequence)


def sequence_of(text: str) -> tuple[int, int]:
    """What cursors of one tenant are ordered by; the text is one that the store has made."""
    _, epoch, _, sequence = _LAYOUT.unpack(base64.urlsafe_b64decode(text)[:-1])
    return epoch, sequence
