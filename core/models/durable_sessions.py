"""Sessions of live clients that outlast their connections."""

from datetime import datetime
from typing import Any

from pydantic import Field

from core.kernel.model import Model


class DurableSession(Model):
    """What a client leaves behind and takes up again, on any node. Never shown.

    ``id`` is derived from its owner and the name that the client gave it. ``holder`` is the connection that has it
    now, or had it last; ``idle_since`` is when that one ended, None while it has the session. ``cursor`` is the
    position that its stream had reached; None: it never subscribed. ``state`` belongs to the door: its subscriptions,
    and the messages in flight.
    """

    id: str
    tenant_id: str
    owner: str
    holder: str
    idle_since: datetime | None = None
    cursor: str | None = None
    state: dict[str, Any] = Field(default_factory=dict)
    expires_at: datetime
