"""When private tenants were used last, written down seldom: those that nobody uses are removed some day.

A tenant is used by whoever writes there, by a known caller who reads, and while somebody listens; not by a visitor who
only reads. The first write of a day or so notes it in its own transaction, on each node; whoever else was seen is
written down now and then by a chore.
"""

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime, timedelta

from core.kernel.clock import Clock
from core.kernel.errors import Unavailable
from core.kernel.ids import SHARED_TENANT, TenantId
from core.kernel.limits import Limits
from core.models.activity import TenantActivity
from core.ports.records import Taken, Transaction, TransientFailure

#: Tenants in memory; of those beyond it is only written down more often that they are used.
_MAX_TENANTS = 10_000
_RETRY_AFTER_SECONDS = 5


class Activity:
    """What this node knows of the use of private tenants; the shared pool is never removed.

    ``period`` is how seldom use is written down: far less than a tenant may be idle.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        idle = timedelta(days=limits.tenant_idle_days or 365)
        self.period = min(timedelta(days=1), idle / 4)
        self._clock = clock
        self._noted: OrderedDict[TenantId, datetime] = OrderedDict()
        self._seen: dict[TenantId, None] = {}

    def is_due(self, tenant: TenantId, now: datetime) -> bool:
        """Whether use of the tenant has to be written down again."""
        if tenant == SHARED_TENANT:
            return False
        noted = self._noted.get(tenant)
        return noted is None or not noted <= now < noted + self.period

    async def touch(self, tx: Transaction, tenant: TenantId, now: datetime) -> None:
        """Write down that the tenant is used.

        Raises:
            Unavailable: it is being removed; whoever comes when that is done begins anew.
        """
        found = await tx.get(TenantActivity, tenant, lock=True)
        if found is None:
            try:
                await tx.insert(TenantActivity(id=tenant, tenant_id=tenant, touched_at=now))
            except Taken:
                raise TransientFailure("the tenant was used for the first time twice at once") from None
        elif found.sweeping:
            raise Unavailable(
                "The tenant is being removed, since nobody used it; it begins anew.", _RETRY_AFTER_SECONDS
            )
        else:
            await tx.update(found.model_copy(update={"touched_at": now, "idle_since": None}))

    def note(self, tenant: TenantId, now: datetime) -> None:
        """Use of the tenant is written down."""
        self._noted[tenant] = now
        self._noted.move_to_end(tenant)
        if len(self._noted) > _MAX_TENANTS:
            self._noted.popitem(last=False)

    def see(self, *tenants: TenantId) -> None:
        """Somebody uses these tenants, without writing there."""
        now = self._clock()
        for tenant in tenants:
            if self.is_due(tenant, now) and len(self._seen) < _MAX_TENANTS:
                self._seen[tenant] = None

    def take_seen(self, most: int) -> Iterable[TenantId]:
        """Tenants that were seen and whose use has yet to be written down."""
        taken = list(self._seen)[:most]
        for tenant in taken:
            del self._seen[tenant]
        return taken
