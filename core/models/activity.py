"""When a private tenant was used last."""

from datetime import datetime

from core.kernel.model import Model


class TenantActivity(Model):
    """What is known of the use of one private tenant; ``id`` is the tenant's. Never shown.

    ``touched_at`` is when somebody used it, written down once a day or so. ``idle_since`` is when it was found that
    nobody had used it for long; ``sweeping``: it is being removed, and nobody may write in it until that is done.
    """

    id: str
    tenant_id: str
    touched_at: datetime
    idle_since: datetime | None = None
    sweeping: bool = False
